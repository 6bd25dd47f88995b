//! What an operation tells the log: its name, backend, rows, outcome and duration, and no value.

use std::sync::Arc;

use anyhow::Result;
use cofferdam::clock::SystemClock;
use cofferdam::{MessageState, StorageService};
use cofferdam_tests::harness::log::Log;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::sqlite_storage;
use tracing_subscriber::fmt::format::FmtSpan;

#[tokio::test]
async fn an_operation_is_a_span_without_values() -> Result<()> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let folder = SqliteFolder::new()?;
    let storage = sqlite_storage(&folder.database(), Arc::new(SystemClock))?;
    storage.initialize().await?;
    storage
        .upsert_message_state(&MessageState::new("hidden-channel", Some("hidden-thread"), "hidden-message", 1))
        .await?;
    assert_eq!(storage.get_all_message_states().await?.len(), 1);
    storage.get_message_state("hidden-\0channel", None).await.unwrap_err();
    storage.close().await?;

    let text = log.text();
    let operation = |name: &str| {
        let name = format!("operation=\"{name}\"");
        text.lines().find(|line| line.contains(&name) && line.contains("outcome=")).unwrap_or_default().to_owned()
    };
    for (name, parts) in [
        ("initialize", ["backend=\"sqlite\"", "rows=0", "outcome=\"ok\"", "duration_us="]),
        ("upsert_message_state", ["backend=\"sqlite\"", "rows=1", "outcome=\"ok\"", "duration_us="]),
        ("get_all_message_states", ["backend=\"sqlite\"", "rows=1", "outcome=\"ok\"", "duration_us="]),
        ("get_message_state", ["backend=\"sqlite\"", "", "outcome=\"invalid-input\"", "duration_us="]),
    ] {
        for part in parts {
            assert!(operation(name).contains(part), "{name} has no {part}:\n{text}");
        }
    }
    assert!(!text.contains("hidden-"), "a value is in the log:\n{text}");
    Ok(())
}
