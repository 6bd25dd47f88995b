//! Every storage passes the conformance suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use cofferdam_conformance::{Harness, MemoryHarness, cases, run_all};
use cofferdam_tests::harness::storage::{MysqlHarness, ResilientHarness, SqliteHarness};

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: BTreeSet<String> = cases().iter().map(|case| case.name()).collect();
    assert_eq!(names.len(), cases().len());
}

async fn conforms(harness: impl Harness + 'static) -> anyhow::Result<()> {
    println!("{}", run_all(Arc::new(harness)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_in_memory_conforms() -> anyhow::Result<()> {
    conforms(MemoryHarness).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_backend_conforms() -> anyhow::Result<()> {
    conforms(SqliteHarness).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mysql_backend_conforms() -> anyhow::Result<()> {
    conforms(MysqlHarness).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resilient_storage_with_a_spool_conforms_on_sqlite() -> anyhow::Result<()> {
    conforms(ResilientHarness::Sqlite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resilient_storage_with_a_spool_conforms_on_mysql() -> anyhow::Result<()> {
    conforms(ResilientHarness::Mysql).await
}
