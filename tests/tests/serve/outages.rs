//! The database is away, or does not answer in time.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use cofferdam_tests::harness::{command::on_sqlite, plugins};
use hyper::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::rig::{Client, SOON, Server, command, state};

/// Keeps everybody from writing until it is dropped.
fn locked(folder: &SqliteFolder) -> Result<Connection> {
    let connection = Connection::open(folder.database())?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    Ok(connection)
}

fn spooling(folder: &SqliteFolder) -> Command {
    let mut command = command(folder, &[]);
    command.env("COFFERDAM_SPOOL", folder.path().join("spool")).env("COFFERDAM_OPERATION_TIMEOUT", "2s");
    command
}

/// Writes until the answer has this status: a disk that is slow for a moment makes a deadline pass, which clients retry.
async fn write(client: &mut Client, method: Method, path: &str, body: Value, status: u16) -> Result<()> {
    let result = if status == 202 { json!({ "result": "spooled" }) } else { json!({ "result": "stored" }) };
    until("the write is answered as it should be", SOON, async || {
        let Ok(reply) = client.send(method.clone(), path, Some(body.clone())).await else { return false };
        let document = reply.json();
        assert!(reply.status.is_success() || document["retryable"] == true, "{document}");
        reply.status == status && document == result
    })
    .await
}

/// Waits until nothing that was spooled waits any more: each try waits for a while.
async fn flushed(client: &mut Client) -> Result<()> {
    until("the spool is empty", SOON, async || {
        let reply = client.send(Method::POST, "/v1/close", None).await;
        reply.is_ok_and(|reply| reply.want(200) == json!({ "waiting": 0, "refused": 0 }))
    })
    .await
}

/// On a MySQL server that is not there.
fn without_database(folder: &SqliteFolder) -> Command {
    let mut command = on_sqlite(&["serve", "--json"]);
    command
        .env("COFFERDAM_PLUGIN", plugins::MYSQL)
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("DATABASE_TYPE", "mysql")
        .env("MYSQL_HOST", "127.0.0.1")
        .env("MYSQL_PORT", "1")
        .env("MYSQL_CONNECT_ATTEMPTS", "1")
        .env("MYSQL_USERNAME", "bot")
        .env("MYSQL_PASSWORD", "hunter2-marker");
    command
}

