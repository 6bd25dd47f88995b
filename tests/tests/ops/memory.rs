//! Metrics that nobody reads need no more memory with each operation.

use anyhow::{Result, ensure};
use cofferdam_tests::harness::memory::resident;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::writer::Worker;

/// What a process may have more in the end than after a twentieth of its operations, in KiB.
const MORE: u64 = 1 << 10;

#[test]
fn many_operations_without_a_scrape_need_no_more_memory_than_few() -> Result<()> {
    let times = if std::env::var_os("COFFERDAM_TEST_FULL").is_some() { 10_000_000 } else { 40_000 };
    let folder = SqliteFolder::new()?;
    // In a process of its own, since what is measured is all of it.
    let mut worker = Worker::start(&folder.database())?;
    let mut after = |times: u64| -> Result<u64> {
        let counted = worker.work(times)?;
        let now = resident(worker.id())?;
        println!("{counted} operations: {now} KiB");
        Ok(now)
    };
    let few = after(times / 20)?;
    let many = after(times - times / 20)?;
    let counted = worker.work(0)?;
    ensure!(counted == times + 1, "{counted} operations were counted");
    ensure!(few > 0 && many <= few + MORE, "{few} KiB became {many} KiB");
    Ok(())
}
