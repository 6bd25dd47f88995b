//! The servers that the tests start behave as the tests expect.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::victim;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;

#[tokio::test]
async fn databases_are_apart_and_have_the_charset_asked_for() -> Result<()> {
    let server = MysqlServer::shared().await?;
    let latin1 = DatabaseOptions { charset: Some("latin1"), collation: None };
    let (first, second) =
        (server.create_database(latin1).await?, server.create_database(DatabaseOptions::default()).await?);
    let mut connection = first.connect().await?;
    let charset: Option<String> = connection.query_first("SELECT @@character_set_database").await?;
    assert_eq!(charset.as_deref(), Some("latin1"));
    connection.query_drop("CREATE TABLE t (a INT)").await?;
    connection.disconnect().await?;
    let mut connection = second.connect().await?;
    let tables: Vec<String> = connection.query("SHOW TABLES").await?;
    assert_eq!(tables, Vec::<String>::new());
    connection.disconnect().await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_killed_starts_again_with_its_committed_rows() -> Result<()> {
    let mut server = MysqlServer::start(&["--max-connections=10".to_owned()]).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    let mut connection = database.connect().await?;
    connection.query_drop("CREATE TABLE t (a INT)").await?;
    connection.query_drop("INSERT INTO t VALUES (42)").await?;
    server.process().context("the server is ours")?.kill()?;
    assert!(connection.query_drop("SELECT 1").await.is_err());
    assert!(database.connect().await.is_err());
    server.process().context("the server is ours")?.start_again().await?;
    let mut connection = database.connect().await?;
    let row: Option<(i32, u32)> = connection.query_first("SELECT a, @@max_connections FROM t").await?;
    assert_eq!(row, Some((42, 10)));
    connection.disconnect().await?;
    Ok(())
}

/// The other half of the test below: runs in a process that is killed.
#[tokio::test]
async fn victim() -> Result<()> {
    if victim::is_one() {
        let server = MysqlServer::start(&[]).await?;
        let mut connection = server.administrator().await?;
        let (pid_file, socket): (String, String) =
            connection.query_first("SELECT @@pid_file, @@socket").await?.context("a row")?;
        eprintln!("server {} {socket}", std::fs::read_to_string(pid_file)?.trim());
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_no_server_and_no_folder() -> Result<()> {
    let (mut victim, line) = victim::start("server ")?;
    let mut words = line.split_whitespace();
    let process = PathBuf::from("/proc").join(words.next().context("a process id")?);
    let folder = PathBuf::from(words.next().context("a socket")?).parent().context("a folder")?.to_owned();
    assert!(process.exists() && folder.exists());
    victim.kill()?;
    victim.wait()?;
    until("server and folder are gone", Duration::from_secs(30), async || !process.exists() && !folder.exists()).await
}
