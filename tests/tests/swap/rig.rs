//! A resilient storage whose plugin is swapped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::config::{Config, DatabaseConfig, PluginSource, SqliteConfig};
use cofferdam::plugin::Limits;
use cofferdam::resilience::{LastSwap, SwapOutcome};
use cofferdam::{MessageState, ResilientStorage, Storage, StorageService, SwapError, SwapReport, SwapRequest};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{config, sqlite_config};
pub use cofferdam_tests::harness::wait::SOON;

/// A guest that behaves, as long as it is asked for no list.
pub const SOUND: &str = plugins::guests::HUGE_LIST;

/// Met soon, and more than a guest that behaves needs on a busy machine.
pub const LIMITS: Limits = Limits { memory: 8 << 20, compute: Duration::from_secs(2), ..Limits::standard() };

/// A storage on a file of its own, and a folder for components.
pub struct Rig {
    pub storage: ResilientStorage,
    pub folder: SqliteFolder,
}

impl Rig {
    /// Over the backend for SQLite, initialised.
    pub async fn new() -> Result<Self> {
        Self::with(|_| {}).await
    }

    /// The same with changes of its configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let mut config = sqlite_config(&folder.database());
        change(&mut config);
        Self::open(config, folder, Limits::standard()).await
    }

    /// Over a guest that behaves, in whose database other guests find what they need.
    pub async fn of_guest(guest: &str) -> Result<Self> {
        Self::of_guest_with(guest, |_| {}).await
    }

    /// The same with changes of its configuration.
    pub async fn of_guest_with(guest: &str, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let mut config = config(DatabaseConfig::Sqlite(SqliteConfig { path: folder.database() }), guest);
        change(&mut config);
        Self::open(config, folder, LIMITS).await
    }

    async fn open(config: Config, folder: SqliteFolder, limits: Limits) -> Result<Self> {
        compile(&config, build(0), limits);
        let storage = ResilientStorage::builder(config).limits(limits).build()?;
        storage.initialize().await?;
        Ok(Self { storage, folder })
    }

    pub async fn swap(&self, component: impl AsRef<Path>) -> Result<SwapReport, SwapError> {
        self.storage.swap_plugin(to(component)).await
    }

    /// A file in the folder with this content.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// The last swap that was noted.
    pub fn last(&self) -> Result<LastSwap> {
        self.storage.status().storage.swaps.last.context("no swap was noted")
    }

    /// Requires that a candidate is refused by one sentence with its file and these words, and that the plugin before answers.
    pub async fn refuses(&self, request: SwapRequest, file: &str, words: &[&str]) -> Result<SwapError> {
        let before = self.storage.status().storage;
        let error = self.storage.swap_plugin(request).await.err().with_context(|| format!("{file} was swapped in"))?;
        let message = error.to_string();
        for word in words.iter().chain([&file]) {
            ensure!(message.contains(word), "{word:?} is not in: {message}");
        }
        ensure!(!message.contains('\n') && message.chars().count() < 2_000, "one sentence: {message}");
        let after = self.storage.status().storage;
        ensure!(after.plugin == before.plugin, "{file}: {:?} answers", after.plugin);
        ensure!(after.swaps.refused == before.swaps.refused + 1, "{file}: not counted");
        ensure!(matches!(self.last()?.outcome, SwapOutcome::Refused(_)), "{file}: {:?}", self.last()?);
        self.storage.upsert_message_state(&state("kept", file)).await.with_context(|| format!("after {file}"))?;
        self.storage.get_message_state("kept", None).await.with_context(|| format!("after {file}"))?;
        Ok(error)
    }
}

/// Keeps compiled code of a component, since tests that compile at the same time may take longer than a rehearsal.
pub fn compile(config: &Config, component: impl Into<PathBuf>, limits: Limits) {
    let config = Config { plugin: PluginSource::File(component.into()), plugin_sha256: None, ..config.clone() };
    // What is no sound component is found out by the swap.
    drop(Storage::builder(config).limits(limits).build());
}

pub fn to(component: impl AsRef<Path>) -> SwapRequest {
    SwapRequest::from(PluginSource::File(component.as_ref().to_owned()))
}

pub fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 1)
}

pub async fn message(storage: &dyn StorageService, channel: &str) -> Result<Option<String>> {
    Ok(storage.get_message_state(channel, None).await?.map(|state| state.last_message_id))
}

/// The file's SHA-256, as the library tells it.
pub fn sha256(component: impl AsRef<Path>) -> Result<String> {
    Ok(cofferdam::plugin::inspect(component.as_ref())?.sha256)
}

/// The two builds of the backend for SQLite, in turn.
pub fn build(round: usize) -> &'static str {
    if round.is_multiple_of(2) { plugins::SQLITE_OTHER_BUILD } else { plugins::SQLITE }
}
