//! How a server ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Client, SOON, Server, command, state};

const CLIENTS: usize = 16;

/// Clients that write numbers, each to a channel of its own, until the server is gone. Says the last number of each that was
/// acknowledged.
async fn under_load(server: Server, signal: &str) -> Result<(Vec<u64>, Option<i32>)> {
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| AtomicU64::new(0)).collect());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::connect(&server.operations).await?;
        let acknowledged = acknowledged.clone();
        clients.push(tokio::spawn(async move {
            for write in 1.. {
                match client.put("/v1/message-state", state(&format!("c{number}"), &write.to_string())).await {
                    Ok(reply) if reply.status == 200 => acknowledged[number].store(write, Ordering::Relaxed),
                    // Its connection is gone, with or without a farewell.
                    _ => return,
                }
            }
        }));
    }
    until("everybody has written", SOON, async || acknowledged.iter().all(|last| last.load(Ordering::Relaxed) > 20))
        .await?;
    server.signal(signal)?;
    let status = server.ended().await?;
    for client in clients {
        tokio::time::timeout(SOON, client).await.context("a client hangs")??;
    }
    Ok((acknowledged.iter().map(|last| last.load(Ordering::Relaxed)).collect(), status.code()))
}

fn stored(folder: &SqliteFolder) -> Result<Vec<u64>> {
    let connection = Connection::open(folder.database())?;
    let number = |client: usize| -> Result<u64> {
        let text: String = connection.query_row(
            "SELECT last_message_id FROM message_states WHERE channel_id = ?1",
            [format!("c{client}")],
            |row| row.get(0),
        )?;
        Ok(text.parse()?)
    };
    (0..CLIENTS).map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_under_load_loses_no_acknowledged_write() -> Result<()> {
    for (signal, code) in [("-TERM", Some(0)), ("-INT", Some(0)), ("-KILL", None)] {
        let folder = SqliteFolder::new()?;
        let server = Server::start(&folder, &[])?;
        let (acknowledged, status) = under_load(server, signal).await?;
        assert_eq!(status, code, "{signal}");
        for (client, (stored, acknowledged)) in stored(&folder)?.into_iter().zip(acknowledged).enumerate() {
            // One more may have been written and not been answered.
            assert!(
                stored == acknowledged || stored == acknowledged + 1,
                "{signal}: client {client} has {stored} after {acknowledged}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_under_way_is_finished_and_idle_clients_are_not_waited_for() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let _silent = server.raw().await?;
    let mut idle = server.client().await?;
    idle.get("/v1/health").await?.want(200);
    let body = state("late", "m").to_string();
    let mut late = server.under_way(body.len()).await?;
    late.write_all(&body.as_bytes()[..10]).await?;
    server.signal("-TERM")?;
    let place = server.operations.clone();
    until("nobody else is let in", SOON, async || Client::connect(&place).await.is_err()).await?;
    late.write_all(&body.as_bytes()[10..]).await?;
    let mut answer = String::new();
    late.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("stored"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(server.ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_is_given_up_and_told() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command = command(&folder, &["--transfer-timeout", "1h"]);
    let server = Server::run(folder.path(), command.env("COFFERDAM_DRAIN_TIMEOUT", "300ms"))?;
    let _stuck = server.under_way(9).await?;
    server.signal("-TERM")?;
    let errors = folder.path().join("stderr");
    assert_eq!(server.ended().await?.code(), Some(1));
    assert!(crate::rig::read(&errors)?.contains("1 requests were not answered"), "{}", crate::rig::read(&errors)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &["--transfer-timeout", "1h", "--drain-timeout", "1h"])?;
    let _stuck = server.under_way(9).await?;
    server.signal("-TERM")?;
    let place = server.operations.clone();
    until("nobody else is let in", SOON, async || Client::connect(&place).await.is_err()).await?;
    server.signal("-INT")?;
    assert_eq!(server.ended().await?.code(), Some(130));
    assert!(!folder.path().join("cofferdam.sock").exists());
    Ok(())
}
