//! Whatever is on both sides, a run does what a plain model says, and a rollback undoes it to the last id.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::Result;
use cofferdam::{MAX_ID_CHARACTERS, MessageState, StorageService, ThreadOwnership};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use tokio::runtime::Runtime;

use crate::rig::{self, Rows, dump, fill, make_legacy, remembers, times};

/// Few ids, so that rows meet, and all different only to those who compare bytes; some of them break the rules.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => select(vec!["a", "A", "a ", "b", "ab", "\u{e9}", "e\u{301}", "\u{1f980}", "\u{ff5e}", "'\\%", "10", "9"])
            .prop_map(str::to_owned),
        1 => select(vec!["", "a\0", "\0"]).prop_map(str::to_owned),
        1 => Just("\u{e9}".repeat(255)),
    ]
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..4_i64, 1 => select(vec![i64::MIN, -1, 1_700_000_000, i64::MAX])]
}

fn rows() -> impl Strategy<Value = Rows> {
    let state = (id(), proptest::option::of(id()), id(), number(), number(), number());
    let ownership = (id(), id(), id(), number(), number(), number());
    (vec(state, 0..40), vec(ownership, 0..12)).prop_map(|(states, ownerships)| {
        let states = (1..).zip(states).map(|(id, (channel_id, thread_id, last_message_id, seen, created, updated))| {
            MessageState {
                // With gaps, and not in the order of anything else.
                id: (id * 17) % 101,
                channel_id,
                thread_id,
                last_message_id,
                last_seen_timestamp: seen,
                created_at: created,
                updated_at: updated,
            }
        });
        let ownerships =
            (1..).zip(ownerships).map(|(id, (thread_id, user, by, creation_time, created, updated))| ThreadOwnership {
                id: (id * 17) % 101,
                thread_id,
                original_user_id: user,
                created_by: by,
                creation_time,
                created_at: created,
                updated_at: updated,
            });
        (states.collect(), ownerships.collect())
    })
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_CHARACTERS).contains(&text.chars().count()) && !text.contains('\0')
}

