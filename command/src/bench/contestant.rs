//! One plugin with a database of its own.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::DatabaseConfig;
use cofferdam::plugin::Origin;
use cofferdam::sql::{Engine, Server};
use cofferdam::{MessageKey, MessageState, Storage, StorageService, TransferService, plugin, threads};

use super::callers::Callers;
use super::rows::Rows;
use super::scratch::{Scratch, ScratchDatabase, file_in};
use super::tally::Tally;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{open, output};

/// Rows in one import or export: large enough to be quick, small enough for every limit.
const PAGE: usize = 1000;

/// One plugin with a database of its own.
pub struct Contestant {
    /// What tells it from the others in the report.
    pub name: String,
    origin: Origin,
    engine: Engine,
    /// Removed by [`remove`](Self::remove) alone, which waits.
    scratch: Option<Scratch>,
    storage: Option<Arc<Storage>>,
    pub server: Option<Server>,
    rows: Arc<Rows>,
    callers: Callers,
    pub tally: Tally,
}

impl Contestant {
    /// Finds out what the plugin is. Makes nothing.
    pub async fn find(argument: &Path, rows: usize, callers: Callers) -> Result<Self, Failure> {
        let origin = open::plugin_named("PLUGIN", argument)?;
        let described = origin.clone();
        let description = threads::spawn(move || plugin::describe(described))
            .await
            .map_err(|error| Failure::failed(format!("inspecting the plugin failed: {error}")))??;
        Ok(Self {
            name: argument.display().to_string(),
            origin,
            engine: description.engine,
            scratch: None,
            storage: None,
            server: None,
            rows: Arc::new(Rows::new(rows)),
            callers,
            tally: Tally::new(),
        })
    }

    /// Makes its database and loads it.
    pub async fn open(&mut self, folder: &Path) -> Result<(), Failure> {
        let file = self.origin.path().map(OsString::from);
        let mut variables: Vec<(&str, OsString)> = vec![
            ("COFFERDAM_PLUGIN", file.unwrap_or_default()),
            // It can fit one of several plugins only, and this one was named.
            ("COFFERDAM_PLUGIN_SHA256", OsString::new()),
            ("DATABASE_TYPE", self.engine.name().into()),
        ];
        // Whatever the environment says of databases: those are a real bot's.
        let mut config = match self.engine {
            Engine::Sqlite => {
                let folder = Scratch::folder(folder)?;
                if let Scratch::Folder(folder) = self.scratch.insert(folder) {
                    variables.push(("DATABASE_PATH", file_in(folder).into()));
                }
                open::config_with(&variables)?
            }
            Engine::Mysql => {
                let needs = format!("plugin {} needs the MYSQL_ variables", output::escaped(&self.name));
                let mut config =
                    open::config_with(&variables).map_err(|failure| failure.in_one_line().while_doing(&needs))?;
                if let DatabaseConfig::Mysql(mysql) = &mut config.database {
                    let database = ScratchDatabase::new(mysql)?;
                    mysql.database = database.name().to_owned();
                    if let Scratch::Database(database) = self.scratch.insert(Scratch::Database(database)) {
                        database.create().await?;
                    }
                }
                config
            }
        };
        config.plugin = self.origin.clone().into();
        let storage = Arc::new(open::load(config).await?);
        self.storage = Some(storage.clone());
        storage.initialize().await?;
        self.server = Some(storage.server().await?);
        Ok(())
    }

    /// The storage, between [`open`](Self::open) and [`remove`](Self::remove).
    pub fn storage(&self) -> Result<&Arc<Storage>, Failure> {
        self.storage.as_ref().ok_or_else(|| Failure::failed(format!("plugin {} is not open", self.name)))
    }

    /// Writes every row for the first time.
    pub async fn fill(&self, progress: &mut Progress) -> Result<(), Failure> {
        let (storage, count) = (self.storage()?, self.rows.count());
        progress.begin(&format!("filling {} with {count} rows", self.name));
        let now = output::now();
        let rows: Vec<usize> = (0..count).collect();
        for page in rows.chunks(PAGE) {
            let states: Vec<_> = page
                .iter()
                .map(|row| MessageState { created_at: now, updated_at: now, ..Rows::state(*row, 0) })
                .collect();
            let outcome = storage.import_message_states(&states).await?;
            if outcome.inserted != states.len() as u64 {
                return Err(Failure::failed(format!(
                    "plugin {} inserted {} of {} rows into an empty database",
                    self.name,
                    outcome.inserted,
                    states.len()
                )));
            }
            progress.say(&format!("filling {}: {} of {count} rows", self.name, page[0] + page.len()));
        }
        Ok(())
    }

    /// Warms up, which is not measured.
    pub async fn warm_up(&mut self, length: Duration) -> Result<(), Failure> {
        let storage = self.storage()?.clone();
        let (_, samples) = self.callers.call(&storage, &self.rows, length).await?;
        self.tally.add_warm_up(samples);
        Ok(())
    }

    /// Measures for so long.
    pub async fn measure(&mut self, length: Duration) -> Result<(), Failure> {
        let storage = self.storage()?.clone();
        let (elapsed, samples) = self.callers.call(&storage, &self.rows, length).await?;
        self.tally.add(elapsed, samples);
        Ok(())
    }

    /// Reads every row and counts those that are not as they must be.
    pub async fn verify(&mut self) -> Result<(), Failure> {
        let storage = self.storage()?.clone();
        let count = self.rows.count();
        let (mut found, mut right) = (0, 0);
        let mut next = 0;
        let mut after: Option<MessageKey> = None;
        // A plugin that returns rows without an end is stopped.
        while found <= count {
            let page = match storage.export_message_states(after.as_ref(), PAGE as u32).await {
                Ok(page) => page,
                Err(error) => {
                    self.tally.note([error.to_string()]);
                    break;
                }
            };
            for state in &page {
                // They come in the order of their keys.
                match self.rows.row_of(state).filter(|row| *row >= next) {
                    None => self.tally.note(["wrong answer: another row was listed".to_owned()]),
                    Some(row) => {
                        next = row + 1;
                        match self.rows.check(row, Some(state), self.rows.oldest(row)) {
                            Ok(()) => right += 1,
                            Err(problem) => self.tally.note([problem.to_owned()]),
                        }
                    }
                }
            }
            found += page.len();
            match page.into_iter().next_back() {
                Some(last) if found % PAGE == 0 => {
                    after = Some(MessageKey { channel_id: last.channel_id, thread_id: last.thread_id });
                }
                _ => break,
            }
        }
        self.tally.wrong_rows = (found.max(count) - right) as u64;
        Ok(())
    }

    /// What is left where it is not removed.
    pub fn scratch_name(&self) -> Option<String> {
        self.scratch.as_ref().map(Scratch::name)
    }

    /// Closes the storage and removes the database.
    pub async fn remove(&mut self) -> Result<(), Failure> {
        if let Some(storage) = &self.storage
            && let Err(error) = storage.close().await
        {
            tracing::warn!(plugin = self.name, %error, "a storage did not close cleanly");
        }
        match self.scratch.take() {
            Some(scratch) => scratch.remove().await,
            None => Ok(()),
        }
    }
}
