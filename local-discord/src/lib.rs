#![doc = include_str!("../README.md")]

mod actions;
mod app;
mod clock;
mod command;
mod driver;
mod error;
pub mod faults;
mod gateway;
mod id;
mod limits;
mod local;
mod query;
pub mod record;
mod report;
mod rest;
mod settings;
mod wire;
mod world;

pub use clock::Clock;
pub use command::Command;
pub use driver::Discord;
pub use error::{Error, Result};
pub use faults::{Act, Fault, Held, Moment, Scope, Storm};
pub use gateway::intents;
pub use id::Id;
pub use record::{Entry, What};
pub use report::Report;
pub use settings::{Bucket, Limits, Settings};
pub use world::permissions;
pub use world::user::Kind;
