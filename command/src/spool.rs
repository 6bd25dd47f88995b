//! `cofferdam spool`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use cofferdam::config::{OnUnavailable, SpoolConfig};
use cofferdam::files::FileUse;
use cofferdam::ops::json;
use cofferdam::resilience::SpoolStatus;
use cofferdam::resilience::spool::{SpoolContent, SpoolEntry, SpooledWrite, inspect};
use cofferdam::{ErrorKind, ResilientStorage, StorageService};
use serde_json::{Value, json};

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::output::Row;
use crate::progress::Progress;
use crate::{open, output};

/// Inspect and replay the spool: the local file of writes that wait for the database.
///
/// A running bot with COFFERDAM_SPOOL replays its spool by itself. Use this after a bot has ended with writes in its spool.
#[derive(Subcommand)]
pub enum Spool {
    Status(Status),
    Replay(Replay),
    Export(Export),
}

impl Spool {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Status(command) => command.run(),
            Self::Replay(command) => command.run().await,
            Self::Export(command) => command.run(),
        }
    }
}

#[derive(Args)]
struct File {
    /// The spool file
    #[arg(env = "COFFERDAM_SPOOL", value_name = "FILE")]
    file: PathBuf,
}

impl File {
    fn named(&self, usage: FileUse) -> Result<PathBuf, Failure> {
        open::named("FILE (COFFERDAM_SPOOL)", &self.file, usage)
    }
}

/// Print how many writes wait, and for how long. Works while a bot uses the spool.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam spool status
  cofferdam spool status /var/lib/bot/spool --json

Exit codes:
  0  success
  1  the file cannot be read, or part of it is damaged
  2  wrong usage
  4  the file does not exist")]
