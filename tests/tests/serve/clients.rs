//! Clients that are slow, silent, too many or want too much, beside one that works.

use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::rig::{SOON, Server, exchange, state};

async fn is_closed(socket: &mut UnixStream) -> Result<String> {
    let mut answer = Vec::new();
    match timeout(SOON, socket.read_to_end(&mut answer)).await.context("the connection hangs")? {
        // Closed with something unread.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        ended => drop(ended?),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_that_drip_are_given_up() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--idle-timeout", "500ms", "--transfer-timeout", "500ms"])?;
    let mut head = server.raw().await?;
    let (mut reading, mut writing) = head.split();
    let drip = async {
        writing.write_all(b"GET /v1/health HTTP/1.1\r\n").await?;
        loop {
            writing.write_all(b"x-a: b\r\n").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        #[expect(unreachable_code, reason = "the type of the loop's errors")]
        anyhow::Ok(())
    };
    let mut answer = Vec::new();
    tokio::select! {
        ended = drip => assert!(ended.is_err()),
        ended = timeout(SOON, reading.read_to_end(&mut answer)) => drop(ended.context("a drip holds a connection")?),
    }
    let mut silent = server.raw().await?;
    assert_eq!(is_closed(&mut silent).await?, "");
    let mut body = server.raw().await?;
    body.write_all(
        b"PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"channel",
    )
    .await?;
    let answer = is_closed(&mut body).await?;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request-timeout\""), "{answer}");
    server.client().await?.get("/v1/health").await?.want(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_however_it_comes() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let head = "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\nconnection: close\r\n";
    // As one that waits for leave announces it.
    let announced = format!("{head}content-length: 5000000000\r\nexpect: 100-continue\r\n\r\n");
    let answer = exchange(&server, announced.as_bytes()).await?;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"too-large\""), "{answer}");
    // In one piece and in chunks, all of it before the answer is read.
    let mut client = server.client().await?;
    client.put_text("/v1/message-state", &"x".repeat(5 << 20)).await?.problem(413, "too-large");
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&server, &chunked).await?;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Just as much as is taken is judged by what is in it.
    // In a connection of its own: one whose request was answered before it was sent may end.
    let mut client = server.client().await?;
    client.put_text("/v1/message-state", &" ".repeat(1 << 20)).await?.problem(400, "invalid-input");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_and_busy_ones_do_not() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--max-connections", "50"])?;
    let mut client = server.client().await?;
    client.get("/v1/health").await?.want(200);
    // Far more than there are places for. The client has shown that it speaks HTTP, so all of these leave before it.
    let mut silent = Vec::new();
    for number in 0..2_000 {
        silent.push(server.raw().await?);
        if number % 100 == 0 {
            client.put("/v1/message-state", state("c", "m")).await?.want(200);
        }
    }
    server.client().await?.get("/v1/health").await?.want(200);
    client.get("/v1/health").await?.want(200);
    assert_eq!(is_closed(&mut silent[0]).await?, "");
    // Bodies that are on their way are work.
    let mut busy = Vec::new();
    let mut answer = String::new();
    // One more than there are places, and a few for those that had to leave before they could begin.
    for _ in 0..200 {
        // One that is refused is none.
        busy.extend(server.under_way(9).await);
        let mut other = server.raw().await?;
        let _ = other.write_all(b"GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        answer = is_closed(&mut other).await?;
        if answer.starts_with("HTTP/1.1 503 ") {
            break;
        }
    }
    assert!(answer.contains("\"busy\"") && answer.contains("retry-after: 1"), "{answer}");
    drop(busy);
    Ok(())
}
