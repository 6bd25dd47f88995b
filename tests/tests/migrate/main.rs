//! Everything is moved from one database to another: exactly, through every interruption, and back again.

mod fixtures;
mod indexes;
mod inputs;
mod interruptions;
mod memory;
mod old_bot;
mod online;
mod property;
mod rig;
mod runs;