async fn messages(client: &mut Client, accept: &str) -> Result<Vec<Value>> {
    client.set("accept", accept)?;
    let reply = client.get("/v1/message-states").await?;
    client.unset("accept");
    if accept == "application/json" {
        let list = reply.want(200);
        return Ok(list["states"].as_array().into_iter().flatten().map(|row| row["last_message_id"].clone()).collect());
    }
    let lines = String::from_utf8(reply.body.to_vec())?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.last(), Some(&json!({ "end": { "rows": lines.len() - 1 } })));
    Ok(lines[..lines.len() - 1].iter().map(|row| row["last_message_id"].clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_spooled_read_back_and_flushed() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::run(folder.path(), &mut spooling(&folder))?;
    let mut client = server.client().await?;
    for channel in ["a", "b", "d"] {
        write(&mut client, Method::PUT, "/v1/message-state", state(channel, "stored"), 200).await?;
    }
    let lock = locked(&folder)?;
    for channel in ["b", "c"] {
        write(&mut client, Method::PUT, "/v1/message-state", state(channel, "spooled"), 202).await?;
    }
    let owned = json!({ "thread_id": "t", "original_user_id": "u", "created_by": "b", "creation_time": 1 });
    write(&mut client, Method::PUT, "/v1/thread-ownership", owned, 202).await?;
    write(&mut client, Method::POST, "/v1/thread-ownerships/cleanup", json!({ "max_age": "1h" }), 202).await?;
    let found = client.get("/v1/message-state?channel_id=c").await?.want(200);
    assert_eq!(found["state"]["last_message_id"], "spooled");
    // Readers are not locked out. What waits is in both lists: one is in the order of the operation, one in that of keys.
    for accept in ["application/json", "application/x-ndjson"] {
        assert_eq!(messages(&mut client, accept).await?, ["stored", "spooled", "spooled", "stored"], "{accept}");
    }
    assert_eq!(client.get("/v1/thread-ownerships").await?.want(200), json!({ "ownerships": [] }));
    // The client's deadline is that of the wait.
    client.set("cofferdam-timeout", "50ms")?;
    let waiting = client.send(Method::POST, "/v1/close", None).await?.want(200);
    assert!(waiting["waiting"].as_u64() >= Some(3), "{waiting}");
    client.unset("cofferdam-timeout");
    drop(lock);
    flushed(&mut client).await?;
    let stored: i64 = Connection::open(folder.database())?.query_row(
        "SELECT count(*) FROM message_states WHERE last_message_id = 'spooled'",
        [],
        |row| row.get(0),
    )?;
    assert_eq!(stored, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spooled_outlives_the_server() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::run(folder.path(), &mut spooling(&folder))?;
    let mut client = server.client().await?;
    let lock = locked(&folder)?;
    write(&mut client, Method::PUT, "/v1/message-state", state("c", "spooled"), 202).await?;
    server.signal("-KILL")?;
    server.ended().await?;
    drop(lock);
    let server = Server::run(folder.path(), &mut spooling(&folder))?;
    let mut client = server.client().await?;
    let found = client.get("/v1/message-state?channel_id=c").await?.want(200);
    assert_eq!(found["state"]["last_message_id"], "spooled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_nothing_takes_is_told_with_its_kind() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = command(&folder, &[]);
    command.env("COFFERDAM_OPERATION_TIMEOUT", "300ms");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    let _lock = locked(&folder)?;
    let reply = client.put("/v1/message-state", state("c", "m")).await?;
    let kind = reply.json()["kind"].as_str().map(str::to_owned);
    match kind.as_deref() {
        Some("conflict") => drop(reply.problem(409, "conflict")),
        _ => drop(reply.problem(504, "timeout")),
    }
    assert_eq!(reply.json()["retryable"], true);
    client.set("cofferdam-timeout", "20ms")?;
    let detail = client.put("/v1/message-state", state("c", "m")).await?.problem(504, "timeout");
    assert!(detail.contains("deadline"), "{detail}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_spooled_before_its_client_gives_up() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = command(&folder, &[]);
    command.env("COFFERDAM_SPOOL", folder.path().join("spool")).env("COFFERDAM_OPERATION_TIMEOUT", "1h");
    // Of clients in a hurry nothing is learnt about the database.
    command.env("COFFERDAM_BREAKER_FAILURES", "1").env("COFFERDAM_LOG", "cofferdam=debug");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    let lock = locked(&folder)?;
    client.set("cofferdam-timeout", "1500ms")?;
    let owned = json!({ "thread_id": "t", "original_user_id": "u", "created_by": "b", "creation_time": 1 });
    write(&mut client, Method::PUT, "/v1/message-state", state("c", "spooled"), 202).await?;
    write(&mut client, Method::PUT, "/v1/thread-ownership", owned, 202).await?;
    write(&mut client, Method::POST, "/v1/thread-ownerships/cleanup", json!({ "max_age": "1h" }), 202).await?;
    // What is acknowledged stays, whatever happens to the server.
    server.signal("-KILL")?;
    server.ended().await?;
    drop(lock);
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    flushed(&mut client).await?;
    let file = Connection::open(folder.database())?;
    let message: String = file.query_row("SELECT last_message_id FROM message_states", [], |row| row.get(0))?;
    assert_eq!(message, "spooled");
    let owned: i64 = file.query_row("SELECT count(*) FROM thread_ownerships", [], |row| row.get(0))?;
    assert_eq!(owned, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_its_database_and_says_when_to_retry() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = without_database(&folder);
    command.env("COFFERDAM_BREAKER_PROBE_INTERVAL", "30s");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    until("the breaker is open, and its next probe is told", SOON, async || {
        let Ok(reply) = client.get("/v1/health").await else { return false };
        reply.problem(503, "unavailable");
        assert_eq!(reply.json()["retryable"], true);
        reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| (2..=33).contains(&seconds))
    })
    .await?;
    client.put("/v1/message-state", state("c", "m")).await?.problem(503, "unavailable");
    client.get("/v1/message-states").await?.problem(503, "unavailable");
    client.set("accept", "application/x-ndjson")?;
    client.get("/v1/message-states").await?.problem(503, "unavailable");
    assert_eq!(client.send(Method::POST, "/v1/initialize", None).await?.want(200), json!({ "readiness": "degraded" }));
    assert_eq!(Client::connect(&server.administration).await?.get("/livez").await?.status, 200);
    assert!(!server.said()?.contains("hunter2-marker"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_not_start_without_its_database_does_not() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = without_database(&folder);
    let output = command.env("COFFERDAM_ON_UNAVAILABLE", "fail").output()?;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(!folder.path().join("cofferdam.sock").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_ends_with_its_client() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = command(&folder, &[]);
    command.env("COFFERDAM_OPERATION_TIMEOUT", "1h").env("COFFERDAM_LOG", "cofferdam=debug");
    let server = Server::run(folder.path(), &mut command)?;
    let lock = locked(&folder)?;
    let mut client = server.client().await?;
    let write = tokio::spawn(async move { client.put("/v1/message-state", state("c", "given up")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    write.abort();
    let _ = write.await;
    // Nothing is left to be finished, although the operation had an hour.
    server.signal("-TERM")?;
    assert_eq!(server.ended().await?.code(), Some(0));
    drop(lock);
    let rows: i64 =
        Connection::open(folder.database())?.query_row("SELECT count(*) FROM message_states", [], |row| row.get(0))?;
    assert_eq!(rows, 0);
    Ok(())
}
