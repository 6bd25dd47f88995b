//! Databases of the original bot.

use std::path::Path;

use anyhow::Result;
use cofferdam::StorageService;
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;

use crate::rig::{dump, execute, migrate, verify, without_ids};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn file(name: &str) -> Result<Home> {
    SqliteFolder::with_copy_of(&fixture(name)).map(Home::Sqlite)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_file_arrives_whole_and_stays_as_it_was() -> Result<()> {
    let (from, to, folder) = (file("ordinary.db")?, Home::mysql().await?, tempfile::tempdir()?);
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    assert_eq!(without_ids(dump(&to).await?), without_ids(dump(&from).await?));
    let Home::Sqlite(copy) = &from else { unreachable!("it is a file") };
    assert_eq!(std::fs::read(copy.database())?, std::fs::read(fixture("ordinary.db"))?);
    run(&mut verify(&from, &to, folder.path(), &[]), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_merged_by_the_newest_and_listed() -> Result<()> {
    let (from, to, folder) = (file("duplicates.db")?, Home::mysql().await?, tempfile::tempdir()?);
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
    let (states, ownerships) = dump(&to).await?;
    assert!(states.iter().filter(|row| row.thread_id.is_none()).all(|row| row.last_message_id.ends_with("newest")));
    assert_eq!((states.len(), ownerships.len()), (6, 3));
    let lines = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(lines("cofferdam-migrate-report.ndjson").lines().count(), 5);
    let rejects = lines("cofferdam-migrate-rejects.ndjson");
    assert_eq!(rejects.lines().count(), 1);
    assert!(rejects.contains("thread_id is empty") && rejects.contains("200-empty"), "{rejects}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_file_is_moved_like_the_one_that_it_was() -> Result<()> {
    let (old, upgraded, folder) = (file("case-and-spaces.db")?, file("case-and-spaces.db")?, tempfile::tempdir()?);
    upgraded.open().await?.close().await?;
    let (one, other) = (Home::mysql().await?, Home::mysql().await?);
    run(&mut migrate(&old, &one, folder.path(), &["--execute"]), 0);
    run(&mut migrate(&upgraded, &other, folder.path(), &["--execute"]), 0);
    assert_eq!(without_ids(dump(&one).await?), without_ids(dump(&other).await?));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_any_charset_is_moved_to_a_file_and_compares_equal() -> Result<()> {
    let text = std::fs::read_to_string(fixture("legacy-mysql.sql"))?;
    let statements: Vec<&str> = text.split(";\n").filter(|text| !text.trim().is_empty()).collect();
    for charset in ["latin1", "utf8mb4"] {
        let options = DatabaseOptions { charset: Some(charset), ..DatabaseOptions::default() };
        let from = Home::Mysql(MysqlServer::shared().await?.create_database(options).await?);
        execute(&from, &["SET NAMES utf8mb4"]).await?;
        execute(&from, &statements).await?;
        let (to, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
        let (stdout, _) = run(&mut verify(&from, &to, folder.path(), &[]), 6);
        assert!(stdout.starts_with("97 keys are equal"), "{stdout}");
        // Upgraded in place it is the same.
        from.open().await?.close().await?;
        let (stdout, _) = run(&mut verify(&from, &to, folder.path(), &[]), 6);
        assert!(stdout.starts_with("97 keys are equal"), "{stdout}");
    }
    Ok(())
}
