//! Memory does not grow with the rows.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use cofferdam_tests::harness::command::{on, run};
use cofferdam_tests::harness::memory::Memory;
use cofferdam_tests::harness::storage::Home;

use crate::{Rows, empty_homes, file_named, text};

/// Rows of the smaller and of the greater database.
const FEW: u64 = 20_000;
const MANY: u64 = 240_000;

/// What the greater may need more, in KiB, which is far less than a tenth of its rows.
const MORE: u64 = 24 << 10;

/// The most memory that the command had, in KiB.
fn peak(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let memory = Memory::watch(child.id());
    let ended = child.wait()?;
    let peak = memory.stop();
    ensure!(ended.success(), "{command:?}: {ended}");
    ensure!(peak > 0, "the command ended before its memory was read");
    Ok(peak)
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
            run(&mut on(source, &["check"]), 0);
            let mut of = vec![peak(&mut on(source, &["export", text(&file)]))?];
            for to in empty_homes().await? {
                of.push(peak(&mut on(&to, &["import", text(&file)]))?);
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
