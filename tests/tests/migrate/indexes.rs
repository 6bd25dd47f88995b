//! A run into an empty database goes without the indexes that only reads need, and whatever ends it creates them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::StorageService;
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::MysqlServer;
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::time::timeout;

use crate::rig::{between, dump, fill, forget, indexes, many, migrate, rollback};

const LEFT_OUT: &str = "idx_message_states_timestamp";
const KEPT: &str = "idx_thread_ownerships_creation_time";
const BOTH: [&str; 2] = [LEFT_OUT, KEPT];

/// As many as a run needs to leave an index out.
const MANY: i64 = 25_000;

/// A source of so many rows, of which the first cannot be moved.
async fn source(states: i64) -> Result<Home> {
    let from = Home::sqlite()?;
    from.open().await?.close().await?;
    let (mut states, ownerships) = many(states);
    states[0].channel_id = "0".repeat(256);
    fill(&from, &(states, ownerships)).await?;
    Ok(from)
}

/// A run that stops before its first page.
fn stop(from: &Home, to: &Home, folder: &Path) {
    run(&mut migrate(from, to, folder, &["--execute", "--stop-on-reject"]), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_missing_while_a_run_is_under_way_and_there_once_it_has_ended_in_whichever_way() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source(MANY).await?, tempfile::tempdir()?);
        to.open().await?.close().await?;
        let ends: [(Command, i32); 3] = [
            (rollback(&to, folder.path(), &[]), 0),
            (forget(&to, folder.path()), 0),
            (migrate(&from, &to, folder.path(), &["--execute"]), 6),
        ];
        for (mut end, code) in ends {
            stop(&from, &to, folder.path());
            assert_eq!(indexes(&to).await?, [KEPT], "{}", to.name());
            run(&mut end, code);
            assert_eq!(indexes(&to).await?, BOTH, "{} after {end:?}", to.name());
        }
        assert_eq!(dump(&to).await?.0.len() as i64, MANY - 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_few_rows_nothing_is_left_out() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source(300).await?, tempfile::tempdir()?);
        stop(&from, &to, folder.path());
        assert_eq!(indexes(&to).await?, BOTH, "{}", to.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_has_rows_already_keeps_its_own() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source(MANY).await?, tempfile::tempdir()?);
        to.open().await?.close().await?;
        fill(&to, &many(1_001)).await?;
        stop(&from, &to, folder.path());
        assert_eq!(indexes(&to).await?, BOTH, "{}", to.name());
    }
    Ok(())
}

/// On a server where the destination's user may do only these things.
async fn with_rights(to: &Home, rights: &str, body: impl AsyncFnOnce(&str) -> Result<()>) -> Result<()> {
    let Home::Mysql(database) = to else { anyhow::bail!("it is no server's") };
    let (name, user) = (database.config().database, format!("cofferdam_i{}", std::process::id()));
    let mut administrator = MysqlServer::shared().await?.administrator().await?;
    administrator.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'writes'")).await?;
    administrator.query_drop(format!("GRANT {rights} ON `{name}`.* TO {user}@'%'")).await?;
    let result = body(&user).await;
    administrator.query_drop(format!("DROP USER {user}@'%'")).await?;
    administrator.disconnect().await?;
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn they_stay_where_the_right_to_drop_them_is_missing() -> Result<()> {
    let (from, to, folder) = (source(MANY).await?, Home::mysql().await?, tempfile::tempdir()?);
    to.open().await?.close().await?;
    with_rights(&to, "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP", async |user| {
        let place = to.spec().replace("//cofferdam@", &format!("//{user}@"));
        let mut command = between(&to, folder.path(), &from.spec(), &place, &["--execute"]);
        run(command.env("COFFERDAM_TO_PASSWORD", "writes"), 6);
        Ok(())
    })
    .await?;
    assert_eq!(indexes(&to).await?, BOTH);
    assert_eq!(dump(&to).await?.0.len() as i64, MANY - 1);
    Ok(())
}

/// The command, which would wait for hours if it did not give way.
async fn patient(mut command: Command, code: i32) -> Result<()> {
    for name in ["COFFERDAM_LIST_TIMEOUT", "MYSQL_ROUND_TRIP_TIMEOUT"] {
        command.env(name, "1h");
    }
    Ok(tokio::task::spawn_blocking(move || drop(run(&mut command, code))).await?)
}

/// Longer than anything takes that does not wait for the one who uses the table.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_uses_the_table_for_long_holds_up_neither_a_run_nor_others() -> Result<()> {
    let (from, to, folder) = (source(MANY).await?, Home::mysql().await?, tempfile::tempdir()?);
    to.open().await?.close().await?;
    let Home::Mysql(database) = &to else { unreachable!("it is a server's") };
    let (mut reader, mut writer) = (database.connect().await?, database.connect().await?);
    let read = "START TRANSACTION; SELECT COUNT(*) FROM message_states";

    reader.query_drop(read).await?;
    timeout(DEADLINE, patient(migrate(&from, &to, folder.path(), &["--execute"]), 6))
        .await
        .context("the run waits")??;
    reader.query_drop("COMMIT").await?;
    assert_eq!(indexes(&to).await?, BOTH);
    run(&mut rollback(&to, folder.path(), &[]), 0);

    stop(&from, &to, folder.path());
    reader.query_drop(read).await?;
    let end = tokio::spawn(patient(forget(&to, folder.path()), 0));
    until("the index is being created", DEADLINE, async || {
        let waiting = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'CREATE INDEX%'";
        writer.query_first::<u8, _>(waiting).await.is_ok_and(|found| found.is_some())
    })
    .await?;
    let insert = "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
                  VALUES ('another', 'message', 1, 1, 1)";
    timeout(DEADLINE, writer.query_drop(insert)).await.context("a write waits behind the index")??;
    assert!(!end.is_finished(), "it did not wait for the reader");
    reader.query_drop("COMMIT").await?;
    end.await??;
    assert_eq!(indexes(&to).await?, BOTH);
    reader.disconnect().await?;
    writer.disconnect().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_starts_in_the_middle_of_a_run_works_without_them() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source(MANY).await?, tempfile::tempdir()?);
        to.open().await?.close().await?;
        stop(&from, &to, folder.path());
        let bot = to.open().await?;
        let states = many(5).0;
        for state in &states {
            bot.upsert_message_state(state).await?;
        }
        let ten_years = Duration::from_secs(10 * 365 * 86_400);
        assert_eq!(bot.get_message_states_within_window(ten_years).await?.len(), states.len());
        bot.cleanup_old_thread_ownerships(ten_years).await?;
        bot.close().await?;
        assert_eq!(indexes(&to).await?, [KEPT], "{}", to.name());
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
        assert_eq!(
            (dump(&to).await?.0.len() as i64, indexes(&to).await?),
            (MANY, BOTH.map(str::to_owned).to_vec()),
            "{}",
            to.name()
        );
    }
    Ok(())
}
