//! A database whose backend goes by a clock that a test sets from outside, also where the backend runs in another process.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use cofferdam::Config;
use cofferdam::config::PluginSource;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::command::on;
use super::plugins::guests;
use super::storage::Home;

/// The database of a test, with the clock of the components `clocked-sqlite` and `clocked-mysql`.
pub struct Clocked {
    /// Where the database is.
    pub home: Home,
    control: Control,
}

/// A connection that is not the storage's.
enum Control {
    Sqlite(Mutex<rusqlite::Connection>),
    Mysql(tokio::sync::Mutex<Conn>),
}

impl Clocked {
    /// Makes the clock, which stands at these seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn new(home: Home, seconds: i64) -> Result<Self> {
        let control = match &home {
            Home::Sqlite(folder) => {
                let connection = rusqlite::Connection::open(folder.database())?;
                connection.busy_timeout(std::time::Duration::from_secs(10))?;
                Control::Sqlite(Mutex::new(connection))
            }
            Home::Mysql(database) => Control::Mysql(tokio::sync::Mutex::new(database.connect().await?)),
        };
        let clocked = Self { home, control };
        clocked.run("CREATE TABLE test_clock (seconds BIGINT NOT NULL)").await?;
        clocked.run(&format!("INSERT INTO test_clock VALUES ({seconds})")).await?;
        Ok(clocked)
    }

    /// Sets the clock.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn set(&self, seconds: i64) -> Result<()> {
        self.run(&format!("UPDATE test_clock SET seconds = {seconds}")).await
    }

    /// Deletes all rows of the storage.
    ///
    /// # Errors
    ///
    /// The database does not answer, or has no tables.
    pub async fn empty(&self) -> Result<()> {
        self.run("DELETE FROM message_states").await?;
        self.run("DELETE FROM thread_ownerships").await
    }

    /// The component that goes by this clock.
    pub fn plugin(&self) -> &'static str {
        match self.home {
            Home::Sqlite(_) => guests::CLOCKED_SQLITE,
            Home::Mysql(_) => guests::CLOCKED_MYSQL,
        }
    }

    /// How to open it.
    pub fn config(&self) -> Config {
        Config { plugin: PluginSource::File(self.plugin().into()), ..self.home.config() }
    }

    /// The command on it.
    ///
    /// # Panics
    ///
    /// It does not compile.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = on(&self.home, arguments);
        command.env("COFFERDAM_PLUGIN", self.plugin());
        command
    }

    async fn run(&self, statement: &str) -> Result<()> {
        match &self.control {
            Control::Sqlite(connection) => {
                connection.lock().unwrap_or_else(PoisonError::into_inner).execute(statement, [])?;
            }
            Control::Mysql(connection) => connection.lock().await.query_drop(statement).await?,
        }
        Ok(())
    }
}
