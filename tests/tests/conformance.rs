//! Every storage passes the conformance suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use cofferdam_tests::conformance::{cases, run_all};
use cofferdam_tests::harness::storage::{MysqlHarness, ResilientHarness, SqliteHarness};
use cofferdam_tests::memory::MemoryHarness;

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: BTreeSet<String> = cases().iter().map(|case| case.name()).collect();
    assert_eq!(names.len(), cases().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_in_memory_conforms() -> anyhow::Result<()> {
    run_all(Arc::new(MemoryHarness)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_backend_conforms() -> anyhow::Result<()> {
    run_all(Arc::new(SqliteHarness)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mysql_backend_conforms() -> anyhow::Result<()> {
    run_all(Arc::new(MysqlHarness)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resilient_storage_with_a_spool_conforms_on_sqlite() -> anyhow::Result<()> {
    run_all(Arc::new(ResilientHarness::Sqlite)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resilient_storage_with_a_spool_conforms_on_mysql() -> anyhow::Result<()> {
    run_all(Arc::new(ResilientHarness::Mysql)).await
}
