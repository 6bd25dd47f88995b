//! Lists of a row a line.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::memory::resident;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use hyper::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use crate::rig::{SOON, Server, command};

/// More than a few pages.
const ROWS: i64 = 2_345;

fn fill(folder: &SqliteFolder, rows: i64) -> Result<()> {
    let mut connection = Connection::open(folder.database())?;
    let transaction = connection.transaction()?;
    {
        let mut state = transaction.prepare(
            "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
             VALUES (?1, ?2, 'm', ?3, 1, 1)",
        )?;
        let mut ownership = transaction.prepare(
            "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
             VALUES (?1, 'u', 'b', ?2, 1, 1)",
        )?;
        for row in 0..rows {
            // With and without a thread in turn; the newest are the first by key.
            let thread = (row % 2 == 1).then(|| format!("t{row}"));
            state.execute((format!("c{:06}", row / 2), thread, 2_000_000_000 - row))?;
            ownership.execute((format!("t{row:06}"), row))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn lines(body: &[u8]) -> Result<Vec<Value>> {
    Ok(std::str::from_utf8(body)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_a_line_in_the_order_of_keys_and_the_end_counts_them() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    client.set("accept", "application/x-ndjson")?;
    let empty = client.get("/v1/message-states").await?;
    assert_eq!(
        (empty.header("content-type"), &empty.body[..]),
        ("application/x-ndjson", &b"{\"end\":{\"rows\":0}}\n"[..])
    );
    fill(&folder, ROWS)?;
    let states = lines(&client.get("/v1/message-states").await?.body)?;
    let (end, states) = states.split_last().context("lines")?;
    assert_eq!((end, states.len() as i64), (&json!({ "end": { "rows": ROWS } }), ROWS));
    let keys: Vec<_> = states.iter().map(|row| (row["channel_id"].as_str(), row["thread_id"].as_str())).collect();
    assert!(keys.is_sorted() && keys.iter().any(|key| key.1.is_none()));
    // The same rows as in a document.
    client.set("accept", "application/json")?;
    let document = client.get("/v1/message-states").await?.want(200);
    assert_eq!(document["states"].as_array().map(Vec::as_slice), Some(states));

    client.set("accept", "application/x-ndjson")?;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?;
    Connection::open(folder.database())?
        .execute("UPDATE message_states SET last_seen_timestamp = ?1 - id * 10", [now])?;
    let recent = lines(&client.get("/v1/message-states?window=10000s").await?.body)?;
    assert!((990..=1_001).contains(&recent.len()), "{}", recent.len());
    let ownerships = lines(&client.get("/v1/thread-ownerships").await?.body)?;
    assert_eq!(ownerships.last(), Some(&json!({ "end": { "rows": ROWS } })));
    assert!(ownerships[..ROWS as usize].is_sorted_by_key(|row| row["thread_id"].as_str().map(str::to_owned)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_the_middle_is_the_last_line() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::run(folder.path(), command(&folder, &[]).env("COFFERDAM_RETRY_ATTEMPTS", "1"))?;
    // More than is sent before anybody reads.
    let rows = 60_000;
    fill(&folder, rows)?;
    let mut socket = server.raw().await?;
    let request = "GET /v1/message-states HTTP/1.1\r\naccept: application/x-ndjson\r\nx-request-id: r1\r\nconnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await?;
    let mut head = [0; 4096];
    socket.read_exact(&mut head).await?;
    std::fs::remove_file(folder.database())?;
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await?;
    let text = [&head[..], &rest].concat();
    let text = String::from_utf8(text)?;
    let last = text.lines().rfind(|line| line.starts_with('{')).context("lines")?;
    let problem: Value = serde_json::from_str(last)?;
    assert_eq!(
        (&problem["error"]["request_id"], &problem["error"]["kind"]),
        (&json!("r1"), &json!("unavailable")),
        "{last}"
    );
    assert!(text.ends_with("0\r\n\r\n"), "the answer is whole");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_the_client_is_that_of_the_whole_stream() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    fill(&folder, 60_000)?;
    let mut socket = server.raw().await?;
    let request = "GET /v1/thread-ownerships HTTP/1.1\r\naccept: application/x-ndjson\r\ncofferdam-timeout: 3s\r\n\
        connection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await?;
    // It has begun when the first page comes, and passes while nobody reads.
    socket.read_exact(&mut [0; 1]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    let last = text.lines().rfind(|line| line.starts_with('{')).context("lines")?;
    let problem: Value = serde_json::from_str(last)?;
    assert_eq!(problem["error"]["kind"], "timeout", "{last}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_costs_a_page_and_not_the_list() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--transfer-timeout", "1s"])?;
    fill(&folder, 60_000)?;
    let mut client = server.client().await?;
    client.set("accept", "application/x-ndjson")?;
    client.get("/v1/message-states").await?;
    let before = resident(server.id())?;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = server.raw().await?;
        let request = "GET /v1/message-states HTTP/1.1\r\naccept: application/x-ndjson\r\n\r\n";
        socket.write_all(request.as_bytes()).await?;
        sockets.push(socket);
    }
    let mut first = [0; 1];
    for socket in &mut sockets {
        socket.read_exact(&mut first).await?;
    }
    // A list has about 8 MB.
    let grown = resident(server.id())?.saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB for {} readers", sockets.len());
    // Others are served, and the server gives those up that read nothing.
    let closed = client.send(Method::POST, "/v1/close", None).await?.want(200);
    assert_eq!(closed["waiting"], 0);
    until("a reader is given up", SOON, async || {
        sockets[0].ready(Interest::READABLE).await.is_ok_and(|ready| ready.is_read_closed())
    })
    .await?;
    let mut rest = Vec::new();
    let _ = sockets[0].read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    Ok(())
}
