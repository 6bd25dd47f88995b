//! Runs that are killed, servers that are killed, and two runs at once: nothing is lost and nothing is doubled.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam::StorageService;
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;

use crate::rig::{dump, fill, indexes, many, migrate, remembers, rollback, times, verify, without_ids};

/// Rows of a source that is moved in several pages.
const ROWS: i64 = 40_000;

async fn source() -> Result<Home> {
    let from = Home::sqlite()?;
    from.open().await?.close().await?;
    fill(&from, &many(ROWS)).await?;
    Ok(from)
}

/// A sequence of numbers that differs from run to run.
fn random(range: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % range.max(1)
}

/// Starts it and waits until its run has begun.
fn started(command: &mut Command) -> Result<Child> {
    let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("it has no output")?);
    let mut line = String::new();
    while !line.contains("\"begins\"") {
        line.clear();
        ensure!(lines.read_line(&mut line)? > 0, "it ended before it began");
    }
    // Read on, so that it never waits for a reader.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Ok(child)
}

fn end(child: &mut Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it can be waited for");
}

/// Kills runs at random moments until one comes to its end, as often as it takes to have so many kills.
async fn kill_and_resume(from: &Home, to: &Home, folder: &Path, mut kills: u32) -> Result<()> {
    let given = without_ids(dump(from).await?);
    let whole = Instant::now();
    run(&mut migrate(from, to, folder, &["--execute", "--no-verify"]), 0);
    let whole = whole.elapsed().as_millis() as u64;
    run(&mut rollback(to, folder, &[]), 0);
    while kills > 0 {
        let mut run_was_killed = false;
        loop {
            let mut command = migrate(from, to, folder, &["--execute", "--no-verify", "--json"]);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            if kills > 0 {
                std::thread::sleep(Duration::from_millis(random(whole)));
                if child.try_wait()?.is_none() {
                    child.kill()?;
                    child.wait()?;
                    kills -= 1;
                    run_was_killed = true;
                    // A rollback in the middle is as exact as one at the end.
                    if kills % 5 == 4 {
                        run(&mut rollback(to, folder, &["--all"]), 0);
                        assert!(dump(to).await? == (Vec::new(), Vec::new()), "the rollback is not exact");
                        assert_eq!(indexes(to).await?.len(), 2, "an index is missing");
                        run_was_killed = false;
                    }
                    continue;
                }
            }
            let output = child.wait_with_output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout)?;
            let moved = text.lines().find(|line| line.contains("\"moved\"")).context("it says what was moved")?;
            let tally = serde_json::from_str::<Value>(moved)?["tally"].clone();
            let rows = (given.0.len() + given.1.len()) as u64;
            assert_eq!(tally["read"], rows, "{tally}");
            // One that was killed between its last page and its exit had inserted them all, and this one is another run.
            let was_done = run_was_killed && tally["kept"] == rows;
            assert!(was_done || tally["inserted"] == rows, "{tally}");
            break;
        }
        assert!(without_ids(dump(to).await?) == given, "something was lost, doubled or changed");
        assert_eq!(indexes(to).await?.len(), 2, "an index is missing");
        run(&mut rollback(to, folder, &["--all"]), 0);
        assert!(dump(to).await? == (Vec::new(), Vec::new()), "the rollback is not exact");
        assert_eq!(indexes(to).await?.len(), 2, "an index is missing");
        ensure!(kills == 0 || whole > 0, "no run lasts long enough to be killed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_to_a_server_is_killed_at_any_moment_and_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    kill_and_resume(&source().await?, &Home::mysql().await?, folder.path(), times(6, 100)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_to_a_file_is_killed_at_any_moment_and_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    kill_and_resume(&source().await?, &Home::sqlite()?, folder.path(), times(6, 100)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_killed_at_any_moment_and_goes_on() -> Result<()> {
    let (from, to, folder) = (source().await?, Home::mysql().await?, tempfile::tempdir()?);
    let to_begin_with = to.open().await?;
    to_begin_with.close().await?;
    let (mut states, ownerships) = many(2_000);
    states.iter_mut().for_each(|row| row.updated_at = 5);
    fill(&to, &(states, ownerships)).await?;
    let before = dump(&to).await?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute", "--no-verify"]), 0);
    for _ in 0..times(4, 40) {
        let mut child = rollback(&to, folder.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(random(1_000)));
        end(&mut child);
    }
    if remembers(&to).await? {
        run(&mut rollback(&to, folder.path(), &[]), 0);
    }
    assert!(dump(&to).await? == before, "the rollback is not exact");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_ends_the_run_and_the_same_command_goes_on() -> Result<()> {
    let (from, folder) = (source().await?, tempfile::tempdir()?);
    let mut server = MysqlServer::start(&[]).await?;
    let to = Home::Mysql(server.create_database(DatabaseOptions::default()).await?);
    let mut child = started(&mut migrate(&from, &to, folder.path(), &["--execute", "--patience", "0s"]))?;
    let process = server.process().context("the server is this test's")?;
    process.kill()?;
    assert_eq!(child.wait()?.code(), Some(3));
    process.start_again().await?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    assert!(without_ids(dump(&to).await?) == without_ids(dump(&from).await?), "something was lost or doubled");
    run(&mut rollback(&to, folder.path(), &[]), 0);
    assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_in_time_does_not_end_the_run() -> Result<()> {
    let (from, folder) = (source().await?, tempfile::tempdir()?);
    let mut server = MysqlServer::start(&[]).await?;
    let to = Home::Mysql(server.create_database(DatabaseOptions::default()).await?);
    let mut child = started(&mut migrate(&from, &to, folder.path(), &["--execute", "--patience", "5m"]))?;
    let process = server.process().context("the server is this test's")?;
    process.kill()?;
    process.start_again().await?;
    assert_eq!(child.wait()?.code(), Some(0));
    assert!(without_ids(dump(&to).await?) == without_ids(dump(&from).await?), "something was lost or doubled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_the_second_is_refused() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source().await?, tempfile::tempdir()?);
        fill(&from, &{
            let (mut states, _) = many(200_000);
            states.drain(..ROWS as usize);
            (states, Vec::new())
        })
        .await?;
        let mut first = started(&mut migrate(&from, &to, folder.path(), &["--execute", "--no-verify"]))?;
        // Before the first is through.
        let at_once = ["--execute", "--no-verify", "--skip-integrity-check"];
        let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &at_once), 3);
        assert!(stderr.contains("another migration is writing"), "{stderr}");
        assert_eq!(first.wait()?.code(), Some(0));
        run(&mut verify(&from, &to, folder.path(), &[]), 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_ready_before_the_one_before_it_waits_for_its_turn() -> Result<()> {
    let (from, to, folder) = (source().await?, Home::mysql().await?, tempfile::tempdir()?);
    let mut first =
        many(ROWS).0.into_iter().min_by(|one, other| one.channel_id.cmp(&other.channel_id)).context("a row")?;
    (first.last_message_id, first.updated_at) = ("older".into(), 1);
    to.open().await?.close().await?;
    fill(&to, &(vec![first], Vec::new())).await?;
    let Home::Mysql(database) = &to else { unreachable!("it is a server's") };
    // A row of the first page, as a bot locks it.
    let mut bot = database.connect().await?;
    bot.query_drop("BEGIN").await?;
    bot.query_drop("SELECT * FROM message_states FOR UPDATE").await?;
    let mut run = started(&mut migrate(&from, &to, folder.path(), &["--execute", "--no-verify"]))?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((dump(&to).await?.0.len(), run.try_wait()?), (1, None), "a later page was written first");
    bot.query_drop("COMMIT").await?;
    assert_eq!(run.wait()?.code(), Some(0));
    assert!(without_ids(dump(&to).await?) == without_ids(dump(&from).await?), "something was lost or doubled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_hangs_loses_its_place_and_writes_nothing_when_it_wakes() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (source().await?, tempfile::tempdir()?);
        let mut first = started(&mut migrate(&from, &to, folder.path(), &["--execute", "--no-verify"]))?;
        stop(&first, &to)?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        signal(first.id(), "CONT")?;
        // It may have stopped in the middle of its last page, and then has nothing to lose.
        assert!(matches!(first.wait()?.code(), Some(0 | 3)));
        assert!(without_ids(dump(&to).await?) == without_ids(dump(&from).await?), "something was doubled");
        run(&mut rollback(&to, folder.path(), &["--all"]), 0);
        assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    }
    Ok(())
}

/// Stops a run, of a file's between two transactions: the lock of one would keep out whoever has the lease. A server ends them.
fn stop(run: &Child, to: &Home) -> Result<()> {
    loop {
        signal(run.id(), "STOP")?;
        // One thread has the signal, and the others go on until it sees to it.
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(run)), stopped)?;
        let Home::Sqlite(folder) = to else { return Ok(()) };
        let connection = rusqlite::Connection::open(folder.database())?;
        connection.busy_timeout(Duration::ZERO)?;
        match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {}
            answer => return Ok(answer?),
        }
        signal(run.id(), "CONT")?;
        std::thread::sleep(Duration::from_millis(random(5)));
    }
}

fn signal(process: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status()?;
    ensure!(status.success(), "kill -{name} failed");
    Ok(())
}
