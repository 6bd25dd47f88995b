//! `cofferdam export`

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam::Storage;
use cofferdam::files::Whereabouts;
use cofferdam::snapshot::{self, Compression, Exported, Header, Origin, SnapshotError};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::snapshot::{Events, Watch, broken_json, reported, warn_of};
use crate::{integrity, open, output};

/// Export all states and ownerships to a file, as a backup or for other programs.
///
/// The file is NDJSON: one JSON object per line. It is compressed with zstd if its name ends in .zst. Until it is
/// complete and durable, its name ends in .partial, so an interrupted export leaves nothing that looks like a backup. The
/// bot may keep running; a row that it writes meanwhile is exported as it was before or after that write.
///
/// A SQLite file is checked for damage first. The export counts the rows in the database and fails if it read fewer.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam export backup.ndjson
  cofferdam export backup.ndjson.zst --force --json
  cofferdam export - --zstd | ssh backup 'cat > bot.ndjson.zst'

Exit codes:
  0  success
  1  failure, such as a full disk
  2  wrong usage, environment or plugin, or the file exists already
  3  the database is unavailable or too slow
  4  the database does not exist")]
pub struct Export {
    /// File to write, or - for standard output
    file: PathBuf,
    /// Compress with zstd, whatever the file name
    #[arg(long)]
    zstd: bool,
    /// Replace an existing file, but never a database, a spool or a component
    #[arg(long)]
    force: bool,
    /// Skip the integrity check of a SQLite file, which reads the whole file
    #[arg(long)]
    skip_integrity_check: bool,
    /// Print events as NDJSON; to standard error if the snapshot goes to standard output
    #[arg(long)]
    json: bool,
}

/// Looks through the file for damage, and shows that it goes on.
async fn look_through(storage: &Storage, events: Option<Events>) -> Result<(), Failure> {
    let print = events.map(|events| move |event: &Value| events.print(event));
    let print = print.as_ref().map(|print| print as &dyn Fn(&Value) -> Result<(), Failure>);
    let look = async { Ok(storage.check_integrity().await?) };
    integrity::shown("the database file", look, print).await?;
    Ok(())
}

impl Export {
    pub async fn run(self) -> Result<(), Failure> {
        let events = match (self.json, self.is_stdout()) {
            (false, _) => None,
            (true, false) => Some(Events::StandardOutput),
            (true, true) => Some(Events::StandardError),
        };
        reported(events, self.export(events).await)
    }

    fn is_stdout(&self) -> bool {
        self.file == Path::new("-")
    }

    fn compression(&self) -> Compression {
        if self.zstd { Compression::Zstd } else { Compression::of(&self.file) }
    }

    async fn export(&self, events: Option<Events>) -> Result<(), Failure> {
        if self.is_stdout() && self.compression() == Compression::Zstd && std::io::stdout().is_terminal() {
            return Err(Failure::usage("a terminal cannot show compressed data: name a file, or leave out --zstd"));
        }
        let skip = [(integrity::VARIABLE, "off".into())];
        let config = open::config_with(if self.skip_integrity_check { &skip } else { &[] })?;
        if self.is_stdout() {
            output::somebody_reads()?;
        } else {
            let file = open::named_for_output("FILE", &self.file, &config.claims())?;
            let there = Whereabouts::of(&file);
            if file.is_symlink() && !there.exists() {
                let target = there.path();
                return Err(Failure::usage(format!(
                    "FILE: {file:?} is a link to {target:?}, which is not there: name that file, or another one"
                )));
            }
        }
        let storage = open::existing_in(config).await?;
        if let Err(failure) = look_through(&storage, events).await {
            // The failure tells; closing has nothing to add.
            let _ = cofferdam::StorageService::close(&storage).await;
            return Err(failure);
        }
        let mut watch = Watch::new("exporting", events);
        let progress = watch.progress.clone();
        let result = watch.over(self.write(&storage, &progress)).await;
        let closed = cofferdam::StorageService::close(&storage).await;
        let exported = result?;
        closed?;
        warn_of(&exported.broken, "an import leaves the row out with --skip-broken, and refuses the file without it");
        let Exported { message_states, thread_ownerships, bytes, sha256, broken } = &exported;
        match events {
            Some(events) => events.print(&json!({
                "event": "exported",
                "file": self.file.to_string_lossy(),
                "message_states": message_states,
                "thread_ownerships": thread_ownerships,
                "bytes": bytes,
                "sha256": sha256,
                "broken_rules": broken_json(broken),
                "seconds": watch.seconds(),
            })),
            None => {
                let name = if self.is_stdout() { "standard output".into() } else { self.file.to_string_lossy() };
                let text = format!(
                    "{message_states} states and {thread_ownerships} ownerships exported to {}, {bytes} bytes",
                    output::escaped(&name)
                );
                if self.is_stdout() {
                    output::say(&text);
                    return Ok(());
                }
                output::print(&text)
            }
        }
    }

    async fn write(
        &self,
        storage: &Storage,
        progress: &std::sync::Arc<snapshot::Progress>,
    ) -> Result<Exported, Failure> {
        let backend = storage.backend();
        let header = Header {
            created_at: output::now(),
            tool: concat!("cofferdam ", env!("CARGO_PKG_VERSION")).into(),
            backend: Origin {
                name: backend.name.clone(),
                version: backend.version.clone(),
                schema_version: storage.schema_version().await?.unwrap_or_default(),
            },
        };
        let compression = self.compression();
        if self.is_stdout() {
            let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
            return Ok(snapshot::export(storage, &header, stdout, compression, progress).await?.1);
        }
        let exported = snapshot::export_to_file(storage, &header, &self.file, self.force, compression, progress).await;
        exported.map_err(|error| {
            let advice = matches!(error, SnapshotError::Exists { .. });
            let failure = Failure::from(error);
            if advice { failure.with_advice("name another file, or replace it with --force") } else { failure }
        })
    }
}
