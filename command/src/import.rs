//! `cofferdam import`

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam::files::FileUse;
use cofferdam::snapshot::{self, Contents, Imported, OnBrokenRule, SnapshotError, Verified};
use cofferdam::{ImportOutcome, StorageService, threads};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::snapshot::{Events, Watch, broken_json, reported, warn_of};
use crate::{open, output};

/// Import states and ownerships from a file that `cofferdam export` wrote.
///
/// The whole file is verified first: a truncated or damaged file, or one of a newer version, changes nothing. Every value
/// is kept. If a key is on both sides, the row with the greater updated_at wins; if they are equal, the database keeps its
/// own. The import is idempotent: repeat it after an interruption. The bot may keep running.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam import backup.ndjson.zst
  cofferdam import backup.ndjson --dry-run      verify a backup
  cofferdam import backup.ndjson --create       into a new database
  ssh backup cat bot.ndjson.zst | cofferdam import -

Exit codes:
  0  success
  1  failure
  2  wrong usage, environment or plugin; unreadable file or not a snapshot
  3  the database is unavailable or too slow: import again
  4  the database does not exist, and --create was not given
  6  success, except for rows that --skip-broken left out
  8  the snapshot is truncated or damaged, or a row in it breaks a rule;
     nothing was imported")]
pub struct Import {
    /// File to read, or - for standard input; compression is detected from its content
    file: PathBuf,
    /// Verify the whole file and import nothing; needs no database
    #[arg(long)]
    dry_run: bool,
    /// Leave out rows that break a rule, such as an empty thread id, instead of importing nothing
    #[arg(long)]
    skip_broken: bool,
    /// Create missing tables and upgrade older ones first, as a starting bot does
    #[arg(long)]
    create: bool,
    /// Print events as NDJSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub async fn run(self) -> Result<(), Failure> {
        let events = self.json.then_some(Events::StandardOutput);
        reported(events, self.import(events).await)
    }

    async fn import(&self, events: Option<Events>) -> Result<(), Failure> {
        let mut watch = Watch::new("importing", events);
        let file = self.open().await?;
        watch.set_file_bytes(file.metadata()?.len());
        let on_broken = if self.skip_broken { OnBrokenRule::Skip } else { OnBrokenRule::Refuse };
        let progress = watch.progress.clone();
        let verified = watch.over(Verified::read(file, on_broken, &progress)).await;
        let verified = verified.map_err(|error| self.failure(error))?;
        let contents = verified.contents().clone();
        if self.dry_run {
            warn_of(&contents.broken, "it would be left out");
            return match events {
                Some(events) => events.print(&contents_json("verified", &contents)),
                None => output::print(&contents_text(&contents)),
            };
        }
        let storage = if self.create { open::created().await? } else { open::existing().await? };
        let result = watch.over(verified.import(&storage, &progress)).await;
        let closed = storage.close().await;
        let imported = result.map_err(|error| self.failure(error))?;
        closed?;
        warn_of(&contents.broken, "it was left out");
        match events {
            Some(events) => events.print(&imported_json(&contents, &imported, watch.seconds()))?,
            None => output::print(&imported_text(&imported))?,
        }
        match imported.skipped {
            0 => Ok(()),
            skipped => Err(Failure::incomplete(format!(
                "{skipped} rows break a rule and were left out; all others were \
                    imported"
            ))),
        }
    }

    async fn open(&self) -> Result<File, Failure> {
        let path = match self.file.as_os_str() == "-" {
            true => self.file.clone(),
            false => open::named("FILE", &self.file, FileUse::Input)?,
        };
        // A pipe is read to its end here.
        let opened = threads::spawn(move || match path == Path::new("-") {
            false => snapshot::open(&path),
            true => match std::io::stdin().as_fd().try_clone_to_owned().map(File::from) {
                Ok(stdin) if stdin.metadata().is_ok_and(|input| input.is_dir()) => {
                    Err(SnapshotError::Folder { path: "standard input".into() })
                }
                Ok(stdin) => snapshot::spool(stdin),
                Err(source) => Err(SnapshotError::Io { what: "standard input cannot be read".into(), source }),
            },
        });
        match opened.await {
            Ok(file) => file.map_err(Failure::from),
            Err(error) => Err(Failure::failed(format!("the snapshot cannot be opened: {error}"))),
        }
    }

    /// Says which file it is, where the error is about what is in it.
    fn failure(&self, error: SnapshotError) -> Failure {
        let advice = match &error {
            SnapshotError::Row { .. } => Some("nothing was imported; --skip-broken leaves such rows out"),
            SnapshotError::Batch { .. } => Some(
                "all lines before are imported; the import is idempotent, so run it \
                again",
            ),
            _ => None,
        };
        let name = match self.file == Path::new("-") {
            true => "standard input".into(),
            false => self.file.to_string_lossy(),
        };
        let failure = Failure::from(error).while_doing(&name);
        match advice {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }
    }
}

fn contents_text(contents: &Contents) -> String {
    let Contents { header, message_states, thread_ownerships, .. } = contents;
    let backend = &header.backend;
    format!(
        "whole: {message_states} states and {thread_ownerships} ownerships, exported {} by {} from {} {}, schema \
         version {}",
        output::time(header.created_at),
        output::escaped(&header.tool),
        output::escaped(&backend.name),
        output::escaped(&backend.version),
        backend.schema_version
    )
}

fn contents_json(event: &str, contents: &Contents) -> Value {
    let header = &contents.header;
    json!({
        "event": event,
        "created_at": header.created_at,
        "tool": header.tool,
        "backend": {
            "name": header.backend.name,
            "version": header.backend.version,
            "schema_version": header.backend.schema_version,
        },
        "message_states": contents.message_states,
        "thread_ownerships": contents.thread_ownerships,
        "sha256": contents.sha256,
        "broken_rules": broken_json(&contents.broken),
    })
}

fn imported_text(imported: &Imported) -> String {
    let mut columns = output::Columns::new(&["ROWS", "INSERTED", "REPLACED", "KEPT"], &[1, 2, 3]);
    for (name, outcome) in [("states", imported.message_states), ("ownerships", imported.thread_ownerships)] {
        let ImportOutcome { inserted, replaced, kept } = outcome;
        columns.add([name.to_owned(), inserted.to_string(), replaced.to_string(), kept.to_string()]);
    }
    columns.text()
}

fn imported_json(contents: &Contents, imported: &Imported, seconds: f64) -> Value {
    let outcome = |outcome: ImportOutcome| json!({ "inserted": outcome.inserted, "replaced": outcome.replaced, "kept": outcome.kept });
    let mut event = contents_json("imported", contents);
    event["message_states"] = outcome(imported.message_states);
    event["thread_ownerships"] = outcome(imported.thread_ownerships);
    event["skipped"] = imported.skipped.into();
    event["seconds"] = seconds.into();
    event
}
