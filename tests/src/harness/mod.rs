//! What the tests run on: real servers, files, components and commands.

pub mod clients;
pub mod clocked;
pub mod command;
pub mod container;
pub mod distance;
pub mod forbidding;
pub mod galera;
pub mod log;
pub mod mariadb;
pub mod memory;
pub mod mysql;
pub mod old;
pub mod outage;
pub mod plugins;
mod ports;
pub mod proxy;
pub mod seed;
pub mod serve;
pub mod sqlite;
pub mod storage;
pub mod tmpfs;
pub mod tools;
pub mod victim;
pub mod wait;
pub mod writer;
