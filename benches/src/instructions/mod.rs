//! The SQLite plugin beside rusqlite, to be counted by callgrind.
//!
//! `instructions FOLDER OPERATION CONTESTANT` runs an operation so often that one more or less does not matter, with
//! the counting on, and prints how often. The folder has been filled by `instructions FOLDER prepare`, and stays as it is:
//! each run works on a copy. `cargo xtask bench --instructions` does all of that.
//!
//! Everything repeats: keys in a fixed order, one caller on a current-thread runtime, statements prepared and
//! instances made before the counting starts, no checkpoint while it lasts.

mod callgrind;
mod contestants;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use cofferdam_tests::harness::sqlite::SqliteFolder;

use self::contestants::{Contestant, Plugin, ROWS, Rusqlite, state};

/// What is counted, and how often it runs.
///
/// A hundred upserts stay well under the 1,000 pages of write-ahead log after which a checkpoint is due.
const OPERATIONS: [(&str, usize); 3] = [("get", 100), ("upsert", 100), ("list", 10)];

/// Runs before the counting, after which nothing is done for the first time.
const WARM_UP: usize = 10;

/// Prepares the folder, or counts an operation of a contestant and prints how often it ran.
pub fn run(folder: &Path, arguments: &[&str]) -> Result<()> {
    match arguments {
        ["prepare"] => prepare(folder),
        [operation, contestant] => {
            println!("{}", measure(folder, operation, contestant)?);
            Ok(())
        }
        _ => bail!("say what is to be counted: see --help"),
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join("rows.db")
}

/// Writes the file that all runs copy, and compiles the component into the cache.
fn prepare(folder: &Path) -> Result<()> {
    let file = database(folder);
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    std::fs::create_dir_all(folder)?;
    contestants::fill(&file)
}

fn measure(folder: &Path, operation: &str, contestant: &str) -> Result<usize> {
    let (_, times) = OPERATIONS
        .into_iter()
        .find(|(name, _)| *name == operation)
        .with_context(|| format!("there is no operation {operation}"))?;
    let copy = SqliteFolder::with_copy_of(&database(folder))?;
    let mut contestant: Box<dyn Contestant> = match contestant {
        "rusqlite" => Box::new(Rusqlite::open(&copy.database())?),
        "plugin" => Box::new(Plugin::open(&copy.database())?),
        "bot" => Box::new(Plugin::resilient(&copy.database())?),
        _ => bail!("there is no contestant {contestant}"),
    };
    let mut row = 0;
    let mut round = |times: usize| -> Result<()> {
        for _ in 0..times {
            // An order that is neither the key's nor the file's.
            row = (row + 619) % ROWS;
            match operation {
                "get" => contestant.get(&state(row))?,
                "upsert" => contestant.upsert(&state(row))?,
                _ => {
                    let found = contestant.list()?;
                    ensure!(found == ROWS, "{found} rows were listed");
                }
            }
        }
        Ok(())
    };
    round(WARM_UP)?;
    callgrind::count(|| round(times))?;
    Ok(times)
}
