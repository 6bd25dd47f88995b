//! A second host for the tests: `cofferdam-test-writer sqlite FILE`, or `mysql HOST PORT DATABASE USER` with the
//! password in `COFFERDAM_TEST_PASSWORD`.
//!
//! It initialises the storage and prints `ready`. For every line on its input it writes the state of the channel
//! of that name, of the thread of that name in it, and the ownership of that thread, each from many tasks at once,
//! and prints `done`.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cofferdam::clock::SystemClock;
use cofferdam::config::{MysqlConfig, Secret, Tls, TlsMode};
use cofferdam::{MessageState, Storage, StorageService, ThreadOwnership};
use cofferdam_tests::harness::storage::{mysql_storage, sqlite_storage};
use tokio::sync::Barrier;

const TASKS: usize = 16;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let storage = match arguments[..] {
        ["sqlite", path] => sqlite_storage(Path::new(path), Arc::new(SystemClock))?,
        ["mysql", host, port, database, username] => {
            let config = MysqlConfig {
                host: host.to_owned(),
                port: port.parse()?,
                database: database.to_owned(),
                username: username.to_owned(),
                password: Secret::new(std::env::var("COFFERDAM_TEST_PASSWORD")?),
                connect_timeout: Duration::from_secs(10),
                round_trip_timeout: Duration::from_secs(30),
                connect_attempts: 5,
                tls: Tls { mode: TlsMode::Disabled, ca: None },
            };
            mysql_storage(config, Arc::new(SystemClock))?
        }
        _ => bail!("usage: sqlite FILE, or mysql HOST PORT DATABASE USER"),
    };
    storage.initialize().await?;
    let storage = Arc::new(storage);
    say("ready")?;
    for name in std::io::stdin().lock().lines() {
        write_all(&storage, &name?).await?;
        say("done")?;
    }
    storage.close().await?;
    Ok(())
}

fn say(word: &str) -> Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{word}")?;
    Ok(output.flush()?)
}

async fn write_all(storage: &Arc<Storage>, name: &str) -> Result<()> {
    let start = Arc::new(Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (storage, start, name) = (storage.clone(), start.clone(), name.to_owned());
            let writer = format!("{} {task}", std::process::id());
            tokio::spawn(async move {
                start.wait().await;
                storage.upsert_message_state(&MessageState::new(name.as_str(), None, writer.as_str(), 1)).await?;
                storage.upsert_message_state(&MessageState::new(name.as_str(), Some(&name), &*writer, 1)).await?;
                storage.upsert_thread_ownership(&ThreadOwnership::new(name, writer, "bot", 1)).await
            })
        })
        .collect();
    for task in tasks {
        task.await?.with_context(|| format!("a write of {name}"))?;
    }
    Ok(())
}
