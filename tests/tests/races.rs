//! Writers that arrive together: no duplicate, no error, no lost write.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cofferdam::config::HostPort;
use cofferdam::{MessageState, Storage, StorageService, ThreadOwnership, Written};
use cofferdam_tests::harness::storage::Home;
use tokio::sync::Barrier;

const TASKS: usize = 64;
const ROUNDS: usize = 200;
/// Rounds of two processes, each of which writes from several tasks.
const PROCESS_ROUNDS: usize = 50;

#[derive(Clone, Copy, Debug)]
enum Key {
    Channel,
    Thread,
    Ownership,
}

impl Key {
    async fn write(self, storage: &Storage, name: &str, writer: &str) -> cofferdam::Result<Written> {
        match self {
            Self::Channel => storage.upsert_message_state(&MessageState::new(name, None, writer, 1)).await,
            Self::Thread => storage.upsert_message_state(&MessageState::new("c", Some(name), writer, 1)).await,
            Self::Ownership => storage.upsert_thread_ownership(&ThreadOwnership::new(name, writer, "bot", 1)).await,
        }
    }

    /// The writers of all rows with this name; more than one is a duplicate.
    async fn writers(self, storage: &Storage, name: &str) -> cofferdam::Result<Vec<String>> {
        let named = |row: &MessageState| match self {
            Self::Channel => row.channel_id == name && row.thread_id.is_none(),
            _ => row.channel_id == "c" && row.thread_id.as_deref() == Some(name),
        };
        if let Self::Ownership = self {
            let rows = storage.get_all_thread_ownerships().await?.into_iter();
            return Ok(rows.filter(|row| row.thread_id == name).map(|row| row.original_user_id).collect());
        }
        let rows = storage.get_all_message_states().await?.into_iter();
        Ok(rows.filter(named).map(|row| row.last_message_id).collect())
    }
}

/// In each round all tasks write a key that is not there yet, and each one key of its own.
async fn race(home: Home, key: Key) -> Result<()> {
    let storage = home.open().await?;
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(TASKS));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (storage, start) = (storage.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    key.write(&storage, &format!("shared {round}"), &format!("writer {task}")).await?;
                    if round % 10 == 0 {
                        key.write(&storage, &format!("own {task}"), &format!("round {round}")).await?;
                    }
                    Ok::<_, cofferdam::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await?.with_context(|| format!("{key:?} in round {round}"))?;
        }
        let name = format!("shared {round}");
        let writers = key.writers(&storage, &name).await?;
        ensure!(writers.len() == 1 && writers[0].starts_with("writer "), "{key:?} in round {round}: {writers:?}");
        key.write(&storage, &name, "the last").await?;
        assert_eq!(key.writers(&storage, &name).await?, ["the last"]);
        if round % 10 == 0 {
            for task in 0..TASKS {
                let writers = key.writers(&storage, &format!("own {task}")).await?;
                assert_eq!(writers, [format!("round {round}")], "{key:?} of task {task}");
            }
        }
    }
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn first_writes_of_one_key_at_once_leave_one_row_on_sqlite() -> Result<()> {
    for key in [Key::Channel, Key::Thread, Key::Ownership] {
        race(Home::sqlite()?, key).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn first_writes_of_one_key_at_once_leave_one_row_on_mysql() -> Result<()> {
    for key in [Key::Channel, Key::Thread, Key::Ownership] {
        race(Home::mysql().await?, key).await?;
    }
    Ok(())
}

/// A host in a process of its own, which ends with this.
struct Writer {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    fn start(home: &Home) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam-test-writer"));
        match home {
            Home::Sqlite(folder) => {
                command.arg("sqlite").arg(folder.database());
            }
            Home::Mysql(database) => {
                let config = database.config();
                let HostPort { host, port } = &config.hosts[0];
                command.args(["mysql", host, &port.to_string(), &config.database, &config.username]);
                command.env("COFFERDAM_TEST_PASSWORD", config.password.expose());
            }
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("output")?);
        Ok(Self { process, orders, answers })
    }

    fn order(&mut self, name: &str) -> Result<()> {
        Ok(writeln!(self.orders.as_mut().context("input")?, "{name}")?)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.trim_end() == word, "a writer said {line:?} instead of {word:?}; its error is above");
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        drop(self.orders.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "a writer ended with {status}");
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn race_of_processes(home: Home) -> Result<()> {
    // Both initialise the same empty database at once.
    let mut writers = [Writer::start(&home)?, Writer::start(&home)?];
    for writer in &mut writers {
        writer.expect("ready")?;
    }
    for round in 0..PROCESS_ROUNDS {
        for writer in &mut writers {
            writer.order(&format!("round {round}"))?;
        }
        for writer in &mut writers {
            writer.expect("done")?;
        }
    }
    for writer in writers {
        writer.end()?;
    }
    let storage = home.open().await?;
    let states = storage.get_all_message_states().await?;
    let ownerships = storage.get_all_thread_ownerships().await?;
    assert_eq!((states.len(), ownerships.len()), (2 * PROCESS_ROUNDS, PROCESS_ROUNDS));
    for round in 0..PROCESS_ROUNDS {
        let name = format!("round {round}");
        assert!(storage.get_message_state(&name, None).await?.is_some(), "{name}");
        assert!(storage.get_message_state(&name, Some(&name)).await?.is_some(), "{name}");
        assert!(storage.get_thread_ownership(&name).await?.is_some(), "{name}");
    }
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_sqlite_file_leave_one_row_for_each_key() -> Result<()> {
    race_of_processes(Home::sqlite()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_mysql_database_leave_one_row_for_each_key() -> Result<()> {
    race_of_processes(Home::mysql().await?).await
}