pub struct Status {
    #[command(flatten)]
    spool: File,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Status {
    fn run(self) -> Result<(), Failure> {
        let content = look(&self.spool.named(FileUse::Source)?)?;
        if self.json {
            output::print_json(&summary(&self.spool.file, &content))?;
        } else {
            let mut columns = output::Columns::new(&[], &[]);
            let oldest = match oldest_seconds(&content) {
                Some(seconds) => format!("waiting for {} s", seconds),
                None => "none".into(),
            };
            for (name, value) in [
                ("file", output::escaped(&self.spool.file.to_string_lossy())),
                ("waiting", content.entries.len().to_string()),
                ("oldest", oldest),
                ("rejected", content.rejected.len().to_string()),
                ("damaged", content.unreadable.to_string()),
            ] {
                columns.add([name.to_owned(), value]);
            }
            let mut text = columns.text();
            for (entry, reason) in content.rejected.iter().take(REASONS) {
                text.push_str(&format!("refused   {}: {}\n", entry.sequence, output::escaped(reason)));
            }
            if let Some(more @ 1..) = content.rejected.len().checked_sub(REASONS) {
                text.push_str(&format!("refused   {more} more: see `cofferdam spool export`\n"));
            }
            output::print(text.trim_end())?;
        }
        whole(&self.spool.file, &content)
    }
}

/// How many refusals are shown with their reasons.
const REASONS: usize = 10;

fn look(path: &Path) -> Result<SpoolContent, Failure> {
    inspect(path).map_err(|error| match error {
        cofferdam::resilience::spool::SpoolError::NotFound { .. } => Failure::not_found(error.to_string()),
        error => Failure::failed(error.to_string()),
    })
}

/// What `status` and `check` say of a spool in JSON.
pub fn summary(path: &Path, content: &SpoolContent) -> Value {
    json!({
        "file": json::file(path),
        "waiting": content.entries.len(),
        "oldest_seconds": oldest_seconds(content),
        "rejected": content.rejected.len(),
        "refusals": content.rejected.iter().take(REASONS).map(|(entry, reason)| {
            json!({ "sequence": entry.sequence, "accepted_at": entry.accepted_at, "reason": reason })
        }).collect::<Vec<_>>(),
        "damaged": content.unreadable,
    })
}

fn oldest_seconds(content: &SpoolContent) -> Option<i64> {
    content.entries.iter().map(|entry| entry.accepted_at).min().map(|oldest| (output::now() - oldest).max(0))
}

fn whole(path: &Path, content: &SpoolContent) -> Result<(), Failure> {
    match content.unreadable {
        0 => Ok(()),
        damaged => Err(Failure::failed(format!(
            "{damaged} writes in {} are damaged: the disk changed them; the next host that opens the spool keeps the \
             others and sets the file aside",
            path.display()
        ))),
    }
}

/// Print waiting writes as NDJSON, oldest first, followed by the writes that the database refused.
#[derive(Args)]
#[command(after_help = "\
Example:
  cofferdam spool export > waiting.ndjson

Exit codes:
  0  success
  1  the file cannot be read, or part of it is damaged: the rest was printed
  2  wrong usage
  4  the file does not exist")]
pub struct Export {
    #[command(flatten)]
    spool: File,
}

impl Export {
    fn run(self) -> Result<(), Failure> {
        let content = look(&self.spool.named(FileUse::Source)?)?;
        let mut lines = String::new();
        for entry in &content.entries {
            lines.push_str(&format!("{}\n", line(entry, None)));
        }
        for (entry, reason) in &content.rejected {
            lines.push_str(&format!("{}\n", line(entry, Some(reason))));
        }
        if !lines.is_empty() {
            output::print(lines.trim_end())?;
        }
        whole(&self.spool.file, &content)
    }
}

fn line(entry: &SpoolEntry, rejected: Option<&str>) -> Value {
    let mut line = json!({ "sequence": entry.sequence, "accepted_at": entry.accepted_at });
    let (name, write) = match &entry.write {
        SpooledWrite::State(state) => ("message_state", state.json()),
        SpooledWrite::Ownership(ownership) => ("thread_ownership", ownership.json()),
        SpooledWrite::Cleanup { cutoff } => ("cleanup", json!({ "creation_time_before": cutoff })),
    };
    line[name] = write;
    if let Some(reason) = rejected {
        line["rejected"] = reason.into();
    }
    line
}

/// Replay waiting writes into the database that the environment names.
///
/// A newer row in the database is kept. Stop the bot first: a running bot replays its spool by itself. If the database
/// refuses a write but accepts others, the write is set aside. If it refuses all of them, they stay in the spool.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam spool replay
  cofferdam spool replay /var/lib/bot/spool --timeout 10m
  cofferdam spool replay --refused

Exit codes:
  0  the spool is empty
  1  failure, or the database refuses writes: they stay in the file
  2  wrong usage, environment or plugin
  3  the database is unavailable or too slow, or another process uses the spool
  4  the file or the database does not exist")]
pub struct Replay {
    #[command(flatten)]
    spool: File,
    /// Deadline for the replay, such as 30s or 10m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = positive_duration)]
    timeout: Duration,
    /// Also retry refused writes, except those that a later write of the same row replaced
    #[arg(long)]
    refused: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Replay {
    async fn run(self) -> Result<(), Failure> {
        let before = look(&self.spool.named(FileUse::Database)?)?;
        let mut config = open::config()?;
        let database = config.database.clone();
        config.resilience.on_unavailable = OnUnavailable::Fail;
        config.resilience.spool = Some(SpoolConfig { path: self.spool.file.clone(), limit: SpoolConfig::LIMIT });
        let storage = open::load_resilient(config).await?;
        open::initialize_existing(storage.storage(), &database).await?;
        storage.initialize().await?;
        let restored = if self.refused { storage.retry_refused().await? } else { 0 };
        let total = before.entries.len() + restored;
        let ended = tokio::time::timeout(self.timeout, empty(&storage, total)).await;
        let status = storage.status();
        storage.close().await?;
        let spool = status.spool.ok_or_else(|| Failure::failed("the spool was closed meanwhile"))?;
        let kept = if self.refused { 0 } else { before.rejected.len() };
        let refused = spool.rejected.saturating_sub(kept);
        if self.json {
            output::print_json(
                &json!({ "stored": spool.replayed, "superseded": spool.superseded, "waiting": spool.depth, "rejected": refused }),
            )?;
        } else {
            let (stored, newer, waiting) = (spool.replayed, spool.superseded, spool.depth);
            output::print(&format!(
                "{stored} stored, {newer} superseded by newer rows, {refused} refused, {waiting} waiting"
            ))?;
        }
        if !matches!(ended, Ok(true)) {
            let why = spool.paused.or(status.last_error.map(|last| last.error));
            let text = why.as_ref().map_or_else(|| "the deadline passed".into(), ToString::to_string);
            let text = format!("{} writes still wait: {text}", spool.depth);
            return Err(match ended {
                Ok(_) => Failure::failed(text),
                Err(_) => Failure::unavailable(text),
            });
        }
        match refused {
            0 => Ok(()),
            refused => Err(Failure::failed(format!(
                "the database refused {refused} writes, which are set aside; `cofferdam spool status` and `export` \
                 show the reasons, and \
                 `cofferdam spool replay --refused` tries them again"
            ))),
        }
    }
}

/// How long a replay that is refused and stores nothing is watched.
const HOPE: Duration = Duration::from_secs(10);

/// Waits until the storage has emptied its spool, and shows how far it is. `false` where the database answers, and refuses what
/// waits.
async fn empty(storage: &ResilientStorage, total: usize) -> bool {
    let mut progress = Progress::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // The first tick comes at once.
    ticks.tick().await;
    let mut moved = (usize::MAX, tokio::time::Instant::now());
    loop {
        let (depth, paused) =
            storage.status().spool.map_or((0, None), |SpoolStatus { depth, paused, .. }| (depth, paused));
        if depth == 0 {
            return true;
        }
        if depth != moved.0 || paused.is_none_or(|error| error.kind() != ErrorKind::Refused) {
            moved = (depth, tokio::time::Instant::now());
        } else if moved.1.elapsed() > HOPE {
            return false;
        }
        tokio::select! {
            _ = ticks.tick() => progress.say(&format!("{} of {total} replayed", total.saturating_sub(depth))),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}
