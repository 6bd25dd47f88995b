//! Where contestants of one engine meet: the databases, and a caretaker that takes no part in the measurement.
//!
//! Every contestant has a SQLite file of its own, a copy of the same one: whoever shared a file would find pages that
//! another has changed, and pay for another's checkpoints. On MySQL all share one database, because it is the server
//! that caches pages and writes them, for all alike.

mod caretaker;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::HostPort;
use cofferdam_tests::harness::distance::Distance;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::mysql_config;
use tokio::runtime::Runtime;

use self::caretaker::{Caretaker, MysqlCaretaker, SqliteCaretaker};
use crate::contestant::Contestant;
use crate::driver;
use crate::plugin::Plugin;
use crate::scratch::{self, Durability, Scratch};
use crate::shared::callers::Outcome;
use crate::shared::operation::{Operation, Work};
use crate::sqlx::Sqlx;

/// Between two bursts.
const REST: Duration = Duration::from_millis(20);

/// Each contestant's keys for new rows are its own.
const KEYS: u64 = 1_000_000_000;

/// One engine's databases and contestants.
pub struct Arena {
    entries: Vec<Entry>,
    _distance: Option<Distance>,
}

/// A contestant, and who looks after its database. Fields are dropped in this order: connections before files.
struct Entry {
    contestant: Box<dyn Contestant>,
    caretaker: Box<dyn Caretaker>,
    /// The first index of each operation that it has not run.
    next: u64,
    _folder: Option<SqliteFolder>,
}

/// The contestants' names, in the order in which they run.
pub const CONTESTANTS: [&str; 3] = ["driver", "sqlx", "plugin"];

impl Arena {
    /// Contestants on SQLite files.
    ///
    /// # Errors
    ///
    /// A contestant cannot be had.
    pub fn sqlite() -> Result<Self> {
        let runtime = Runtime::new()?;
        let original = runtime.block_on(scratch::sqlite())?;
        let mut entries = Vec::new();
        for name in CONTESTANTS {
            let folder = SqliteFolder::with_copy_of(&original.database())?;
            let contestant: Box<dyn Contestant> = match name {
                "driver" => Box::new(driver::sqlite::Sqlite::open(&folder.database())?),
                "sqlx" => Box::new(Sqlx::start(&folder.config())?),
                _ => Box::new(Plugin::open(folder.config())?),
            };
            let caretaker = Box::new(SqliteCaretaker::new(&folder.database())?);
            entries.push(Entry::new(contestant, caretaker, entries.len(), Some(folder)));
        }
        Ok(Self { entries, _distance: None })
    }

    /// Contestants on a MySQL or MariaDB server that is a round trip away.
    ///
    /// # Errors
    ///
    /// There is no server, or a contestant cannot be had.
    pub fn mysql(durability: Durability, round_trip: Duration) -> Result<Self> {
        let runtime = Runtime::new()?;
        let database = std::sync::Arc::new(runtime.block_on(scratch::mysql(durability))?);
        let mut config = database.config();
        let mut distance = None;
        if !round_trip.is_zero() {
            let way = Distance::to(config.hosts[0].port, round_trip)?;
            config.hosts = vec![HostPort::new("127.0.0.1", way.port())];
            distance = Some(way);
        }
        let mut entries = Vec::new();
        for name in CONTESTANTS {
            let contestant: Box<dyn Contestant> = match name {
                "driver" => Box::new(driver::mysql::Mysql::connect(&config)?),
                "sqlx" => Box::new(Sqlx::start(&mysql_config(config.clone()))?),
                _ => Box::new(Plugin::open(mysql_config(config.clone()))?),
            };
            let caretaker = Box::new(MysqlCaretaker::new(std::sync::Arc::clone(&database))?);
            entries.push(Entry::new(contestant, caretaker, entries.len(), None));
        }
        Ok(Self { entries, _distance: distance })
    }

    /// The wall time of `count` operations of a contestant.
    ///
    /// # Errors
    ///
    /// An operation fails, an answer is wrong, or the database is not what it should be afterwards.
    pub fn measure(&mut self, name: &str, operation: Operation, callers: usize, count: u64) -> Result<Duration> {
        let entry = self.entries.iter_mut().find(|entry| entry.contestant.name() == name);
        let entry = entry.with_context(|| format!("there is no contestant {name}"))?;
        entry.measure(operation, callers, count).with_context(|| format!("{name}, {}", operation.name()))
    }
}

impl Entry {
    fn new(
        contestant: Box<dyn Contestant>,
        caretaker: Box<dyn Caretaker>,
        place: usize,
        folder: Option<SqliteFolder>,
    ) -> Self {
        Self { contestant, caretaker, next: place as u64 * KEYS, _folder: folder }
    }

    fn measure(&mut self, operation: Operation, callers: usize, count: u64) -> Result<Duration> {
        // Every caller has something to do, also where one operation is all that was asked for.
        let run = count.max(callers as u64);
        let indices = self.next..self.next + run;
        self.next = indices.end;
        let work = Work { operation, callers, indices };
        self.caretaker.prepare(&work)?;
        let Outcome { elapsed, rows } = match operation {
            Operation::UpsertBurst => self.bursts(&work)?,
            _ => self.contestant.run(&work)?,
        };
        let expected = operation.rows() * run;
        ensure!(rows == expected, "{rows} rows were read or written instead of {expected}");
        self.caretaker.verify(&work)?;
        Ok(elapsed.mul_f64(count as f64 / run as f64))
    }

    /// Everybody once at the same moment, again and again. The rests between do not count.
    fn bursts(&mut self, work: &Work) -> Result<Outcome> {
        let mut all = Outcome { elapsed: Duration::ZERO, rows: 0 };
        let mut first = work.indices.start;
        while first < work.indices.end {
            let next = work.indices.end.min(first + work.callers as u64);
            let burst = self.contestant.run(&Work { indices: first..next, ..work.clone() })?;
            all.elapsed += burst.elapsed;
            all.rows += burst.rows;
            first = next;
            std::thread::sleep(REST);
        }
        Ok(all)
    }
}
