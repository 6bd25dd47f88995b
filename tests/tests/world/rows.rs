//! Rows, and the statements that read and write them: ids that are used up or taken, keys of the user's own, values that no
//! column should hold, indexes that lack rows, and rights that are missing.

#[path = "../migrate/rig.rs"]
#[expect(dead_code, reason = "the tests of migrations use the rest")]
mod rig;

mod damage;
mod ids;
mod rights;
mod values;

use cofferdam::{Error, MessageState, OnEqual, Storage, StorageService, ThreadOwnership, TransferService};
use cofferdam_tests::harness::storage::Home;

/// A SQLite file and a database on a server.
async fn homes() -> anyhow::Result<[Home; 2]> {
    Ok([Home::sqlite()?, Home::mysql().await?])
}

fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 5)
}

/// The states by channel, with their messages.
async fn messages(storage: &Storage) -> cofferdam::Result<Vec<(String, String)>> {
    let mut rows: Vec<_> =
        storage.get_all_message_states().await?.into_iter().map(|row| (row.channel_id, row.last_message_id)).collect();
    rows.sort();
    Ok(rows)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(channel, message)| ((*channel).to_owned(), (*message).to_owned())).collect()
}

/// Where a write's outcome is of no interest.
async fn put(storage: &Storage, channel: &str, message: &str) -> Result<(), Error> {
    storage.upsert_message_state(&state(channel, message)).await.map(drop)
}

fn ownership(thread: &str, user: &str) -> ThreadOwnership {
    ThreadOwnership::new(thread, user, "bot", 5)
}

async fn import(storage: &Storage, rows: &[(&str, &str, i64)]) -> cofferdam::Result<[u64; 3]> {
    let rows: Vec<_> = rows
        .iter()
        .map(|(channel, message, updated_at)| MessageState { updated_at: *updated_at, ..state(channel, message) })
        .collect();
    let outcome = storage.import_message_states_with(&rows, OnEqual::Keep).await?;
    Ok([outcome.inserted, outcome.replaced, outcome.kept])
}
