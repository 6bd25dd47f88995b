//! Random sequences of operations get the same answers from a backend as from the reference.

use std::sync::Arc;
use std::time::Duration;

use cofferdam::clock::ManualClock;
use cofferdam::{ErrorKind, ImportOutcome, MessageKey, MessageState, Result, StorageService, ThreadOwnership};
use cofferdam_conformance::{Harness, MemoryStorage, NOW, Service};
use cofferdam_tests::harness::storage::{MysqlHarness, SqliteHarness};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use tokio::runtime::Runtime;

#[derive(Clone, Debug)]
enum Step {
    SetClock(i64),
    Reopen,
    Initialize,
    HealthCheck,
    Get(String, Option<String>),
    Upsert(MessageState),
    GetAll,
    Within(Duration),
    GetOwnership(String),
    UpsertOwnership(ThreadOwnership),
    GetAllOwnerships,
    Cleanup(Duration),
    Export(Option<MessageKey>, u32),
    Import(Vec<MessageState>),
    ExportOwnerships(Option<String>, u32),
    ImportOwnerships(Vec<ThreadOwnership>),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    States(Vec<MessageState>),
    Ownerships(Vec<ThreadOwnership>),
    Count(u64),
    Import(ImportOutcome),
}

/// Few ids, so that steps meet, and all different only to those who compare bytes.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => select(vec!["a", "A", "a ", "b", "\u{e9}", "e\u{301}", "\u{1f980}", "\u{ff5e}", "'\\%", "10", "9"])
            .prop_map(str::to_owned),
        1 => select(vec!["", "a\0", "\0"]).prop_map(str::to_owned),
        1 => Just("\u{1f980}".repeat(255)),
        1 => Just("x".repeat(256)),
    ]
}

fn thread() -> impl Strategy<Value = Option<String>> {
    prop_oneof![2 => Just(None), 3 => id().prop_map(Some)]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => (NOW - 5)..(NOW + 5),
        1 => Just(0_i64),
        1 => Just(NOW - 18_446_744_074),
        1 => select(vec![i64::MIN, -1, 1, i64::MAX]),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        10 => (0_u64..6).prop_map(Duration::from_secs),
        5 => (0_u64..6_000_000_000).prop_map(Duration::from_nanos),
        1 => Just(Duration::from_nanos(u64::MAX)),
    ]
}

fn state() -> impl Strategy<Value = MessageState> {
    (any::<i64>(), id(), thread(), id(), time(), time(), time()).prop_map(
        |(id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)| MessageState {
            id,
            channel_id,
            thread_id,
            last_message_id,
            last_seen_timestamp,
            created_at,
            updated_at,
        },
    )
}

fn ownership() -> impl Strategy<Value = ThreadOwnership> {
    (any::<i64>(), id(), id(), id(), time(), time(), time()).prop_map(
        |(id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at)| ThreadOwnership {
            id,
            thread_id,
            original_user_id,
            created_by,
            creation_time,
            created_at,
            updated_at,
        },
    )
}

/// A key to start a page after is one that a row can have.
fn message_key() -> impl Strategy<Value = Option<MessageKey>> {
    let valid = |id: &String| (1..=255).contains(&id.chars().count()) && !id.contains('\0');
    let thread = thread().prop_filter("a valid thread", move |thread| thread.as_ref().is_none_or(valid));
    let key = (id().prop_filter("a valid channel", valid), thread)
        .prop_map(|(channel_id, thread_id)| MessageKey { channel_id, thread_id });
    prop::option::of(key)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => ((NOW - 5)..(NOW + 5)).prop_map(Step::SetClock),
        1 => Just(Step::Reopen),
        1 => Just(Step::Initialize),
        1 => Just(Step::HealthCheck),
        4 => (id(), thread()).prop_map(|(channel, thread)| Step::Get(channel, thread)),
        12 => state().prop_map(Step::Upsert),
        3 => Just(Step::GetAll),
        3 => duration().prop_map(Step::Within),
        3 => id().prop_map(Step::GetOwnership),
        8 => ownership().prop_map(Step::UpsertOwnership),
        2 => Just(Step::GetAllOwnerships),
        2 => duration().prop_map(Step::Cleanup),
        2 => (message_key(), 0_u32..6).prop_map(|(after, limit)| Step::Export(after, limit)),
        4 => vec(state(), 0..7).prop_map(Step::Import),
        2 => (message_key(), 0_u32..6)
            .prop_map(|(after, limit)| Step::ExportOwnerships(after.map(|key| key.channel_id), limit)),
        4 => vec(ownership(), 0..7).prop_map(Step::ImportOwnerships),
    ]
}

