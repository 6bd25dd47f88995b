//! Ids that are used up or taken, and keys of the user's own: a write touches the row of its key and no other.

use std::sync::Arc;

use anyhow::Result;
use cofferdam::clock::SystemClock;
use cofferdam::config::{BreakerConfig, SpoolConfig};
use cofferdam::{
    ErrorKind, MessageState, OnEqual, ResilientStorage, StorageService, ThreadOwnership, TransferService, Written,
};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, spool_in};
use cofferdam_tests::harness::wait::until_spooled;

use super::rig::{dump, execute, many, migrate, rollback, verify, without_ids};
use super::{homes, import, messages, ownership, pairs, put, state};

const LAST: i64 = i64::MAX;

/// A row of each table has the last id that there is.
async fn at_the_end(home: &Home) -> Result<()> {
    let state = format!(
        "INSERT INTO message_states (id, channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
         VALUES ({LAST}, 'a', 'of a', 1, 2, 3)"
    );
    let ownership = format!(
        "INSERT INTO thread_ownerships (id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
         VALUES ({LAST}, 'a', 'of a', 'bot', 1, 2, 3)"
    );
    execute(home, &[&state, &ownership]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_the_ids_every_write_finds_the_row_of_its_key() -> Result<()> {
    for home in homes().await? {
        let storage = home.open().await?;
        at_the_end(&home).await?;
        put(&storage, "b", "of b").await?;
        assert_eq!(messages(&storage).await?, pairs(&[("a", "of a"), ("b", "of b")]), "{}", home.name());
        put(&storage, "a", "of a again").await?;
        put(&storage, "b", "of b again").await?;
        storage.upsert_message_state(&MessageState::new("b", Some("b"), "of the thread", 1)).await?;
        storage.upsert_message_state(&MessageState { created_at: 77, ..state("c", "of c") }).await?;
        for (thread, user) in [("b", "of b"), ("a", "of a again"), ("b", "of b again")] {
            storage.upsert_thread_ownership(&ownership(thread, user)).await?;
        }
        let (states, ownerships) = dump(&home).await?;
        let found: Vec<_> = without_ids((states.clone(), Vec::new())).0;
        let found: Vec<_> =
            found.iter().map(|row| (&*row.channel_id, row.thread_id.as_deref(), &*row.last_message_id)).collect();
        let expected = [
            ("a", None, "of a again"),
            ("b", None, "of b again"),
            ("b", Some("b"), "of the thread"),
            ("c", None, "of c"),
        ];
        assert_eq!(found, expected, "{}", home.name());
        // What an upsert leaves is as it was: the id, and when the row was made.
        let a = states.iter().find(|row| row.channel_id == "a").expect("it was found");
        assert_eq!((a.id, a.created_at, a.last_seen_timestamp), (LAST, 2, 5));
        assert!(a.updated_at > 3);
        assert_eq!(states.iter().find(|row| row.channel_id == "c").map(|row| row.created_at), Some(77));
        assert!(states.iter().all(|row| row.id > 0) && ownerships.iter().all(|row| row.id > 0));
        let found: Vec<_> = without_ids((Vec::new(), ownerships)).1;
        let found: Vec<_> = found.iter().map(|row| (&*row.thread_id, &*row.original_user_id)).collect();
        assert_eq!(found, [("a", "of a again"), ("b", "of b again")], "{}", home.name());
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_the_ids_an_import_writes_all_of_its_rows() -> Result<()> {
    for home in homes().await? {
        let storage = home.open().await?;
        at_the_end(&home).await?;
        let (states, ownerships) = many(1500);
        let newer = MessageState { updated_at: 9, ..state("a", "newer") };
        let older = MessageState { updated_at: 2, ..state("a", "older") };
        let all: Vec<_> = states.iter().chain([&newer, &older]).cloned().collect();
        let outcome = storage.import_message_states(&all).await?;
        assert_eq!((outcome.inserted, outcome.replaced, outcome.kept), (1500, 1, 1), "{}", home.name());
        let again = storage.import_message_states_with(&all, OnEqual::Replace).await?;
        assert_eq!((again.inserted, again.replaced, again.kept), (0, 1501, 1), "{}", home.name());
        assert_eq!(storage.import_thread_ownerships(&ownerships).await?.inserted, 150);
        let mut expected = (states, ownerships);
        expected.0.push(newer);
        expected.1.push(ThreadOwnership {
            created_at: 2,
            updated_at: 3,
            ..ThreadOwnership::new("a", "of a", "bot", 1)
        });
        assert_eq!(without_ids(dump(&home).await?), without_ids(expected), "{}", home.name());
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_the_ids_writers_that_come_together_make_one_row_of_each_key() -> Result<()> {
    for home in homes().await? {
        let storage = home.open().await?;
        at_the_end(&home).await?;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16 {
            let storage = Arc::clone(&storage);
            writers.spawn(async move {
                for round in 0..4 {
                    storage.upsert_message_state(&state(&format!("{round}"), &format!("{writer}"))).await?;
                }
                storage.upsert_message_state(&state(&format!("own {writer}"), "x")).await
            });
        }
        while let Some(written) = writers.join_next().await {
            assert_eq!(written??, Written::Stored(()), "{}", home.name());
        }
        let rows = messages(&storage).await?;
        let mut channels: Vec<_> = rows.iter().map(|row| row.0.clone()).collect();
        channels.dedup();
        assert_eq!((rows.len(), channels.len()), (1 + 4 + 16, 1 + 4 + 16), "{}", home.name());
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_at_the_end_of_its_ids_takes_everything_and_can_be_brought_back() -> Result<()> {
    for to in homes().await? {
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        for home in [&from, &to] {
            home.open().await?.close().await?;
        }
        super::rig::fill(&from, &many(3000)).await?;
        execute(
            &from,
            &["INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
               VALUES ('a', 'newer', 1, 2, 9)"],
        )
        .await?;
        at_the_end(&to).await?;
        let before = dump(&to).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        run(&mut verify(&from, &to, folder.path(), &["--complete"]), 0);
        let (states, ownerships) = dump(&to).await?;
        assert_eq!((states.len(), ownerships.len()), (3001, 301), "{}", to.name());
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, before, "{}", to.name());
    }
    Ok(())
}

/// Whatever id the server gives next, a trigger makes it that of another key's row: as at the end of the ids on MySQL 8, or after
/// `SET insert_id`.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_finds_its_id_taken_leaves_the_other_row_alone() -> Result<()> {
    let home = Home::mysql().await?;
    let storage = home.open().await?;
    put(&storage, "a", "of a").await?;
    storage.upsert_thread_ownership(&ownership("a", "of a")).await?;
    let id = storage.get_message_state("a", None).await?.map_or(0, |row| row.id);
    let thread = storage.get_thread_ownership("a").await?.map_or(0, |row| row.id);
    for (table, id) in [("message_states", id), ("thread_ownerships", thread)] {
        let trigger = format!(
            "CREATE TRIGGER taken_{table} BEFORE INSERT ON {table} FOR EACH ROW \
             IF NEW.id = 0 THEN SET NEW.id = {id}; END IF"
        );
        execute(&home, &[&trigger]).await?;
    }
    put(&storage, "b", "of b").await?;
    put(&storage, "a", "of a again").await?;
    assert_eq!(messages(&storage).await?, pairs(&[("a", "of a again"), ("b", "of b")]));
    storage.upsert_thread_ownership(&ownership("b", "of b")).await?;
    let users: Vec<_> = without_ids((Vec::new(), dump(&home).await?.1)).1;
    let users: Vec<_> = users.iter().map(|row| (&*row.thread_id, &*row.original_user_id)).collect();
    assert_eq!(users, [("a", "of a"), ("b", "of b")]);
    let future = 9_000_000_000;
    let rows = [("a", "imported", future), ("c", "of c", 1), ("d", "of d", 1)];
    assert_eq!(import(&storage, &rows).await?, [2, 1, 0]);
    assert_eq!(messages(&storage).await?, pairs(&[("a", "imported"), ("b", "of b"), ("c", "of c"), ("d", "of d")]));
    // A page of a migration meets the same.
    let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    let source = from.open().await?;
    import(&source, &[("a", "moved", future + 1), ("e", "of e", 1), ("f", "of f", 1)]).await?;
    source.close().await?;
    run(&mut migrate(&from, &home, folder.path(), &["--execute"]), 0);
    assert_eq!(
        messages(&storage).await?,
        pairs(&[("a", "moved"), ("b", "of b"), ("c", "of c"), ("d", "of d"), ("e", "of e"), ("f", "of f")])
    );
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_collides_with_another_in_a_key_of_the_users_own_is_refused() -> Result<()> {
    for home in homes().await? {
        let storage = home.open().await?;
        put(&storage, "a", "1").await?;
        execute(&home, &["CREATE UNIQUE INDEX of_the_user ON message_states (last_message_id)"]).await?;
        let refused = async |error: Option<cofferdam::Error>| {
            let error = error.expect("it is refused");
            assert_eq!(error.kind(), ErrorKind::Refused, "{}: {error}", home.name());
            assert!(matches!(error.code(), Some("1062" | "SQLITE_CONSTRAINT_UNIQUE")), "{error}");
        };
        // New, and there: neither takes the other's row.
        refused(put(&storage, "b", "1").await.err()).await;
        assert_eq!(messages(&storage).await?, pairs(&[("a", "1")]), "{}", home.name());
        put(&storage, "b", "2").await?;
        refused(put(&storage, "b", "1").await.err()).await;
        put(&storage, "b", "2").await?;
        refused(storage.upsert_message_state(&MessageState::new("b", Some("t"), "1", 1)).await.err()).await;
        // All of an import or nothing.
        let future = 9_000_000_000;
        refused(import(&storage, &[("c", "3", 1), ("d", "1", 1), ("e", "5", 1)]).await.err()).await;
        refused(import(&storage, &[("b", "1", future), ("c", "3", 1)]).await.err()).await;
        assert_eq!(messages(&storage).await?, pairs(&[("a", "1"), ("b", "2")]), "{}", home.name());
        assert_eq!(import(&storage, &[("b", "4", future), ("c", "3", 1)]).await?, [1, 1, 0]);
        assert_eq!(messages(&storage).await?, pairs(&[("a", "1"), ("b", "4"), ("c", "3")]), "{}", home.name());
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_column_of_ids_is_used_to_its_last_one() -> Result<()> {
    let home = Home::mysql().await?;
    let storage = home.open().await?;
    execute(&home, &["ALTER TABLE message_states MODIFY id TINYINT NOT NULL AUTO_INCREMENT"]).await?;
    // Each upsert takes an id, also of a row that is there.
    for round in 0..300 {
        put(&storage, "a", &format!("{round}")).await?;
    }
    assert_eq!(messages(&storage).await?, pairs(&[("a", "299")]));
    for number in 1..127 {
        put(&storage, &format!("{number:03}"), "x").await?;
    }
    assert_eq!(messages(&storage).await?.len(), 127);
    let error = put(&storage, "one more", "x").await.expect_err("no id is left");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.message().contains("the ids of message_states are exhausted"), "{error}");
    put(&storage, "a", "still written").await?;
    put(&storage, "126", "still written").await?;
    assert_eq!(messages(&storage).await?.len(), 127);
    Ok(storage.close().await?)
}

/// SQLite's sequence is at its end without any row there.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_at_its_end_is_no_full_disk() -> Result<()> {
    let home = Home::sqlite()?;
    let storage = home.open().await?;
    put(&storage, "a", "1").await?;
    let end = format!("UPDATE sqlite_sequence SET seq = {LAST}");
    execute(&home, &[&end]).await?;
    put(&storage, "a", "2").await?;
    put(&storage, "b", "1").await?;
    put(&storage, "c", "1").await?;
    assert_eq!(messages(&storage).await?, pairs(&[("a", "2"), ("b", "1"), ("c", "1")]));
    execute(&home, &["DELETE FROM message_states"]).await?;
    put(&storage, "d", "1").await?;
    assert_eq!(messages(&storage).await?, pairs(&[("d", "1")]));
    Ok(storage.close().await?)
}

/// What a spool acknowledged gets there, and is not tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_spool_gets_into_a_table_at_the_end_of_its_ids() -> Result<()> {
    let (home, folder) = (Home::sqlite()?, SqliteFolder::new()?);
    let storage = home.open().await?;
    put(&storage, "there", "1").await?;
    storage.close().await?;
    let mut config = home.config();
    config.timeouts.operation = std::time::Duration::from_secs(3);
    config.resilience.spool = Some(SpoolConfig { ..spool_in(&folder) });
    config.resilience.breaker = BreakerConfig { failures: 0, ..config.resilience.breaker };
    let resilient = ResilientStorage::builder(config).clock(Arc::new(SystemClock)).build()?;
    resilient.initialize().await?;
    // Another process has the file locked, and leaves its ids at their end.
    let Home::Sqlite(file) = &home else { unreachable!("it is a file") };
    let other = rusqlite::Connection::open(file.database())?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    for channel in ["there", "new"] {
        until_spooled(async || resilient.upsert_message_state(&state(channel, "spooled")).await).await?;
    }
    resilient.close().await?;
    other.execute_batch(&format!("UPDATE sqlite_sequence SET seq = {LAST}; COMMIT"))?;
    drop(other);
    let spool = spool_in(&folder).path;
    let replay = |arguments: &[&str]| {
        let mut command = on_sqlite(arguments);
        command.env("DATABASE_PATH", file.database()).env("COFFERDAM_SPOOL", &spool);
        command
    };
    run(&mut replay(&["spool", "replay"]), 0);
    let storage = home.open().await?;
    assert_eq!(messages(&storage).await?, pairs(&[("new", "spooled"), ("there", "spooled")]));
    storage.close().await?;
    let (stdout, _) = run(&mut replay(&["spool", "status", "--json"]), 0);
    let status: serde_json::Value = serde_json::from_str(&stdout)?;
    assert_eq!((&status["waiting"], &status["rejected"]), (&0.into(), &0.into()), "{status}");
    Ok(())
}
