//! Those who mean harm, beside a client that works: nothing gets in, nothing leaks, and the client notices nothing.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::memory::{Memory, resident};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::rig::{Client, SOON, Server, command, exchange, state};

const TOKEN: &str = "marker-of-a-secret-token";
const IDLE: usize = 10_000;

/// A client that writes and reads back until it is told to stop, and says how often.
fn working(mut client: Client, stop: CancellationToken) -> JoinHandle<Result<usize>> {
    tokio::spawn(async move {
        let mut rounds = 0;
        while !stop.is_cancelled() {
            let message = rounds.to_string();
            timeout(SOON, client.put("/v1/message-state", state("of-the-client", &message))).await??.want(200);
            let found = timeout(SOON, client.get("/v1/message-state?channel_id=of-the-client")).await??.want(200);
            ensure!(found["state"]["last_message_id"] == message, "{found}");
            rounds += 1;
        }
        Ok(rounds)
    })
}

fn files_of(server: &Server) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", server.id()))?.count())
}

/// This process and those that it starts may open as many files as the test needs.
fn raise_files() -> Result<()> {
    let id = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--nofile=20000:20000"]).output()?;
    ensure!(raised.status.success(), "{} open files are needed: {raised:?}", 2 * IDLE);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_are_borne_or_make_room() -> Result<()> {
    raise_files()?;
    for places in ["1024", "10100"] {
        let folder = SqliteFolder::new()?;
        fs::write(folder.path().join("token"), TOKEN)?;
        let mut command = command(&folder, &["--listen", "127.0.0.1:0", "--max-connections", places]);
        command.env("COFFERDAM_TOKEN_FILE", folder.path().join("token"));
        let server = Server::run(folder.path(), &mut command)?;
        let mut client = server.client().await?;
        client.set("authorization", &format!("Bearer {TOKEN}"))?;
        client.get("/v1/health").await?.want(200);
        let files = files_of(&server)?;
        let before = resident(server.id())?;
        let stop = CancellationToken::new();
        let work = working(client, stop.clone());
        let address = server.operations.strip_prefix("http://").context("an address")?;
        let mut idle = Vec::with_capacity(IDLE);
        for number in 0..IDLE {
            let mut socket = timeout(SOON, TcpStream::connect(address)).await??;
            // Some have begun to speak.
            if number % 3 == 0 {
                let _ = socket.write_all(b"GET /v1/health HT").await;
            }
            idle.push(socket);
        }
        let most = places.parse::<usize>()? + 200;
        // The last ones may still wait to be let in, and those that have to leave for them to be closed.
        until("the others have made room", SOON, async || files_of(&server).is_ok_and(|held| held <= most)).await?;
        let grown = resident(server.id())?.saturating_sub(before);
        ensure!(grown < 250_000, "{grown} KiB for {places} of {IDLE} connections");
        drop(idle);
        until("what was idle is gone", SOON, async || files_of(&server).is_ok_and(|now| now <= files + 2)).await?;
        stop.cancel();
        ensure!(work.await?? > 0, "the client has done nothing");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_that_drip_hold_nobody_up() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--idle-timeout", "2s", "--transfer-timeout", "2s"])?;
    let stop = CancellationToken::new();
    let work = working(server.client().await?, stop.clone());
    let mut dripping = Vec::new();
    for number in 0..300 {
        let mut socket = server.raw().await?;
        let (head, drop) = match number % 3 {
            0 => ("GET /v1/health HTTP/1.1\r\n", "x: y\r\n"),
            1 => ("", "\r\n"),
            _ => (
                "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 900000\r\n\r\n{",
                " ",
            ),
        };
        dripping.push(tokio::spawn(async move {
            if socket.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            while socket.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
    }
    for drip in dripping {
        timeout(SOON, drip).await.context("a connection that drips is kept")??;
    }
    stop.cancel();
    ensure!(work.await?? > 0, "the client has done nothing");
    Ok(())
}

/// Sends a body of a gigabyte until the server has had enough, and says how much that was.
async fn pour(socket: &mut UnixStream, head: &str, is_chunked: bool) -> Result<u64> {
    socket.write_all(head.as_bytes()).await?;
    let mut piece = if is_chunked { b"100000\r\n".to_vec() } else { Vec::new() };
    piece.resize(piece.len() + (1 << 20), b' ');
    piece.extend_from_slice(if is_chunked { b"\r\n" } else { b"" });
    for poured in 0..1024 {
        if timeout(SOON, socket.write_all(&piece)).await.context("the server neither reads nor closes")?.is_err() {
            return Ok(poured << 20);
        }
    }
    Ok(1 << 30)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gigabyte_costs_no_memory_and_ends_early() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--transfer-timeout", "5s"])?;
    let mut client = server.client().await?;
    client.get("/v1/health").await?.want(200);
    let (memory, before) = (Memory::watch(server.id()), resident(server.id())?);
    let stop = CancellationToken::new();
    let work = working(client, stop.clone());
    let head = "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\n";
    for (length, is_chunked) in [("content-length: 1073741824", false), ("transfer-encoding: chunked", true)] {
        let mut socket = server.raw().await?;
        let poured = pour(&mut socket, &format!("{head}{length}\r\n\r\n"), is_chunked).await?;
        // What is ignored, and what the system holds.
        ensure!(poured < 100 << 20, "{poured} bytes were taken with {length}");
        let mut answer = Vec::new();
        let _ = timeout(SOON, socket.read_to_end(&mut answer)).await.context("the connection is kept")?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    stop.cancel();
    ensure!(work.await?? > 0, "the client has done nothing");
    let grown = memory.stop().saturating_sub(before);
    ensure!(grown < 50_000, "{grown} KiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readings_of_one_request_are_none() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let put = "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\n";
    let body = state("smuggled", "m").to_string();
    let inner = format!("{put}content-length: {}\r\n\r\n{body}", body.len());
    for (lengths, rest) in [
        ("content-length: 0\r\ncontent-length: 5\r\n".to_owned(), inner.clone()),
        ("content-length: 0, 5\r\n".into(), inner.clone()),
        ("content-length: +0\r\n".into(), inner.clone()),
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: identity, chunked, x\r\n".into(), inner.clone()),
        ("transfer-encoding : chunked\r\n".into(), format!("0\r\n\r\n{inner}")),
        ("x: y\n z\r\n".into(), inner.clone()),
    ] {
        let answer = exchange(&server, format!("{put}{lengths}\r\n{rest}").as_bytes()).await?;
        ensure!(!answer.contains("stored"), "{lengths}: {answer}");
        ensure!(answer.starts_with("HTTP/1.1 4"), "{lengths}: {answer}");
    }
    let mut client = server.client().await?;
    ensure!(client.get("/v1/message-state?channel_id=smuggled").await?.want(200)["state"].is_null());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_refused() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let upgrade = "GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings, close\r\n\
        upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let websocket = "GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, close\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for request in [upgrade, websocket] {
        let answer = exchange(&server, request.as_bytes()).await?;
        ensure!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"healthy\":true}"), "{answer}");
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\xa0\0\0\0\x02\0\0\0\0";
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n";
    for (bytes, status) in [
        (&preface[..], "505"),
        (&hello[..], "400"),
        (b"CONNECT mysql:3306 HTTP/1.1\r\nconnection: close\r\n\r\n", "40"),
    ] {
        let answer = exchange(&server, bytes).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer:?}");
    }
    server.client().await?.get("/v1/health").await?.want(200);
    Ok(())
}
