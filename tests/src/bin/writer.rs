//! A second host for the tests: `cofferdam-test-writer sqlite FILE`, or `mysql HOST PORT DATABASE USER` with the
//! password in `COFFERDAM_TEST_PASSWORD`.
//!
//! It initialises the storage and prints `ready`. For every line on its input it writes the state of the channel
//! of that name, of the thread of that name in it, and the ownership of that thread, each from many tasks at once,
//! and prints `done`.
//!
//! `cofferdam-test-writer load CALLERS sqlite FILE` writes until it is killed: each caller counts a row of its own up
//! from where it finds it. It prints `found CALLER NUMBER` for each row, then `ready`, then `wrote CALLER NUMBER`
//! after each answer. Callers with an even number write states, the others ownerships.
//!
//! `cofferdam-test-writer outlive CALLERS START ROWS SPOOL sqlite FILE` is a host that starts without its database where that is
//! away, with a spool unless `SPOOL` is `-`. Its callers write numbers from `START` on, to so many rows each in turn, until it
//! is killed or its input ends, and say `tries CALLER NUMBER`, then `wrote CALLER NUMBER stored`, `... spooled`, or `failed CALLER NUMBER KIND`.
//!
//! `cofferdam-test-writer count sqlite FILE` reads rows, as often as each line of its input says, and prints how many operations
//! were counted since the start.
//!
//! `cofferdam-test-writer lock FILE` locks a SQLite file for writing, prints `locked`, and unlocks it at the end of its
//! input. `cofferdam-test-writer read FILE` begins to read it, prints `reading`, and goes on until then. `cofferdam-test-writer restore FILE COPY` writes those pages of a copy into a file that hold nothing but the
//! byte 0xa5 there.

use std::io::{BufRead, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cofferdam::config::{Config, HostPolicy, HostPort, MysqlConfig, Secret, SpoolConfig, Tls, TlsMode};
use cofferdam::{MessageState, ResilientStorage, Storage, StorageService, ThreadOwnership};
use cofferdam_tests::faults::ledger::Kept;
use cofferdam_tests::faults::load;
use cofferdam_tests::harness::storage::{mysql_config, sqlite_config};
use tokio::sync::Barrier;

const TASKS: usize = 16;

/// Who read at the same time.
const READERS: u64 = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["load", callers, ref database @ ..] = arguments[..] {
        return count_up(&open(database).await?, callers.parse()?).await;
    }
    if let ["outlive", callers, start, rows, spool, ref database @ ..] = arguments[..] {
        return outlive(config(database)?, callers.parse()?, start.parse()?, rows.parse()?, spool).await;
    }
    if let ["count", ref database @ ..] = arguments[..] {
        return count(config(database)?).await;
    }
    if let ["lock", file] = arguments[..] {
        return lock(Path::new(file));
    }
    if let ["read", file] = arguments[..] {
        return read(Path::new(file));
    }
    if let ["restore", file, copy] = arguments[..] {
        return restore(Path::new(file), Path::new(copy));
    }
    let storage = open(&arguments).await?;
    say("ready")?;
    for name in std::io::stdin().lock().lines() {
        write_all(&storage, &name?).await?;
        say("done")?;
    }
    storage.close().await?;
    Ok(())
}

async fn open(database: &[&str]) -> Result<Arc<Storage>> {
    let storage = Storage::builder(config(database)?).build()?;
    storage.initialize().await?;
    Ok(Arc::new(storage))
}

fn config(database: &[&str]) -> Result<Config> {
    Ok(match *database {
        ["sqlite", path] => sqlite_config(Path::new(path)),
        ["mysql", host, port, database, username] => {
            let config = MysqlConfig {
                hosts: vec![HostPort::new(host, port.parse()?)],
                host_policy: HostPolicy::Ordered,
                database: database.to_owned(),
                username: username.to_owned(),
                password: Secret::new(std::env::var("COFFERDAM_TEST_PASSWORD")?),
                password_file: None,
                connect_timeout: Duration::from_secs(10),
                round_trip_timeout: Duration::from_secs(30),
                connect_attempts: 5,
                tls: Tls { mode: TlsMode::Disabled, ca: None },
            };
            mysql_config(config)
        }
        _ => bail!(
            "usage: [load CALLERS | count | outlive CALLERS START ROWS SPOOL] sqlite FILE, or mysql HOST PORT DATABASE USER, or lock \
             FILE, or read FILE, or restore FILE COPY"
        ),
    })
}

/// A line in one `write`, which a pipe takes as a whole or, where the process is killed, not at all.
fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes())?;
    Ok(output.flush()?)
}

