//! Rows that no storage takes, in a file that is otherwise whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_trait::async_trait;
use cofferdam::snapshot::{self, Compression, Header, OnBrokenRule, SnapshotError, Verified};
use cofferdam::{
    Error, ErrorKind, ImportOutcome, MessageKey, MessageState, OnEqual, RowCounts, ThreadOwnership, TransferService,
};

/// A storage that has these states, and takes any. It says that it has as many as `counts` tells, one after the other.
struct Loose(Vec<MessageState>, Mutex<Vec<RowCounts>>);

#[async_trait]
impl TransferService for Loose {
    async fn count_rows(&self) -> cofferdam::Result<Option<RowCounts>> {
        Ok(self.1.lock().expect("nobody panics with it").pop())
    }

    async fn export_message_states(
        &self,
        after: Option<&MessageKey>,
        limit: u32,
    ) -> cofferdam::Result<Vec<MessageState>> {
        let key = |state: &MessageState| (state.channel_id.clone(), state.thread_id.clone());
        let after = after.map(|after| (after.channel_id.clone(), after.thread_id.clone()));
        let page = self.0.iter().filter(|state| after.as_ref().is_none_or(|after| key(state) > *after));
        Ok(page.take(limit as usize).cloned().collect())
    }

    async fn import_message_states_with(
        &self,
        states: &[MessageState],
        _: OnEqual,
    ) -> cofferdam::Result<ImportOutcome> {
        Ok(ImportOutcome { inserted: states.len() as u64, ..ImportOutcome::default() })
    }

    async fn export_thread_ownerships(&self, _: Option<&str>, _: u32) -> cofferdam::Result<Vec<ThreadOwnership>> {
        Ok(Vec::new())
    }

    async fn import_thread_ownerships_with(
        &self,
        _: &[ThreadOwnership],
        _: OnEqual,
    ) -> cofferdam::Result<ImportOutcome> {
        Err(Error::new(ErrorKind::Internal, "there are none"))
    }
}

async fn exported(states: &[(&str, Option<&str>, &str)]) -> Result<Vec<u8>, SnapshotError> {
    let state =
        |(channel, thread, message): &(&str, Option<&str>, &str)| MessageState::new(*channel, *thread, *message, 1);
    let storage = Loose(states.iter().map(state).collect(), Mutex::default());
    let (bytes, _) =
        snapshot::export(&storage, &Header::default(), Vec::new(), Compression::None, &Arc::default()).await?;
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_is_named_with_its_line() -> Result<()> {
    let long = "\u{1f980}".repeat(256);
    let cases: BTreeMap<&str, (&str, Option<&str>, &str)> = [
        ("channel-id is empty", ("", None, "m")),
        ("channel-id has 256 characters", (&*long, None, "m")),
        ("channel-id contains a NUL", ("b\0", None, "m")),
        ("thread-id is empty", ("b", Some(""), "m")),
        ("thread-id has 256 characters", ("b", Some(&*long), "m")),
        ("thread-id contains a NUL", ("b", Some("\0"), "m")),
        ("last-message-id is empty", ("b", None, "")),
        ("last-message-id has 256 characters", ("b", None, &*long)),
        ("last-message-id contains a NUL", ("b", None, "m\0m")),
    ]
    .into();
    for (rule, row) in cases {
        let mut rows = [("a", None, "m"), row, ("\u{10ffff}", None, "m")];
        rows.sort();
        let line = 2 + rows.iter().position(|other| *other == row).expect("the row") as u64;
        let file = exported(&rows).await?;
        let progress = Arc::default();
        match Verified::read(std::io::Cursor::new(file.clone()), OnBrokenRule::Refuse, &progress).await {
            Err(SnapshotError::Row { line: told, rule: text, more: 0 }) => {
                assert!(told == line && text.starts_with(rule), "line {told}: {text}");
            }
            other => panic!("{rule}: {:?}", other.map(|verified| verified.contents().clone())),
        }
        let verified = Verified::read(std::io::Cursor::new(file), OnBrokenRule::Skip, &progress).await?;
        let imported = verified.import(&Loose(Vec::new(), Mutex::default()), &progress).await?;
        assert_eq!((imported.skipped, imported.message_states.inserted), (1, 2));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_rows_that_break_a_rule_are_no_rows() -> Result<()> {
    let file = exported(&[("a", Some(""), "m"), ("b", Some(""), "m")]).await?;
    let progress = Arc::default();
    let verified = Verified::read(std::io::Cursor::new(file), OnBrokenRule::Skip, &progress).await?;
    let imported = verified.import(&Loose(Vec::new(), Mutex::default()), &progress).await?;
    assert_eq!((imported.skipped, imported.message_states), (2, ImportOutcome::default()));
    assert_eq!((progress.rows(), progress.total_rows()), (2, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_loses_its_place_is_found_out() -> Result<()> {
    match exported(&[("b", None, "m"), ("a", None, "m")]).await {
        Err(SnapshotError::Storage(error)) if error.kind() == ErrorKind::Internal => {
            assert!(error.message().contains("out of key order"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_cut_short_are_no_snapshot_unless_somebody_wrote() -> Result<()> {
    let rows = |message_states, newest| RowCounts { message_states, newest: Some(newest), ..RowCounts::default() };
    for (counts, is_whole) in [
        (vec![rows(1, 5)], true),
        (vec![rows(2, 5), rows(2, 5)], false),
        (vec![rows(2, 5), rows(2, 6)], true),
        (vec![rows(2, 5), rows(3, 5)], true),
        (vec![], true),
    ] {
        let storage = Loose(vec![MessageState::new("a", None, "m", 1)], Mutex::new(counts.clone()));
        let exported =
            snapshot::export(&storage, &Header::default(), Vec::new(), Compression::None, &Arc::default()).await;
        match exported {
            Ok(_) => assert!(is_whole, "{counts:?}"),
            Err(SnapshotError::Storage(error)) => {
                assert!(
                    !is_whole && error.message().contains("1 rows were read and there are 2"),
                    "{counts:?}: {error}"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}
