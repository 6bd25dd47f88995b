//! Snapshots, as `cofferdam export` writes and `cofferdam import` reads them: exact on both backends and across them,
//! and never half a file or half an import that looks whole.

mod damage;
mod files;
mod interrupted;
mod legacy;
mod memory;
mod progress;
mod round_trip;
mod rules;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use cofferdam::{MessageKey, MessageState, StorageService, ThreadOwnership, TransferService};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::storage::Home;
use serde_json::Value;
use tempfile::TempDir;

/// Rows that tests write or read at a time.
const PAGE: u32 = 5000;

/// A folder for files, and the path of one in it.
fn file_named(name: &str) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("cofferdam-snapshot-").tempdir()?;
    let path = folder.path().join(name);
    Ok((folder, path))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs it with `--json`, wants this exit code, and reads the last event.
#[track_caller]
fn last_event(command: &mut Command, code: i32) -> Value {
    let (stdout, stderr) = run(command.arg("--json"), code);
    let last = stdout.lines().last().unwrap_or_else(|| panic!("no event; {stderr}"));
    serde_json::from_str(last).expect("an event is JSON")
}

/// All rows of a database in the order of their keys, without their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    states: Vec<MessageState>,
    ownerships: Vec<ThreadOwnership>,
}

impl Rows {
    /// So many of each, with text and numbers of every kind.
    fn numbered(states: u64, ownerships: u64) -> Self {
        const TEXTS: [&str; 6] =
            ["", "Caf\u{e9}", "cafe\u{301} ", "\u{1f980}\"\\", "\u{202e}\t\r\n", "\u{10ffff}\u{1}"];
        const TIMES: [i64; 5] = [1_700_000_000, 0, -1, i64::MIN, i64::MAX];
        let name = |n: u64, what: &str| format!("{what}{n:08}{}", TEXTS[n as usize % TEXTS.len()]);
        let time = |n: u64| TIMES[n as usize % TIMES.len()];
        let states = (0..states).map(|n| {
            let thread = (n % 3 > 0).then(|| name(n % 3, "t"));
            MessageState {
                created_at: time(n / 5),
                updated_at: time(n / 25),
                ..MessageState::new(name(n / 3, "c"), thread.as_deref(), name(n, "m"), time(n))
            }
        });
        let ownerships = (0..ownerships).map(|n| ThreadOwnership {
            created_at: time(n / 5),
            updated_at: time(n / 25),
            ..ThreadOwnership::new(name(n, "t"), name(n, "u"), name(n, "b"), time(n))
        });
        Self { states: states.collect(), ownerships: ownerships.collect() }.sorted()
    }

    /// These, and a row of each kind whose texts are as long as they may be.
    fn with_longest(mut self) -> Self {
        let long = |c: char| String::from(c).repeat(255);
        self.states.push(MessageState {
            updated_at: 1,
            ..MessageState::new(long('\u{1f980}'), Some(&long('\u{1}')), long('"'), 1)
        });
        self.ownerships.push(ThreadOwnership {
            updated_at: 1,
            ..ThreadOwnership::new(long('\u{10ffff}'), long('\\'), long('\u{e9}'), 1)
        });
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.states.sort_by(|a, b| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)));
        self.ownerships.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
        self
    }

    /// Writes them, with all their values, into a new database.
    async fn write(&self, home: &Home) -> Result<()> {
        let storage = home.open().await?;
        for page in self.states.chunks(PAGE as usize) {
            storage.import_message_states(page).await?;
        }
        for page in self.ownerships.chunks(PAGE as usize) {
            storage.import_thread_ownerships(page).await?;
        }
        storage.close().await?;
        Ok(())
    }

    async fn of(home: &Home) -> Result<Self> {
        let storage = home.open().await?;
        let mut rows = Self::default();
        loop {
            let after = rows
                .states
                .last()
                .map(|state| MessageKey { channel_id: state.channel_id.clone(), thread_id: state.thread_id.clone() });
            let page = storage.export_message_states(after.as_ref(), PAGE).await?;
            let count = page.len();
            rows.states.extend(page.into_iter().map(|state| MessageState { id: 0, ..state }));
            if count < PAGE as usize {
                break;
            }
        }
        loop {
            let after = rows.ownerships.last().map(|ownership| ownership.thread_id.clone());
            let page = storage.export_thread_ownerships(after.as_deref(), PAGE).await?;
            let count = page.len();
            rows.ownerships.extend(page.into_iter().map(|ownership| ThreadOwnership { id: 0, ..ownership }));
            if count < PAGE as usize {
                break;
            }
        }
        storage.close().await?;
        Ok(rows)
    }
}

/// Where two sets of rows differ, without printing all of them.
#[track_caller]
fn assert_same(left: &Rows, right: &Rows) {
    assert_eq!((left.states.len(), left.ownerships.len()), (right.states.len(), right.ownerships.len()));
    for (left, right) in left.states.iter().zip(&right.states) {
        assert_eq!(left, right);
    }
    for (left, right) in left.ownerships.iter().zip(&right.ownerships) {
        assert_eq!(left, right);
    }
}

/// A database of each kind, with the schema and no rows.
async fn empty_homes() -> Result<[Home; 2]> {
    let homes = [Home::sqlite()?, Home::mysql().await?];
    for home in &homes {
        home.open().await?.close().await?;
    }
    Ok(homes)
}