/// What the destination holds after a run, by key; ids only of rows that were there before.
fn model(source: &Rows, before: &Rows) -> (Vec<MessageState>, Vec<ThreadOwnership>, bool) {
    let fits = |row: &&MessageState| {
        is_id(&row.channel_id) && row.thread_id.as_deref().is_none_or(is_id) && is_id(&row.last_message_id)
    };
    let key = |row: &MessageState| (row.channel_id.clone(), row.thread_id.clone());
    let mut newest: BTreeMap<_, &MessageState> = BTreeMap::new();
    for row in source.0.iter().filter(fits) {
        let rank = |row: &MessageState| (row.updated_at, row.last_seen_timestamp, row.id);
        let place = newest.entry(key(row)).or_insert(row);
        if rank(row) > rank(place) {
            *place = row;
        }
    }
    let mut states: BTreeMap<_, MessageState> = before.0.iter().map(|row| (key(row), row.clone())).collect();
    for (key, row) in newest {
        match states.get_mut(&key) {
            Some(stored) if stored.updated_at < row.updated_at => {
                *stored = MessageState { id: stored.id, ..row.clone() }
            }
            Some(_) => {}
            None => drop(states.insert(key, MessageState { id: 0, ..row.clone() })),
        }
    }
    let fits = |row: &&ThreadOwnership| is_id(&row.thread_id) && is_id(&row.original_user_id) && is_id(&row.created_by);
    let mut ownerships: BTreeMap<_, ThreadOwnership> =
        before.1.iter().map(|row| (row.thread_id.clone(), row.clone())).collect();
    for row in source.1.iter().filter(fits) {
        match ownerships.get_mut(&row.thread_id) {
            Some(stored) if stored.updated_at < row.updated_at => {
                *stored = ThreadOwnership { id: stored.id, ..row.clone() };
            }
            Some(_) => {}
            None => drop(ownerships.insert(row.thread_id.clone(), ThreadOwnership { id: 0, ..row.clone() })),
        }
    }
    let all_fit =
        source.0.iter().all(|row| {
            is_id(&row.channel_id) && row.thread_id.as_deref().is_none_or(is_id) && is_id(&row.last_message_id)
        }) && source.1.iter().all(|row| fits(&row));
    (states.into_values().collect(), ownerships.into_values().collect(), all_fit)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Mysql(Option<&'static str>),
}

async fn home(kind: Kind) -> Result<Home> {
    match kind {
        Kind::Sqlite => Home::sqlite(),
        Kind::Mysql(charset) => {
            let options = DatabaseOptions { charset, ..DatabaseOptions::default() };
            Ok(Home::Mysql(MysqlServer::shared().await?.create_database(options).await?))
        }
    }
}

async fn migrate_and_back(from: Kind, to: Kind, is_legacy: bool, rows: (Rows, Rows)) -> Result<()> {
    let (source, destination) = (home(from).await?, home(to).await?);
    let folder = tempfile::tempdir()?;
    if is_legacy {
        make_legacy(&source).await?;
    } else {
        source.open().await?.close().await?;
    }
    fill(&source, &rows.0).await?;
    destination.open().await?.close().await?;
    // What breaks the rules is no row of a destination.
    let mut own = rows.1;
    own.0.retain(|row| {
        is_id(&row.channel_id) && row.thread_id.as_deref().is_none_or(is_id) && is_id(&row.last_message_id)
    });
    own.1.retain(|row| is_id(&row.thread_id) && is_id(&row.original_user_id) && is_id(&row.created_by));
    fill(&destination, &own).await?;

    // What the databases took of it is what there is to move.
    let (given, before) = (dump(&source).await?, dump(&destination).await?);
    let (states, ownerships, all_fit) = model(&given, &before);
    let code = if all_fit { 0 } else { 6 };
    run(&mut rig::migrate(&source, &destination, folder.path(), &["--execute"]), code);
    let mut after = dump(&destination).await?;
    for row in &mut after.0 {
        let is_it = |other: &MessageState| {
            (other.id, &other.channel_id, &other.thread_id) == (row.id, &row.channel_id, &row.thread_id)
        };
        if !before.0.iter().any(is_it) {
            row.id = 0;
        }
    }
    for row in &mut after.1 {
        if !before.1.iter().any(|other| (other.id, &other.thread_id) == (row.id, &row.thread_id)) {
            row.id = 0;
        }
    }
    after.0.sort_by(|a, b| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)));
    after.1.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
    assert_eq!(after, (states, ownerships));
    assert_eq!(dump(&source).await?, given, "the source was changed");

    run(&mut rig::rollback(&destination, folder.path(), &[]), 0);
    assert_eq!(dump(&destination).await?, before, "the rollback is not exact");
    assert!(!remembers(&destination).await?);
    Ok(())
}

fn check(from: Kind, to: Kind, is_legacy: bool) {
    let config = Config {
        cases: times(8, 150),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 60,
        ..Config::default()
    };
    let runtime = RefCell::new(Runtime::new().unwrap());
    TestRunner::new(config)
        .run(&(rows(), rows()), |rows| {
            runtime.borrow_mut().block_on(migrate_and_back(from, to, is_legacy, rows)).unwrap();
            Ok(())
        })
        .unwrap();
}

#[test]
fn from_a_legacy_file_to_a_server() {
    check(Kind::Sqlite, Kind::Mysql(None), true);
}

#[test]
fn from_a_legacy_latin1_server_to_a_file() {
    check(Kind::Mysql(Some("latin1")), Kind::Sqlite, true);
}

#[test]
fn from_a_legacy_utf8_server_to_another() {
    check(Kind::Mysql(Some("utf8mb4")), Kind::Mysql(None), true);
}

#[test]
fn from_a_current_file_to_another() {
    check(Kind::Sqlite, Kind::Sqlite, false);
}

#[test]
fn from_a_current_server_to_a_file() {
    check(Kind::Mysql(None), Kind::Sqlite, false);
}
