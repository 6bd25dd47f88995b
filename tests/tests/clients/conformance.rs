//! Each client passes the conformance suite, over a backend whose clock the suite sets.

use std::sync::Arc;

use anyhow::Result;
use cofferdam_conformance::{cases, run_some};
use cofferdam_tests::harness::clients::{ClientHarness, Language, is_of_clients};

async fn conforms(harness: fn(Language) -> ClientHarness, language: Language) -> Result<()> {
    println!("{}", run_some(Arc::new(harness(language)), is_of_clients).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_client_conforms() -> Result<()> {
    conforms(ClientHarness::on_sqlite, Language::Go).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_conforms() -> Result<()> {
    conforms(ClientHarness::on_sqlite, Language::Python).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_for_asyncio_conforms() -> Result<()> {
    conforms(ClientHarness::on_sqlite, Language::PythonAsyncio).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_conforms() -> Result<()> {
    conforms(ClientHarness::on_sqlite, Language::TypeScript).await
}

/// What differs is on the server's side, and all clients send the same: one is enough, and all with `COFFERDAM_TEST_FULL`.
#[tokio::test(flavor = "multi_thread")]
async fn clients_conform_on_mysql() -> Result<()> {
    let is_full = std::env::var_os("COFFERDAM_TEST_FULL").is_some();
    for language in Language::ALL.into_iter().filter(|language| is_full || *language == Language::Go) {
        conforms(ClientHarness::on_mysql, language).await?;
    }
    Ok(())
}

/// README.md says what is left out.
#[test]
fn few_cases_are_left_out() {
    let mut groups: Vec<_> = cases().iter().filter(|case| !is_of_clients(case)).map(|case| case.name()).collect();
    groups.retain(|name| !name.starts_with("pages::") && !name.starts_with("imports::"));
    let others = [
        "lifecycle::transfer_before_initialize_says_not_initialized",
        "lifecycle::transfer_after_close_says_not_initialized",
        "window::the_longest_window_of_the_contract_has_an_exact_cutoff",
    ];
    assert_eq!(groups, others);
}