/// What a storage answers, without the ids of rows, which are its own affair.
async fn answer(storage: &dyn Service, clock: &ManualClock, step: &Step) -> Result<Answer, ErrorKind> {
    let nothing = |()| Answer::Nothing;
    let states =
        |rows: Vec<MessageState>| Answer::States(rows.into_iter().map(|row| MessageState { id: 0, ..row }).collect());
    let ownerships = |rows: Vec<ThreadOwnership>| {
        Answer::Ownerships(rows.into_iter().map(|row| ThreadOwnership { id: 0, ..row }).collect())
    };
    let answer = match step {
        Step::SetClock(seconds) => {
            clock.set(*seconds);
            Ok(Answer::Nothing)
        }
        Step::Reopen => match storage.close().await {
            Ok(()) => storage.initialize().await.map(nothing),
            Err(error) => Err(error),
        },
        Step::Initialize => storage.initialize().await.map(nothing),
        Step::HealthCheck => storage.health_check().await.map(nothing),
        Step::Get(channel, thread) => {
            storage.get_message_state(channel, thread.as_deref()).await.map(|row| states(row.into_iter().collect()))
        }
        Step::Upsert(state) => storage.upsert_message_state(state).await.map(drop).map(nothing),
        Step::GetAll => storage.get_all_message_states().await.map(states),
        Step::Within(window) => storage.get_message_states_within_window(*window).await.map(states),
        Step::GetOwnership(thread) => {
            storage.get_thread_ownership(thread).await.map(|row| ownerships(row.into_iter().collect()))
        }
        Step::UpsertOwnership(ownership) => storage.upsert_thread_ownership(ownership).await.map(drop).map(nothing),
        Step::GetAllOwnerships => storage.get_all_thread_ownerships().await.map(ownerships),
        Step::Cleanup(age) => storage
            .cleanup_old_thread_ownerships(*age)
            .await
            .map(|removed| Answer::Count(removed.stored().unwrap_or(u64::MAX))),
        Step::Export(after, limit) => storage.export_message_states(after.as_ref(), *limit).await.map(states),
        Step::Import(rows) => storage.import_message_states(rows).await.map(Answer::Import),
        Step::ExportOwnerships(after, limit) => {
            storage.export_thread_ownerships(after.as_deref(), *limit).await.map(ownerships)
        }
        Step::ImportOwnerships(rows) => storage.import_thread_ownerships(rows).await.map(Answer::Import),
    };
    answer.map_err(|error| error.kind())
}

async fn same_answers(harness: &dyn Harness, steps: &[Step]) -> Result<(), TestCaseError> {
    let subject = harness.initialized().await.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
    let clock = Arc::new(ManualClock::at(NOW));
    let reference = MemoryStorage::new(clock.clone());
    reference.initialize().await.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let all = [Step::GetAll, Step::GetAllOwnerships];
    for (number, step) in steps.iter().chain(&all).enumerate() {
        let expected = answer(&reference, &clock, step).await;
        let given = answer(&*subject, subject.clock(), step).await;
        prop_assert_eq!(given, expected, "step {}: {:?}", number, step);
    }
    subject.close().await.map_err(|error| TestCaseError::fail(error.to_string()))
}

/// A sequence that failed is printed, kept in `regressions`, and run first the next time.
fn check(harness: &dyn Harness, cases: u32, max_shrink_iters: u32, regressions: &'static str) {
    let runtime = Runtime::new().expect("a runtime");
    let config = Config {
        cases,
        max_shrink_iters,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        ..Config::default()
    };
    let outcome = TestRunner::new(config)
        .run(&vec(step(), 1..60), |steps| runtime.block_on(async { same_answers(harness, &steps).await }));
    if let Err(error) = outcome {
        panic!("{}: {error}", harness.name());
    }
}

#[test]
fn sqlite_answers_like_the_reference() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties-sqlite.regressions");
    check(&SqliteHarness, 256, 1024, file);
}

#[test]
fn mysql_answers_like_the_reference() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties-mysql.regressions");
    check(&MysqlHarness, 32, 128, file);
}
