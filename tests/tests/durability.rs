//! What was answered stays, whatever becomes of the host or of another's write.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cofferdam::config::MysqlConfig;
use cofferdam::{MessageState, StorageService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::seed;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use rusqlite::Connection;

/// Kills of a host with one caller, whose writes have a commit each, and of one with many, whose writes share them.
const KILLS: usize = 25;
const CALLERS: usize = 32;

/// Answered writes before a kill, at most; and after them, microseconds.
const ANSWERS: u64 = 1_000;
const MICROSECONDS: u64 = 3_000;

/// Every so many kills one comes so early that it can hit the start and the recovery of the write-ahead log.
const EARLY: usize = 5;
const START: u64 = 150_000;

/// Rounds on MySQL, in turn of a host, a server and both that are killed; and with `COFFERDAM_TEST_FULL`.
const ROUNDS: usize = 6;
const MANY_ROUNDS: usize = 50;

/// A host that writes until it is killed.
struct Load {
    process: Child,
    lines: Receiver<String>,
}

impl Load {
    fn start(file: &Path, callers: usize) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam-test-writer"));
        command.args(["load", &callers.to_string(), "sqlite"]).arg(file);
        Self::run(command)
    }

    fn on_server(config: &MysqlConfig, callers: usize) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam-test-writer"));
        let host = &config.hosts[0];
        command.args(["load", &callers.to_string(), "mysql", &host.host, &host.port.to_string()]);
        command.args([&config.database, &config.username]);
        command.env("COFFERDAM_TEST_PASSWORD", config.password.expose());
        // It ends with an error where its server ends.
        command.stderr(Stdio::null());
        Self::run(command)
    }

    fn run(mut command: Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("output")?);
        // Unbounded: a host that waits for its reader would not be under load.
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { process, lines })
    }

    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        let status = self.process.wait()?;
        ensure!(status.code().is_none(), "the host ended by itself with {status}; its error is above");
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the hosts said, and what is expected of the file for that.
#[derive(Default)]
struct Record {
    /// The number of the last answered write of each caller.
    answered: BTreeMap<usize, u64>,
    writes: u64,
    checks: u64,
}

impl Record {
    fn line(&mut self, line: &str) -> Result<()> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ready"] => Ok(()),
            ["found", caller, number] => self.found(caller.parse()?, number.parse()?),
            ["wrote", caller, number] => {
                self.answered.insert(caller.parse()?, number.parse()?);
                self.writes += 1;
                Ok(())
            }
            _ => bail!("a host said {line:?}"),
        }
    }

    /// A caller has one write in flight, so that there is at most one more than was answered.
    fn found(&mut self, caller: usize, number: u64) -> Result<()> {
        let answered = self.answered.insert(caller, number).unwrap_or_default();
        self.checks += 1;
        ensure!(
            (answered..=answered + 1).contains(&number),
            "write {answered} of caller {caller} was answered, and the file has {number}"
        );
        Ok(())
    }
}

/// Kills hosts on one file, none of which closes it: each starts on the write-ahead log that the one before left.
fn survive(callers: usize) -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut random = seed::random()?;
    let mut record = Record::default();
    for kill in 0..KILLS {
        let mut load = Load::start(&folder.database(), callers)?;
        if kill % EARLY == EARLY - 1 {
            std::thread::sleep(Duration::from_micros(random.u64(..START)));
        } else {
            let until = record.writes + 1 + random.u64(..ANSWERS);
            while record.writes < until {
                let line = load.lines.recv().context("the host ended by itself; its error is above")?;
                record.line(&line)?;
            }
            std::thread::sleep(Duration::from_micros(random.u64(..MICROSECONDS)));
        }
        load.kill()?;
        for line in &load.lines {
            record.line(&line)?;
        }
    }
    // The last look is at the file itself.
    let connection = Connection::open(folder.database())?;
    let whole: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
    ensure!(whole == "ok", "{whole}");
    for caller in 0..callers {
        let text = if caller.is_multiple_of(2) {
            "SELECT CAST(last_message_id AS INTEGER) FROM message_states WHERE channel_id = ?"
        } else {
            "SELECT CAST(original_user_id AS INTEGER) FROM thread_ownerships WHERE thread_id = ?"
        };
        let number: i64 = connection.query_row(text, (format!("caller {caller}"),), |row| row.get(0))?;
        record.found(caller, u64::try_from(number)?)?;
    }
    println!("{KILLS} kills, {} answered writes of {callers} callers, {} checks", record.writes, record.checks);
    Ok(())
}

