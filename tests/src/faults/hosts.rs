//! Hosts that are killed at random moments: what they acknowledged is in the database, or in the spool for the next one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cofferdam::config::{Config, DatabaseConfig};
use cofferdam::{Error, ErrorKind};
use tokio::time::sleep;

use super::Run;
use super::ledger::{Kept, Ledger, Tally};
use super::load::key;
use super::look;
use super::mysql;
use super::opened::{Opened, spool_of};
use super::verdict::{Expected, Verdict};
use crate::harness::mysql::{DatabaseOptions, MysqlServer};
use crate::harness::sqlite::SqliteFolder;
use crate::harness::storage::{mysql_config, sqlite_config};
use crate::harness::writer::{self, Locker};

/// How often a host is killed.
const KILLS: u64 = 100;
const SHORT_KILLS: u64 = 8;

const CALLERS: usize = 32;

/// Answered writes before a kill, at most; and after them, in microseconds. The file is locked, or the server is gone,
/// this long before some kills, which is beyond an operation's deadline, in milliseconds.
const ANSWERS: u64 = 500;
const MOMENT: u64 = 3_000;
const OUTAGE: std::ops::Range<u64> = 0..1_500;

/// The kinds of errors that callers may see of a host whose database is away at times.
const EXPECTED: Expected =
    Expected { is_felt: false, ..Expected::errors(&[ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Conflict]) };

/// A host in another process, which writes until it is killed.
pub(super) struct Host {
    process: Child,
    lines: Receiver<String>,
    rows: u64,
}

impl Host {
    fn start(config: &Config, start: u64) -> Result<Self> {
        Self::start_with_rows(config, start, 1)
    }