async fn count(config: Config) -> Result<()> {
    let storage = Arc::new(ResilientStorage::builder(config).build()?);
    storage.initialize().await?;
    for line in std::io::stdin().lock().lines() {
        let times: u64 = line?.parse()?;
        let read = async |from: u64| {
            for number in (from..times).step_by(READERS as usize) {
                // One in a hundred fails.
                match number % 100 {
                    0 => drop(storage.get_message_state("", None).await),
                    1..50 => drop(storage.get_message_state("c", None).await?),
                    _ => drop(storage.get_thread_ownership("t").await?),
                }
            }
            anyhow::Ok(())
        };
        tokio::try_join!(read(0), read(1), read(2), read(3))?;
        let counted: u64 = storage.observed().iter().map(|observed| observed.latencies.count()).sum();
        say(&counted.to_string())?;
    }
    Ok(storage.close().await?)
}

async fn outlive(mut config: Config, callers: usize, start: u64, rows: u64, spool: &str) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    config.timeouts.operation = Duration::from_secs(1);
    config.resilience.spool = (spool != "-").then(|| SpoolConfig { path: spool.into(), limit: SpoolConfig::LIMIT });
    let storage = Arc::new(ResilientStorage::builder(config).build()?);
    storage.initialize().await?;
    let tasks = (0..callers).map(|caller| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            for number in start + 1.. {
                let key = load::key("", caller, number % rows);
                say(&format!("tries {caller} {number}"))?;
                match load::write(&*storage, &key, number).await {
                    Ok(Kept::Stored) => say(&format!("wrote {caller} {number} stored"))?,
                    Ok(Kept::Spooled) => say(&format!("wrote {caller} {number} spooled"))?,
                    Err(error) => {
                        say(&format!("failed {caller} {number} {}", error.kind().name()))?;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
            Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let ended: Result<()> = task.await?;
        ended?;
    }
    Ok(())
}

fn lock(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    say("locked")?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(connection.execute_batch("COMMIT")?)
}

fn read(file: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.execute_batch("BEGIN")?;
    let _: i64 = connection.query_row("SELECT count(*) FROM message_states", (), |row| row.get(0))?;
    say("reading")?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(connection.execute_batch("COMMIT")?)
}

fn restore(file: &Path, copy: &Path) -> Result<()> {
    const PAGE: usize = 4096;
    let (copy, damaged) = (std::fs::read(copy)?, std::fs::read(file)?);
    let file = std::fs::File::options().write(true).open(file)?;
    for (number, (page, now)) in copy.chunks(PAGE).zip(damaged.chunks(PAGE)).enumerate() {
        if now.iter().all(|&byte| byte == 0xa5) {
            file.write_all_at(page, (number * PAGE) as u64)?;
        }
    }
    Ok(())
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

async fn count_up(storage: &Arc<Storage>, callers: usize) -> Result<()> {
    let mut numbers = Vec::with_capacity(callers);
    for caller in 0..callers {
        let number = found(storage, caller).await?;
        say(&format!("found {caller} {number}"))?;
        numbers.push(number);
    }
    say("ready")?;
    let tasks: Vec<_> = numbers
        .into_iter()
        .enumerate()
        .map(|(caller, mut number)| {
            let storage = storage.clone();
            tokio::spawn(async move {
                loop {
                    number += 1;
                    write(&storage, caller, number).await.with_context(|| format!("write {number} of {caller}"))?;
                    say(&format!("wrote {caller} {number}"))?;
                }
            })
        })
        .collect();
    for task in tasks {
        let ended: Result<()> = task.await?;
        ended?;
    }
    Ok(())
}

/// The number in a caller's row; 0 where there is none.
async fn found(storage: &Storage, caller: usize) -> Result<u64> {
    let name = format!("caller {caller}");
    let number = if caller.is_multiple_of(2) {
        storage.get_message_state(&name, None).await?.map(|state| state.last_message_id)
    } else {
        storage.get_thread_ownership(&name).await?.map(|ownership| ownership.original_user_id)
    };
    Ok(number.map_or(Ok(0), |number| number.parse())?)
}

async fn write(storage: &Storage, caller: usize, number: u64) -> cofferdam::Result<()> {
    let name = format!("caller {caller}");
    let number = number.to_string();
    if caller.is_multiple_of(2) {
        storage.upsert_message_state(&MessageState::new(name, None, number, 1)).await.map(drop)
    } else {
        storage.upsert_thread_ownership(&ThreadOwnership::new(name, number, "bot", 1)).await.map(drop)
    }
}