/// Kills hosts whose writes share statements, and servers under them.
async fn survive_on_a_server(callers: usize) -> Result<()> {
    // Everything that was acknowledged is to outlive the process: as it is by default, unlike in other tests.
    let mut server = MysqlServer::start(&["--innodb-flush-log-at-trx-commit=1".to_owned()]).await?;
    let home = server.create_database(DatabaseOptions::default()).await?;
    let mut random = seed::random()?;
    let mut record = Record::default();
    let rounds = if std::env::var_os("COFFERDAM_TEST_FULL").is_some() { MANY_ROUNDS } else { ROUNDS };
    for round in 0..rounds {
        let (kills_host, kills_server) = (round % 3 != 1, round % 3 != 0);
        let mut load = Load::on_server(&home.config(), callers)?;
        let until = record.writes + 1 + random.u64(..ANSWERS);
        while record.writes < until {
            record.line(&load.lines.recv().context("the host ended by itself")?)?;
        }
        std::thread::sleep(Duration::from_micros(random.u64(..MICROSECONDS)));
        let process = server.process().context("a server of one's own")?;
        if kills_server {
            process.kill()?;
        }
        if kills_host {
            let _ = load.process.kill();
        }
        for line in &load.lines {
            record.line(&line)?;
        }
        load.process.wait()?;
        if kills_server {
            process.start_again().await?;
        }
    }
    let mut load = Load::on_server(&home.config(), callers)?;
    for line in load.lines.iter().take_while(|line| line != "ready") {
        record.line(&line)?;
    }
    load.kill()?;
    println!("{rounds} rounds, {} answered writes of {callers} callers, {} checks", record.writes, record.checks);
    Ok(())
}

#[tokio::test]
async fn answered_writes_that_shared_statements_survive_a_killed_host_and_a_killed_server() -> Result<()> {
    survive_on_a_server(CALLERS).await
}

#[test]
fn answered_writes_survive_a_killed_host() -> Result<()> {
    survive(1)
}

#[test]
fn answered_writes_that_shared_commits_survive_a_killed_host() -> Result<()> {
    survive(CALLERS)
}

/// Has the schema refuse some writes, in every way that SQLite knows.
///
/// What is refused at once fails its statement, rolls it back, or rolls everything back that the transaction did
/// before; what is deferred lets the statement pass and the commit fail.
const REFUSALS: &str = "
CREATE TABLE orphans (parent INTEGER REFERENCES thread_ownerships (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER refuse_by_fail AFTER INSERT ON message_states WHEN new.last_message_id = 'fail'
    BEGIN SELECT RAISE (FAIL, 'refused'); END;
CREATE TRIGGER refuse_by_abort AFTER INSERT ON message_states WHEN new.last_message_id = 'abort'
    BEGIN SELECT RAISE (ABORT, 'refused'); END;
CREATE TRIGGER refuse_by_rollback AFTER INSERT ON message_states WHEN new.last_message_id = 'rollback'
    BEGIN SELECT RAISE (ROLLBACK, 'refused'); END;
CREATE TRIGGER refuse_at_commit AFTER INSERT ON message_states WHEN new.last_message_id = 'deferred'
    BEGIN INSERT INTO orphans VALUES (-1); END;
";

/// Polls a future once, which takes a write as far as the queue of its group, and drops it.
async fn give_up(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "nothing waited");
        Poll::Ready(())
    })
    .await;
}

/// Has 32 callers write at once on one thread, so that they share a commit, every fourth of them in vain; one of the
/// others gives up while it waits. Everything else is kept.
async fn one_of_a_group_fails(how: &str) -> Result<()> {
    const GIVES_UP: usize = 2;
    let home = Home::sqlite()?;
    let Home::Sqlite(folder) = &home else { bail!("not on SQLite") };
    let storage = home.open().await?;
    Connection::open(folder.database())?.execute_batch(REFUSALS)?;
    let name = |caller: usize| format!("caller {caller}");
    let fails = |caller: usize| caller % 4 == 1;
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (storage, message) = (Arc::clone(&storage), if fails(caller) { how } else { "fine" }.to_owned());
            tokio::spawn(async move {
                let state = MessageState::new(name(caller), None, message, 1);
                let write = storage.upsert_message_state(&state);
                if caller == GIVES_UP {
                    give_up(write).await;
                    return Ok(());
                }
                write.await.map(drop)
            })
        })
        .collect();
    for (caller, task) in tasks.into_iter().enumerate() {
        let result = task.await?;
        let found = storage.get_message_state(&name(caller), None).await?;
        if fails(caller) {
            let error = result.expect_err("the schema refuses it");
            ensure!(error.code().is_some_and(|code| code.starts_with("SQLITE_CONSTRAINT")), "{how}: {error:?}");
            ensure!(found.is_none(), "{how}: the write of caller {caller} failed with {error:?}, and is there");
            continue;
        }
        result.with_context(|| format!("{how}: the write of caller {caller}"))?;
        if caller == GIVES_UP {
            ensure!(found.is_none(), "{how}: a write was run after its caller had given up");
        } else {
            ensure!(found.is_some_and(|state| state.last_message_id == "fine"), "{how}: caller {caller} lost a write");
        }
    }
    storage.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_failing_write_of_a_group_fails_alone() -> Result<()> {
    for how in ["fail", "abort", "rollback", "deferred"] {
        one_of_a_group_fails(how).await?;
    }
    Ok(())
}
