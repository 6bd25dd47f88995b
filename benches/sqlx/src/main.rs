//! sqlx with its pool, as a contestant of Cofferdam's benchmarks.
//!
//! Connects as the environment says, prints `ready`, and then answers each line `run OPERATION CALLERS FIRST COUNT` on
//! standard input with `done NANOSECONDS ROWS` or `error MESSAGE`, until its input ends. The same statements, settings,
//! rows and checks as everybody's.

mod contestant;
mod model;
mod mysql;
#[path = "../../src/shared/mod.rs"]
#[allow(dead_code, reason = "some of it is for the process that makes the databases")]
mod shared;
mod sqlite;

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shared::callers::{self, Operate};
use shared::operation::Work;
use tokio::runtime::Runtime;

/// The longest that a caller waits for a connection, and a writer to SQLite for the others: none of them may fail.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let runtime = Runtime::new()?;
    let served = match variable("DATABASE_TYPE")?.as_str() {
        "sqlite" => runtime.block_on(sqlite::Sqlite::connect()).and_then(|contestant| serve(&runtime, contestant)),
        "mysql" => runtime.block_on(mysql::Mysql::connect()).and_then(|contestant| serve(&runtime, contestant)),
        other => bail!("DATABASE_TYPE is {other}: use sqlite or mysql"),
    };
    if let Err(error) = &served {
        println!("error {}", one_line(error));
    }
    served
}

fn serve<C: Operate>(runtime: &Runtime, contestant: C) -> Result<()> {
    let contestant = Arc::new(contestant);
    let mut answers = stdout();
    writeln!(answers, "ready")?;
    for order in stdin().lock().lines() {
        let outcome = work(&order?).and_then(|work| runtime.block_on(callers::run(&contestant, &work)));
        match outcome {
            Ok(outcome) => writeln!(answers, "done {} {}", outcome.elapsed.as_nanos(), outcome.rows)?,
            Err(error) => writeln!(answers, "error {}", one_line(&error))?,
        }
    }
    Ok(())
}

fn work(order: &str) -> Result<Work> {
    let words: Vec<_> = order.split(' ').collect();
    let ["run", operation, callers, first, count] = words[..] else {
        bail!("an order is `run OPERATION CALLERS FIRST COUNT`");
    };
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    Ok(Work { operation: operation.parse()?, callers: callers.parse()?, indices: first..first + count })
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

/// Connections in the pool.
fn connections() -> Result<u32> {
    Ok(variable("CONNECTIONS")?.parse()?)
}
