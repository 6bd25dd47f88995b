//! A start with a plugin that cannot be used, where the last good one is remembered.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use cofferdam::config::{Config, PluginSource};
use cofferdam::ops::parts;
use cofferdam::{ResilientStorage, StartError, StorageService};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::sqlite_config;
use cofferdam_tests::harness::wait::until;

use crate::rig::{SOON, build, message, sha256, state, to};

/// A folder with the plugin's file, which is configured, and a place for the last good one.
struct Home {
    folder: SqliteFolder,
    plugin: PathBuf,
    last_good: PathBuf,
}

impl Home {
    fn new() -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let plugin = folder.path().join("mine.wasm");
        fs::copy(build(0), &plugin)?;
        let last_good = folder.path().join("state/last-good.wasm");
        Ok(Self { folder, plugin, last_good })
    }

    fn config(&self) -> Config {
        let mut config = sqlite_config(&self.folder.database());
        config.plugin = PluginSource::File(self.plugin.clone());
        config.last_good_plugin = Some(self.last_good.clone());
        config
    }

    /// A storage that works, once its plugin is remembered.
    async fn start(&self) -> Result<ResilientStorage> {
        let storage = ResilientStorage::builder(self.config()).build()?;
        storage.initialize().await?;
        self.until_kept(&self.plugin).await?;
        Ok(storage)
    }

    async fn until_kept(&self, component: &PathBuf) -> Result<()> {
        let component = fs::read(component)?;
        until("it is remembered", SOON, async || fs::read(&self.last_good).is_ok_and(|kept| kept == component)).await
    }

    fn break_plugin(&self) -> Result<()> {
        Ok(fs::write(&self.plugin, b"\0asm, but no more")?)
    }
}

fn refusal(config: Config) -> String {
    match ResilientStorage::builder(config).build() {
        Ok(_) => "it starts".into(),
        Err(error @ StartError::Plugin(_)) => error.to_string(),
        Err(error) => format!("another error: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_and_that_is_said_until_another_one_is_swapped_in() -> Result<()> {
    let home = Home::new()?;
    let storage = home.start().await?;
    storage.upsert_message_state(&state("c", "m")).await?;
    storage.close().await?;
    home.break_plugin()?;
    let storage = ResilientStorage::builder(home.config()).build()?;
    storage.initialize().await?;
    ensure!(message(&storage, "c").await?.as_deref() == Some("m"));
    let status = storage.status();
    let plugin = &status.storage.plugin;
    ensure!(plugin.plugin.sha256 == sha256(build(0))?, "{plugin:?}");
    let why = plugin.stands_in.clone().unwrap_or_default();
    ensure!(why.contains("mine.wasm is not a WebAssembly component"), "{why}");
    let lines: Vec<_> = parts(&status, false).into_iter().map(|part| (part.name, part.standing.name())).collect();
    ensure!(lines.contains(&("plugin", "degraded")), "{lines:?}");
    // What it stands in for is mended.
    fs::copy(build(1), &home.plugin)?;
    let report = storage.swap_plugin(cofferdam::SwapRequest::new()).await?;
    ensure!(report.swapped && report.plugin.stands_in.is_none(), "{report:?}");
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_remembered_once_it_has_stood_its_trial() -> Result<()> {
    let home = Home::new()?;
    let storage = home.start().await?;
    storage.swap_plugin(to(build(1))).await?;
    for round in 0..99 {
        storage.upsert_message_state(&state("c", &round.to_string())).await?;
    }
    ensure!(fs::read(&home.last_good)? == fs::read(build(0))?, "it was remembered while on trial");
    storage.health_check().await?;
    home.until_kept(&build(1).into()).await?;
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_or_with_another_digest_or_for_another_database_the_start_fails() -> Result<()> {
    let home = Home::new()?;
    home.start().await?.close().await?;
    home.break_plugin()?;
    let without = Config { last_good_plugin: None, ..home.config() };
    ensure!(refusal(without).contains("mine.wasm is not a WebAssembly component"));
    let pinned = Config { plugin_sha256: Some(sha256(build(1))?), ..home.config() };
    ensure!(refusal(pinned).contains("mine.wasm is not a WebAssembly component"));
    fs::copy(plugins::MYSQL, &home.last_good)?;
    ensure!(refusal(home.config()).contains("mine.wasm is not a WebAssembly component"));
    fs::remove_file(&home.last_good)?;
    ensure!(refusal(home.config()).contains("mine.wasm is not a WebAssembly component"));
    Ok(())
}

/// A database that does not take the plugin is no reason to remember it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_did_not_initialise_is_not_remembered() -> Result<()> {
    let home = Home::new()?;
    fs::write(home.folder.database(), "no database, and longer than the header of one would be".repeat(10))?;
    let storage = ResilientStorage::builder(home.config()).build()?;
    ensure!(storage.initialize().await.is_err());
    ensure!(!home.last_good.exists());
    Ok(())
}
