//! sqlx with its pool, in a process of its own: the SQLite that it links cannot be linked beside the host's.
//!
//! It is a child that is driven over its standard input and output, one line each way, and takes the time itself. It
//! ends when its input does, however this process ends.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cofferdam::config::{Config, DatabaseConfig};

use crate::contestant::{CONNECTIONS, Contestant};
use crate::shared::callers::Outcome;
use crate::shared::operation::Work;

/// The variable that names the program.
pub const PROGRAM_VARIABLE: &str = "COFFERDAM_BENCH_SQLX";

/// A child with a pool of connections to one database.
pub struct Sqlx {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Sqlx {
    /// Starts the program and has it connect.
    ///
    /// # Errors
    ///
    /// The variable names no program, or it cannot connect.
    pub fn start(config: &Config) -> Result<Self> {
        let program = std::env::var_os(PROGRAM_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .with_context(|| {
                format!(
                    "{PROGRAM_VARIABLE} is not set: run `cargo xtask bench`, or build benches/sqlx with `cargo build \
                     --release` there and name target/release/cofferdam-bench-sqlx in it"
                )
            })?;
        let mut command = Command::new(&program);
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("CONNECTIONS", CONNECTIONS.to_string());
        match &config.database {
            DatabaseConfig::Sqlite(sqlite) => {
                command.env("DATABASE_TYPE", "sqlite").env("DATABASE_PATH", &sqlite.path);
            }
            DatabaseConfig::Mysql(mysql) => {
                command
                    .env("DATABASE_TYPE", "mysql")
                    .env("MYSQL_HOST", &mysql.hosts[0].host)
                    .env("MYSQL_PORT", mysql.hosts[0].port.to_string())
                    .env("MYSQL_DATABASE", &mysql.database)
                    .env("MYSQL_USERNAME", &mysql.username)
                    .env("MYSQL_PASSWORD", mysql.password.expose());
            }
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("{} does not start: does {PROGRAM_VARIABLE} name it?", program.display()))?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a child without output")?);
        let mut sqlx = Self { child, orders, answers };
        sqlx.answer("ready").context("sqlx cannot connect")?;
        Ok(sqlx)
    }

    /// Reads a line that begins with `word`, and returns what comes after.
    fn answer(&mut self, word: &str) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_once(' ').unwrap_or((line, "")) {
            (first, rest) if first == word => Ok(rest.to_owned()),
            ("error", message) => bail!("{message}"),
            ("", _) => bail!("the program that {PROGRAM_VARIABLE} names ended; it says why on standard error"),
            _ => bail!("the program that {PROGRAM_VARIABLE} names answers another protocol: build it again"),
        }
    }
}

impl Contestant for Sqlx {
    fn name(&self) -> &'static str {
        "sqlx"
    }

    fn run(&mut self, work: &Work) -> Result<Outcome> {
        let orders = self.orders.as_mut().context("the child has ended")?;
        let (operation, first) = (work.operation.name(), work.indices.start);
        writeln!(orders, "run {operation} {} {first} {}", work.callers, work.count())?;
        let answer = self.answer("done").with_context(|| format!("sqlx, {operation}"))?;
        let (elapsed, rows) = answer.split_once(' ').context("half an answer")?;
        Ok(Outcome { elapsed: Duration::from_nanos(elapsed.parse()?), rows: rows.parse()? })
    }
}

impl Drop for Sqlx {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends when it has read the end of its input; there is nobody to tell if it cannot be waited for.
        let _ = self.child.wait();
    }
}