    /// Each caller has so many rows, which it writes in turn.
    pub(super) fn start_with_rows(config: &Config, start: u64, rows: u64) -> Result<Self> {
        let mut command = Command::new(writer::path()?);
        command.args(["outlive", &CALLERS.to_string(), &start.to_string(), &rows.to_string()]);
        match &config.resilience.spool {
            Some(spool) => command.arg(&spool.path),
            None => command.arg("-"),
        };
        match &config.database {
            DatabaseConfig::Sqlite(sqlite) => command.arg("sqlite").arg(&sqlite.path),
            DatabaseConfig::Mysql(mysql) => {
                let server = mysql.hosts.first().context("a server")?;
                command.env("COFFERDAM_TEST_PASSWORD", mysql.password.expose());
                command.args(["mysql", &server.host, &server.port.to_string(), &mysql.database, &mysql.username])
            }
        };
        // It ends with this process, at the latest when its input does.
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("output")?);
        // Unbounded: a host that waits for its reader would not be under load.
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { process, lines, rows })
    }

    /// Reads what it says until so many writes were answered, or for a time.
    fn listen(&self, ledger: &Ledger, answers: u64, longest: Duration) -> Result<()> {
        let until = ledger.tally().acknowledged + answers;
        self.listen_until(ledger, longest, |tally| tally.acknowledged >= until)
    }

    /// Reads what it says until that is enough, or for a time.
    pub(super) fn listen_until(
        &self,
        ledger: &Ledger,
        longest: Duration,
        is_enough: impl Fn(&Tally) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + longest;
        while !is_enough(&ledger.tally()) {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => note(ledger, &line, self.rows)?,
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(()),
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the host ended by itself; its error is above"),
            }
        }
        Ok(())
    }

    /// Stops it where it is, or lets it go on.
    pub(super) fn pause(&self, is_paused: bool) -> Result<()> {
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "the host ended by itself; its error is above");
        Ok(())
    }

    pub(super) fn kill(mut self, ledger: &Ledger) -> Result<()> {
        self.process.kill()?;
        let status = self.process.wait()?;
        ensure!(status.code().is_none(), "the host ended by itself with {status}; its error is above");
        self.lines.iter().try_for_each(|line| note(ledger, &line, self.rows))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn note(ledger: &Ledger, line: &str, rows: u64) -> Result<()> {
    let words: Vec<_> = line.split(' ').collect();
    let [word, caller, number, ref how @ ..] = words[..] else { bail!("a host said {line:?}") };
    let (caller, number) = (caller.parse()?, number.parse()?);
    let key = key("", caller, number % rows);
    match (word, how) {
        ("tries", []) => ledger.attempt(caller, &key, number),
        ("wrote", ["stored"]) => ledger.wrote(caller, &key, number, Instant::now(), &Ok(Kept::Stored)),
        ("wrote", ["spooled"]) => ledger.wrote(caller, &key, number, Instant::now(), &Ok(Kept::Spooled)),
        ("failed", [kind]) => {
            let kind = ErrorKind::ALL.into_iter().find(|known| known.name() == *kind).context("a kind")?;
            ledger.wrote(caller, &key, number, Instant::now(), &Err(Error::new(kind, "as the host said")));
        }
        _ => bail!("a host said {line:?}"),
    }
    Ok(())
}

/// Kills hosts one after the other, `begin` and `end` an outage around every other kill, and has a last host bring home
/// what is left in the spool.
async fn survive(
    run: Run,
    mut config: Config,
    mut outage: impl AsyncFnMut(bool) -> Result<()>,
) -> Result<(Ledger, Opened, u64)> {
    let spool = spool_of(run.guard)?;
    config.resilience.spool = spool.as_ref().map(|(config, _)| config.clone());
    let mut random = fastrand::Rng::with_seed(run.seed);
    let ledger = Ledger::new(CALLERS, Duration::MAX);
    let kills = if run.full { KILLS } else { SHORT_KILLS };
    for kill in 0..kills {
        let start = ledger.rows().values().map(|writes| writes.attempted).max().unwrap_or_default();
        let host = Host::start(&config, start)?;
        host.listen(&ledger, 1 + random.u64(..ANSWERS), Duration::from_secs(30))?;
        let is_away = kill % 2 == 1;
        if is_away {
            outage(true).await?;
            host.listen(&ledger, u64::MAX / 2, Duration::from_millis(random.u64(OUTAGE)))?;
        }
        sleep(Duration::from_micros(random.u64(..MOMENT))).await;
        host.kill(&ledger)?;
        if is_away && random.bool() {
            // Another host meets the outage when it starts, and all that was spooled in the spool.
            let start = ledger.rows().values().map(|writes| writes.attempted).max().unwrap_or_default();
            let host = Host::start(&config, start)?;
            host.listen(&ledger, 1 + random.u64(..ANSWERS), Duration::from_millis(random.u64(OUTAGE)))?;
            host.kill(&ledger)?;
        }
        if is_away {
            outage(false).await?;
        }
    }
    let opened = Opened::with(config, spool).await?;
    let damaged = opened.storage.status().spool.and_then(|spool| spool.damaged);
    ensure!(damaged.is_none(), "the death of its host was taken for damage of the spool: {damaged:?}");
    opened.drained().await?;
    Ok((ledger, opened, kills))
}

fn judge(name: &str, kills: u64, ledger: &Ledger, found: &look::Found) -> Verdict {
    let mut verdict = Verdict::of(name, &EXPECTED, ledger, None, found);
    // Their callers are in other processes.
    verdict.tally.longest = Duration::ZERO;
    verdict.notes.push(format!("{kills} hosts were killed"));
    verdict
}

pub(super) async fn sqlite(name: &'static str, run: Run) -> Result<Verdict> {
    let folder = SqliteFolder::new()?;
    let file = folder.database();
    let mut locker = None;
    let outage = async |begins: bool| {
        locker = if begins { Some(Locker::start(&file)?) } else { None };
        Ok(())
    };
    let (ledger, opened, kills) = survive(run, sqlite_config(&file), outage).await?;
    opened.service.close().await?;
    Ok(judge(name, kills, &ledger, &look::sqlite(&file)?))
}

pub(super) async fn mysql(name: &'static str, run: Run) -> Result<Verdict> {
    let mut server = MysqlServer::start(&[]).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let outage = async |begins: bool| {
        let process = server.process().context("the server is ours")?;
        if begins { process.kill() } else { process.start_again().await }
    };
    let (ledger, opened, kills) = survive(run, mysql_config(database.config()), outage).await?;
    opened.service.close().await?;
    Ok(judge(name, kills, &ledger, &mysql::look(&server, &database).await?))
}
