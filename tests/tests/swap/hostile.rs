//! Every guest that misbehaves, as a candidate: it is refused, or swapped back, and the plugin before goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::{StorageService, SwapError};
use cofferdam_tests::harness::plugins::{self, GROWING_TABLE, guests};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::sqlite_config;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rig::{LIMITS, Rig, SOON, SOUND, build, compile, state, to};

/// Those that are no backend for this database, by what the refusal says.
const UNFIT: [(&str, &str); 10] = [
    ("altered_types", "does not match the contract version that it names"),
    ("describe_lies", "fails immediately: its name is not"),
    ("describe_loops", "fails immediately: it computed for more than 1000 ms"),
    ("describe_traps", "fails immediately: it panicked"),
    ("forbidden_import", "which this host grants to no backend"),
    ("lacks_export", "it does not export"),
    ("mysql_statements", "is a backend for mysql, but DATABASE_TYPE is sqlite"),
    ("mysql_transactions", "is a backend for mysql, but DATABASE_TYPE is sqlite"),
    ("other_version", "speaks cofferdam:storage 0.3.0"),
    ("sleeping_query", "is a backend for mysql"),
];

/// Those that misbehave when they are asked for a row, by what the refusal says.
const CAUGHT: [(&str, &str); 7] = [
    ("endless_loop", "failed its rehearsal in get_message_state"),
    ("endless_recursion", "it recursed too deeply"),
    ("growing_memory", "MiB of memory"),
    ("huge_error", "failed its rehearsal in get_message_state"),
    ("invalid_utf8", "failed its rehearsal in get_message_state"),
    ("panics", "it panicked"),
    ("sleeps", "failed its rehearsal in get_message_state"),
];

/// All guests, by the names of their files.
fn all() -> Vec<&'static str> {
    let mut all = Vec::new();
    macro_rules! push {
        ($name:ident) => {
            all.push(stringify!($name))
        };
    }
    cofferdam_tests::foreach_guest!(push);
    all
}

fn component(name: &str) -> PathBuf {
    Path::new(guests::PANICS).with_file_name(name).with_extension("wasm")
}

/// One guest after a sound one. What is swapped in has to work, or to be swapped back.
async fn stands(name: &str) -> Result<()> {
    let rig = Rig::of_guest(SOUND).await?;
    let path = component(name);
    let said = UNFIT.iter().chain(&CAUGHT).find(|(known, _)| *known == name).map(|(_, said)| *said);
    // So that no kind of guest gets through by its schema alone.
    let request = to(&path).upgrade_schema();
    match said {
        Some(said) => {
            let error = rig.refuses(request, &path.to_string_lossy(), &[said]).await?;
            ensure!(!error.is_retryable(), "a retry cannot help: {error}");
        }
        None => {
            if let Err(error) = rig.storage.swap_plugin(request).await {
                ensure!(matches!(error, SwapError::Rehearsal { .. }), "{error}");
            }
            // Whoever is caught only now is swapped back after three failures.
            let deadline = Instant::now() + SOON;
            loop {
                let written = rig.storage.upsert_message_state(&state("c", "m")).await;
                if written.is_ok() && rig.storage.health_check().await.is_ok() {
                    break;
                }
                ensure!(Instant::now() < deadline, "operations do not work: {written:?}");
            }
            // The sound one itself is not loaded again.
            println!("{name}: {}", rig.last().map_or("nothing", |last| last.outcome.name()));
        }
    }
    let report = rig.storage.swap_plugin(to(SOUND).force()).await.context("a sound one afterwards")?;
    ensure!(report.swapped);
    Ok(rig.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_refused_or_harmless_and_the_plugin_before_goes_on() -> Result<()> {
    let mut all = all();
    // They bring tables of their own, and stay.
    let stay = ["clocked_mysql", "clocked_sqlite", "newer_schema", "traps_at_random"];
    all.retain(|guest| !stay.contains(guest));
    for (known, _) in UNFIT.iter().chain(&CAUGHT) {
        ensure!(all.contains(known), "there is no guest {known}");
    }
    let folder = SqliteFolder::new()?;
    let config = sqlite_config(&folder.database());
    all.iter().for_each(|name| compile(&config, component(name), LIMITS));
    // Most of the time they wait for one that hangs. Not all at once, since a rehearsal has five seconds.
    let turns = Arc::new(Semaphore::new(8));
    let mut guests = JoinSet::new();
    for name in all {
        let turns = turns.clone();
        guests.spawn(async move {
            let _turn = turns.acquire_owned().await?;
            stands(name).await.with_context(|| name.to_owned())
        });
    }
    while let Some(outcome) = guests.join_next().await {
        outcome??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_them_comes_near_the_rows_of_a_bot() -> Result<()> {
    let rig = Rig::new().await?;
    for guest in [guests::PANICS, guests::TRAPS_ON_WRITES, guests::HUGE_LIST, GROWING_TABLE] {
        // The database is at version 2, they are at 1, whatever they read there.
        rig.refuses(to(guest), guest, &[]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_refused_with_its_name() -> Result<()> {
    let rig = Rig::new().await?;
    let whole = std::fs::read(build(0))?;
    for (name, content, words) in [
        ("empty.wasm", &b""[..], "it is empty"),
        ("text.wasm", b"#!/bin/sh", "is not a WebAssembly component"),
        ("truncated.wasm", &whole[..whole.len() / 2], "is not a WebAssembly component"),
        ("bytes.wasm", &[0xff; 4096], "is not a WebAssembly component"),
    ] {
        let path = rig.file(name, content)?;
        rig.refuses(to(&path), &path.to_string_lossy(), &[words]).await?;
    }
    rig.refuses(to("/nowhere/mine.wasm"), "/nowhere/mine.wasm", &["cannot read plugin"]).await?;
    rig.refuses(to(plugins::MYSQL), plugins::MYSQL, &["is a backend for mysql"]).await?;
    let pipe = rig.folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success());
    let began = std::time::Instant::now();
    rig.refuses(to(&pipe), &pipe.to_string_lossy(), &["is not a regular file"]).await?;
    ensure!(began.elapsed() < Duration::from_secs(5), "it was read");
    Ok(())
}
