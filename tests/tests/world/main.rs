//! The world as people have it: servers with settings of their own, tables and files that others made, names with slips
//! in them, machines with limits, clocks that jump. Every case ends in the right answer or in one clear refusal.

mod codes;
mod files;
mod limits;
mod log;
mod names;
mod rows;
mod servers;
mod tables;
mod time;
