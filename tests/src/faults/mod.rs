//! Faults: what becomes of a storage under load when its database goes away, hangs, fills up or is damaged.
//!
//! Each of [`FAULTS`] starts a real server or file, loads it with [`load`]'s callers, provokes the fault and ends it. The
//! [`ledger`] knows what was acknowledged; [`look`] says what is in the database; the [`verdict`] compares both and is a
//! row of the [`table`].

use std::future::Future;
use std::pin::Pin;

use anyhow::{Context, Result};

pub mod galera;
pub mod ledger;
pub mod load;
pub mod look;
pub mod opened;
pub mod scene;
pub mod table;
pub mod verdict;

mod hosts;
mod mysql;
mod network;
mod outage;
mod spool;
mod sqlite;
mod strictness;

use verdict::Verdict;

use crate::harness::seed::seed;

/// How faults are provoked.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// As often and as long as promised, or only enough for every change to be tested.
    pub full: bool,
    /// What everything random goes by.
    pub seed: u64,
    /// What is between the callers and the database; the fault's own.
    guard: Guard,
}

/// What is between callers and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A [`ResilientStorage`](cofferdam::ResilientStorage) without a spool.
    Resilient,
    /// The same with a spool.
    Spool,
}

impl Run {
    /// A run by this seed.
    pub fn new(full: bool, seed: u64) -> Self {
        Self { full, seed, guard: Guard::Resilient }
    }

    /// The shortened run, by the seed in the variable `COFFERDAM_TEST_SEED` or by one of the clock's. Prints it.
    ///
    /// # Errors
    ///
    /// The variable is no number.
    pub fn short() -> Result<Self> {
        Ok(Self::new(false, seed()?))
    }
}

type Played = Pin<Box<dyn Future<Output = Result<Verdict>>>>;

/// A fault.
pub struct Fault {
    /// Its name, such as `mysql/kill`.
    pub name: &'static str,
    /// What happens, in a few words.
    pub what: &'static str,
    guard: Guard,
    play: fn(&'static str, Run) -> Played,
}

impl Fault {
    /// The fault of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }

    /// Provokes it.
    ///
    /// # Errors
    ///
    /// It could not be provoked. A broken promise is in the verdict, and no error.
    pub async fn provoke(&self, run: Run) -> Result<Verdict> {
        let run = Run { guard: self.guard, ..run };
        if run.full {
            strictness::measure();
        }
        (self.play)(self.name, run).await.with_context(|| format!("the fault {} (seed {})", self.name, run.seed))
    }
}

macro_rules! faults {
    ($($name:literal, $what:literal, $play:path;)* of spools: $($spool:literal, $does:literal, $of:path;)*) => {
        /// Every fault.
        pub const FAULTS: &[Fault] =
            &[$(
                Fault {
                    name: $name,
                    what: $what,
                    guard: Guard::Resilient,
                    play: |name, run| Box::pin($play(name, run)),
                },
                Fault {
                    name: concat!($name, "+spool"),
                    what: concat!($what, "; with a spool"),
                    guard: Guard::Spool,
                    play: |name, run| Box::pin($play(name, run)),
                },
            )*
            $(
                Fault {
                    name: concat!($spool, "+spool"),
                    what: $does,
                    guard: Guard::Spool,
                    play: |name, run| Box::pin($of(name, run)),
                },
            )*];
    };
}

faults! {
    "mysql/kill", "the server is killed and started again", mysql::kill;
    "mysql/hang", "the server is stopped with SIGSTOP and resumes", mysql::hang;
    "mysql/kill-connection", "connections are killed in the middle of a query, repeatedly", mysql::kill_connection;
    "mysql/max-connections", "another program takes every connection", mysql::max_connections;
    "mysql/hostile-globals", "the global variables are changed to values that would break a session", mysql::hostile_globals;
    "mysql/read-only", "the server is made read-only and writable again", mysql::read_only;
    "mysql/password", "the password is changed and changed back", mysql::password;
    "mysql/disk-full", "the server's disk fills up and is enlarged", mysql::disk_full;
    "mysql/network", "the network cuts, resets, drops and delays at random bytes", network::random;
    "mysql/refuse", "the port refuses connections for a while", network::refuse;
    "mysql/outage", "a long outage of the server, at 500 writes a second", outage::long;
    "mysql/host-killed", "hosts are killed at random moments, also during an outage of the server", hosts::mysql;
    "mysql/soak", "random faults of network and server, for a long time", outage::soak;
    "sqlite/host-killed", "hosts are killed at random moments, also while the file is locked", hosts::sqlite;
    "sqlite/traps", "the backend traps occasionally, before or after its work", sqlite::traps;
    "sqlite/disk-full", "the disk fills up and is enlarged", sqlite::disk_full;
    "sqlite/locked-briefly", "another process locks the file for less than the deadline", sqlite::locked_briefly;
    "sqlite/locked", "another process locks the file for longer than the deadline", sqlite::locked;
    "sqlite/long-reader", "another process keeps a read transaction open, then ends it", sqlite::long_reader;
    "sqlite/removed", "the file is removed while it is open, and put back", sqlite::removed;
    "sqlite/log-removed", "the write-ahead log is removed while it is open", sqlite::log_removed;
    "sqlite/replaced", "the open file is replaced by a copy", sqlite::replaced;
    "sqlite/read-only", "file and log are made immutable and writable again", sqlite::read_only;
    "sqlite/read-only-at-start", "the disk is read-only at first", sqlite::read_only_at_start;
    "sqlite/corrupt", "pages in the middle of the open file are overwritten, and restored", sqlite::corrupt;
    "sqlite/corrupt-header", "the header of the open file is overwritten, and restored", sqlite::corrupt_header;
    "sqlite/corrupt-at-start", "pages and header are overwritten before the file is opened", sqlite::corrupt_at_start;
    "galera/node-killed", "one of three nodes is killed, and joins again", galera::node_killed;
    "galera/node-hung", "one of three nodes is stopped with SIGSTOP, and resumes", galera::node_hung;
    "galera/quorum-lost", "two of three nodes are killed, and started again", galera::quorum_lost;

    of spools:
    "mysql/spool-full", "an outage of the server lasts until the spool is full, and longer", spool::full_mysql;
    "sqlite/spool-full", "the file is missing until the spool is full, and longer", spool::full_sqlite;
    "mysql/spool-refused", "after an outage the server refuses every row by a constraint for a while", spool::refused;
    "mysql/spool-header", "the host is killed during an outage, and its spool's header overwritten", spool::header;
    "mysql/spool-middle", "the host is killed during an outage, and a byte of its spool changed", spool::middle;
    "mysql/spool-tail", "the host is killed during an outage, and its spool truncated", spool::tail;
    "mysql/spool-log-middle", "the host is killed during an outage, and a byte of its spool's log changed", spool::log_middle;
    "mysql/spool-log-tail", "the host is killed during an outage, and its spool's log truncated", spool::log_tail;
}
