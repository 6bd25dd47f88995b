//! Memory does not grow with the rows.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::storage::Home;

use crate::{Rows, command, empty_homes, file_named, text};

/// Rows of the smaller and of the greater database.
const FEW: u64 = 20_000;
const MANY: u64 = 240_000;

/// What the greater may need more, in KiB, which is far less than a tenth of its rows.
const MORE: u64 = 24 << 10;

/// The most memory that the command had, in KiB.
fn peak(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let ended = child.try_wait()?;
        if let Some(ended) = ended {
            ensure!(ended.success(), "{command:?}: {ended}");
            ensure!(peak > 0, "the command ended before its memory was read");
            return Ok(peak);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) {
            peak = line.split_whitespace().nth(1).context("a number")?.parse()?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat() -> Result<()> {
    let sources = [Home::sqlite()?, Home::sqlite()?];
    Rows::numbered(FEW - FEW / 10, FEW / 10).write(&sources[0]).await?;
    Rows::numbered(MANY - MANY / 10, MANY / 10).write(&sources[1]).await?;
    for name in ["backup.ndjson", "backup.ndjson.zst"] {
        let mut peaks = Vec::new();
        for source in &sources {
            let (_folder, file) = file_named(name)?;
            // Compiled code is cached from here on.
            run(&mut command(source, &["check"]), 0);
            let mut of = vec![peak(&mut command(source, &["export", text(&file)]))?];
            for to in empty_homes().await? {
                of.push(peak(&mut command(&to, &["import", text(&file)]))?);
            }
            peaks.push(of);
        }
        println!(
            "{name}: peak KiB of export, import to sqlite, import to mysql: {FEW} rows {:?}, {MANY} rows {:?}",
            peaks[0], peaks[1]
        );
        for (few, many) in peaks[0].iter().zip(&peaks[1]) {
            assert!(*many < few + MORE, "{name}: {peaks:?}");
        }
    }
    Ok(())
}
