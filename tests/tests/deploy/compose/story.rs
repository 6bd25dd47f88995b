//! The original bot's folder is taken over, the server comes late, everything is restarted, and the file is moved to the server.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::mysql::MysqlServer;
use cofferdam_tests::harness::old;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;

use super::project::{PASSWORD, Project, server_check, succeeds};
use crate::rig::{SOON, image, put};

/// What the original left.
const ROWS: u32 = 200;

/// A server as the service `mysql` makes it: with this database, and this user, who may use it over TCP.
pub async fn server() -> Result<MysqlServer> {
    let server = MysqlServer::start(&[]).await?;
    let mut connection = server.administrator().await?;
    connection.query_drop("CREATE DATABASE bot CHARACTER SET utf8mb4").await?;
    connection.query_drop(format!("CREATE USER bot@'%' IDENTIFIED BY '{}'", PASSWORD.replace('\'', "''"))).await?;
    connection.query_drop("GRANT ALL ON bot.* TO bot@'%'").await?;
    connection.disconnect().await?;
    Ok(server)
}

/// How many states the server has.
pub async fn count(server: &MysqlServer) -> Result<u32> {
    let mut connection = server.administrator().await?;
    let count: Option<u32> = connection.query_first("SELECT COUNT(*) FROM bot.message_states").await?;
    count.context("a count")
}

/// The document of a state.
pub fn state(channel: &str) -> String {
    format!(r#"{{"channel_id":"{channel}","last_message_id":"m","last_seen_timestamp":1700000000}}"#)
}

async fn stopped(mut server: Serve) -> Result<()> {
    ensure!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?.success());
    let mut status = None;
    until("it ends", SOON, async || {
        status = server.process().try_wait().ok().flatten();
        status.is_some()
    })
    .await?;
    ensure!(status.is_some_and(|status| status.success()), "{status:?}: {}", server.said()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_folder_goes_on_with_sqlite_and_then_moves_to_the_server() -> Result<()> {
    let (image, mut project, mut mysql) = (image()?, Project::new()?, server().await?);
    let port = mysql.process().context("a server of our own")?.port();
    let logs = tempfile::tempdir()?;

    // What the original bot leaves: its file, which is root's, and its variables in .env.
    std::fs::create_dir(project.path("data"))?;
    let connection = Connection::open(project.path("data/bot_state.db"))?;
    connection.execute_batch(&old::sqlite::start())?;
    for number in 0..ROWS {
        let columns = "channel_id, last_message_id, last_seen_timestamp, created_at, updated_at";
        connection
            .execute(&format!("INSERT INTO message_states ({columns}) VALUES ('c{number}', 'm', 1, 1, 1)"), [])?;
    }
    drop(connection);
    for (name, value) in [
        ("DATABASE_PATH", "./data/bot_state.db"),
        ("MYSQL_HOST", "localhost"),
        ("MYSQL_PORT", "3306"),
        ("MYSQL_PASSWORD", "the one of the original"),
        ("MYSQL_TIMEOUT", "30s"),
    ] {
        project.set(name, value)?;
    }

    // Without the step that the page has first, it says what is wrong instead of beginning an empty database.
    project.set("DATABASE_TYPE", "sqlite")?;
    let (_, refused) = run(&mut project.command(&image, "serve", port, &[])?, 1);
    ensure!(refused.contains("permission-denied") && refused.contains("/var/lib/cofferdam/data"), "{refused}");
    project.give(&image)?;

    // On SQLite, and a restart after each way to end.
    let socket = {
        let server = Serve::start(&mut project.command(&image, "serve", port, &["--json"])?, logs.path())?;
        ensure!(server.operations == "unix:/run/cofferdam/cofferdam.sock", "{}", server.operations);
        ensure!(succeeds(project.healthcheck(&image, "serve", port)?), "it is not healthy");
        let socket = project.named("run")?.join("cofferdam.sock");
        ensure!(put(&socket, "/v1/message-state", &state("new")).await? == 200);
        stopped(server).await?;
        socket
    };
    let killed = Serve::start(&mut project.command(&image, "serve", port, &["--json"])?, logs.path())?;
    ensure!(put(&socket, "/v1/message-state", &state("newer")).await? == 200);
    drop(killed);

    // To the server: it comes late, and an operator waits for it. The original's was elsewhere.
    project.set("MYSQL_HOST", "mysql")?;
    mysql.process().context("a server")?.stop()?;
    let service = project.service("mysql")?;
    ensure!(!succeeds(server_check(&service, &project.path("secrets"), port)?), "a server that is away is healthy");
    mysql.process().context("a server")?.start_again().await?;
    until("the server is healthy", SOON, async || {
        server_check(&service, &project.path("secrets"), port).is_ok_and(succeeds)
    })
    .await?;
    run(&mut project.command(&image, "migrate", port, &[])?, 0);
    ensure!(count(&mysql).await? == ROWS + 2);
    // A migration that ran goes again, as `restart` or an operator may.
    run(&mut project.command(&image, "migrate", port, &[])?, 0);
    ensure!(count(&mysql).await? == ROWS + 2);

    // On the server, which is not there yet.
    mysql.process().context("a server")?.stop()?;
    project.set("DATABASE_TYPE", "mysql")?;
    let server = Serve::start(&mut project.command(&image, "serve", port, &["--json"])?, logs.path())?;
    ensure!(put(&socket, "/v1/message-state", &state("early")).await? == 202, "a write is durable, and waits");
    ensure!(!succeeds(project.healthcheck(&image, "serve", port)?), "it is healthy without its database");
    mysql.process().context("a server")?.start_again().await?;
    until("the write arrives", SOON, async || count(&mysql).await.is_ok_and(|count| count == ROWS + 3)).await?;
    ensure!(succeeds(project.healthcheck(&image, "serve", port)?), "it is not healthy");

    // Restarts: of the database under it, and of itself while the database is away, with a write that only its disk has.
    mysql.process().context("a server")?.kill()?;
    ensure!(put(&socket, "/v1/message-state", &state("during")).await? == 202);
    stopped(server).await?;
    let server = Serve::start(&mut project.command(&image, "serve", port, &["--json"])?, logs.path())?;
    mysql.process().context("a server")?.start_again().await?;
    until("the write arrives", Duration::from_secs(60), async || {
        count(&mysql).await.is_ok_and(|count| count == ROWS + 4)
    })
    .await?;
    stopped(server).await?;
    let log = std::fs::read_to_string(logs.path().join("stderr"))?;
    ensure!(!log.contains(PASSWORD) && !log.contains("the one of the original"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_begins_with_an_empty_file() -> Result<()> {
    let (image, mut project) = (image()?, Project::new()?);
    project.make_data(&image)?;
    let logs = tempfile::tempdir()?;
    let server = Serve::start(&mut project.command(&image, "serve", 1, &["--json"])?, logs.path())?;
    ensure!(project.path("data/bot_state.db").is_file());
    stopped(server).await
}
