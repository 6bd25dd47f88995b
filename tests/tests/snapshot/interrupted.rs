//! Killed at any moment, and repeated.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use cofferdam_tests::harness::command::{on, run};
use cofferdam_tests::harness::seed;

use crate::{Rows, assert_same, empty_homes, file_named, text};

/// Kills of each command on each backend.
const KILLS: u32 = 12;

/// How long it takes when nobody kills it.
fn undisturbed(command: &mut Command) -> Duration {
    let start = Instant::now();
    run(command, 0);
    start.elapsed()
}

/// Kills it within this time. Whether it was still running.
fn killed(command: &mut Command, random: &mut fastrand::Rng, within: Duration) -> Result<bool> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_micros(random.u64(..within.as_micros() as u64)));
    child.kill()?;
    let status = child.wait()?;
    ensure!(status.success() || status.code().is_none(), "it failed by itself: {status}");
    Ok(!status.success())
}

fn is_whole(home: &cofferdam_tests::harness::storage::Home, file: &Path) {
    run(&mut on(home, &["import", text(file), "--dry-run"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_export_leaves_no_file_that_looks_whole() -> Result<()> {
    let mut random = seed::random()?;
    let rows = Rows::numbered(30_000, 10_000);
    for home in empty_homes().await? {
        rows.write(&home).await?;
        let (folder, file) = file_named("backup.ndjson")?;
        let time = undisturbed(&mut on(&home, &["export", text(&file)]));
        std::fs::remove_file(&file)?;
        let (mut kills, mut partial) = (0, 0);
        for _ in 0..KILLS {
            kills += u32::from(killed(&mut on(&home, &["export", text(&file)]), &mut random, time)?);
            for entry in std::fs::read_dir(folder.path())? {
                let path = entry?.path();
                if path == file {
                    is_whole(&home, &file);
                } else if path.extension().is_some_and(|extension| extension == "partial") {
                    partial += 1;
                } else {
                    bail!("{} was left", path.display());
                }
                std::fs::remove_file(&path)?;
            }
        }
        println!("{}: {kills} of {KILLS} exports were killed, {partial} left a partial file", home.name());
        ensure!(kills > 0);
        run(&mut on(&home, &["export", text(&file)]), 0);
        let [to, _] = empty_homes().await?;
        run(&mut on(&to, &["import", text(&file)]), 0);
        assert_same(&Rows::of(&to).await?, &rows);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_is_repeated() -> Result<()> {
    let mut random = seed::random()?;
    let rows = Rows::numbered(30_000, 10_000);
    let (_folder, file) = file_named("backup.ndjson.zst")?;
    let [from, _] = empty_homes().await?;
    rows.write(&from).await?;
    run(&mut on(&from, &["export", text(&file)]), 0);
    let times: Vec<_> =
        empty_homes().await?.iter().map(|home| undisturbed(&mut on(home, &["import", text(&file)]))).collect();
    for (place, time) in times.into_iter().enumerate() {
        let (mut kills, mut between) = (0, 0);
        for _ in 0..KILLS {
            let home = &empty_homes().await?[place];
            // Twice into the same database, so that the second goes on where there are rows.
            for _ in 0..2 {
                kills += u32::from(killed(&mut on(home, &["import", text(&file)]), &mut random, time)?);
            }
            let Rows { states, ownerships } = Rows::of(home).await?;
            between += u32::from(!states.is_empty() && states.len() + ownerships.len() < 40_000);
            // What is there is a beginning of what there will be.
            assert_eq!(states, rows.states[..states.len()]);
            assert_eq!(ownerships, rows.ownerships[..ownerships.len()]);
            run(&mut on(home, &["import", text(&file)]), 0);
            assert_same(&Rows::of(home).await?, &rows);
        }
        let name = ["sqlite", "mysql"][place];
        println!("{name}: {kills} of {} imports were killed, {between} databases were half-way", 2 * KILLS);
        ensure!(kills > 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_removes_what_is_not_whole() -> Result<()> {
    let rows = Rows::numbered(60_000, 0);
    let [home, _] = empty_homes().await?;
    rows.write(&home).await?;
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let (folder, file) = file_named("backup.ndjson")?;
        let child = on(&home, &["export", text(&file)]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // As soon as the temporary file is there.
        while std::fs::read_dir(folder.path())?.next().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status()?.success());
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
    }
    Ok(())
}
