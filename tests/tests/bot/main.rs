//! The bot as its users meet it: its program against a local Discord, on both databases, through everything that goes wrong.
//!
//! Each case prints a line of what became of its questions; `-- --nocapture` shows them.

mod burst;
mod changes;
mod kills;
mod machine;
mod outages;
mod rig;
mod sessions;
mod shards;
mod starts;
mod storm;
mod swaps;
