//! Every route, and the document that describes them.

use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use hyper::Method;
use serde_json::{Value, json};

use crate::rig::{Client, Server, state};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_put_found_and_listed() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    assert_eq!(client.get("/v1/message-state?channel_id=c").await?.want(200), json!({ "state": null }));
    // What a URL, a path or a form would change.
    let channel = "../a b+c&d=%2F\u{1f980}.";
    let encoded = "..%2Fa%20b%2Bc%26d%3D%252F%F0%9F%A6%80.";
    let both = json!({
        "channel_id": channel, "thread_id": "t", "last_message_id": "m", "last_seen_timestamp": i64::MAX,
        "created_at": -5,
    });
    assert_eq!(client.put("/v1/message-state", both).await?.want(200), json!({ "result": "stored" }));
    client.put("/v1/message-state", state(channel, "without thread")).await?.want(200);
    let found = client.get(&format!("/v1/message-state?channel_id={encoded}&thread_id=t")).await?.want(200);
    let found = &found["state"];
    assert_eq!((&found["channel_id"], &found["last_seen_timestamp"]), (&json!(channel), &json!(i64::MAX)));
    assert_eq!((&found["created_at"], &found["thread_id"]), (&json!(-5), &json!("t")));
    assert!(found["updated_at"].as_i64().context("a time")? >= now() - 60);
    let other = client.get(&format!("/v1/message-state?channel_id={encoded}")).await?.want(200);
    assert_eq!(
        (&other["state"]["last_message_id"], &other["state"]["thread_id"]),
        (&json!("without thread"), &Value::Null)
    );

    // A row can be sent as it was received.
    let mut row = other["state"].clone();
    row["last_message_id"] = json!("m2");
    client.put("/v1/message-state", row).await?.want(200);
    let mut recent = state("recent", "m");
    recent["last_seen_timestamp"] = json!(now());
    client.put("/v1/message-state", recent).await?.want(200);
    let messages = async |client: &mut Client, path: &str| -> Result<Vec<Value>> {
        let list = client.get(path).await?.want(200);
        let states = list["states"].as_array().context("a list")?;
        Ok(states.iter().map(|state| state["last_message_id"].clone()).collect())
    };
    assert_eq!(messages(&mut client, "/v1/message-states").await?, ["m", "m", "m2"]);
    assert_eq!(messages(&mut client, "/v1/message-states?window=1h30m").await?, ["m", "m"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ownerships_are_put_found_listed_and_removed() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    let put = |thread: &str, made: i64| json!({ "thread_id": thread, "original_user_id": "u", "created_by": "b", "creation_time": made });
    assert_eq!(client.get("/v1/thread-ownership?thread_id=t").await?.want(200), json!({ "ownership": null }));
    for (thread, made) in [("old", 1), ("new", now())] {
        assert_eq!(
            client.put("/v1/thread-ownership", put(thread, made)).await?.want(200),
            json!({ "result": "stored" })
        );
    }
    let found = client.get("/v1/thread-ownership?thread_id=old").await?.want(200);
    assert_eq!((&found["ownership"]["creation_time"], &found["ownership"]["created_by"]), (&json!(1), &json!("b")));
    let list = client.get("/v1/thread-ownerships").await?.want(200);
    let threads: Vec<_> =
        list["ownerships"].as_array().context("a list")?.iter().map(|row| &row["thread_id"]).collect();
    assert_eq!(threads, [&json!("new"), &json!("old")]);
    let removed = client.post("/v1/thread-ownerships/cleanup", json!({ "max_age": "24h" })).await?.want(200);
    assert_eq!(removed, json!({ "result": "stored", "removed": 1 }));
    assert_eq!(client.get("/v1/thread-ownership?thread_id=old").await?.want(200), json!({ "ownership": null }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_is_looked_at_opened_and_flushed_and_stays_open() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    for _ in 0..2 {
        let opened = client.send(Method::POST, "/v1/initialize", None).await?.want(200);
        assert_eq!(opened, json!({ "readiness": "ready" }));
        let closed = client.send(Method::POST, "/v1/close", None).await?.want(200);
        assert_eq!(closed, json!({ "waiting": 0, "refused": 0 }));
        assert_eq!(client.get("/v1/health").await?.want(200), json!({ "healthy": true }));
    }
    let mut admin = Client::connect(&server.administration).await?;
    assert_eq!(admin.get("/livez").await?.status, 200);
    assert_eq!(admin.get("/v1/health").await?.status, 404);
    assert_eq!(client.get("/livez").await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_route_and_no_other() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    let document = client.get("/v1/openapi.json").await?.want(200);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().context("paths")?;
    assert_eq!(paths.len(), 9);
    for (path, operations) in paths {
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            let is_there = operations.get(method.as_str().to_lowercase()).is_some();
            let reply = client.send(method.clone(), path, None).await?;
            assert_eq!(reply.status == 405, !is_there, "{method} {path}: {reply:?}");
            assert_ne!(reply.status, 404, "{path}");
            if !is_there {
                reply.problem(405, "method-not-allowed");
                let allowed = reply.header("allow").to_lowercase();
                assert!(
                    operations.as_object().context("operations")?.keys().all(|name| allowed.contains(name.as_str()))
                );
            }
        }
    }
    Ok(())
}

#[test]
fn the_document_is_as_the_code_has_it() -> Result<()> {
    let (document, _) = run(&mut on_sqlite(&["serve", "--openapi"]), 0);
    assert!(
        std::fs::read_to_string(DOCUMENT)? == document,
        "write it again: cargo run --bin cofferdam -- serve --openapi > docs/openapi.json"
    );
    Ok(())
}

#[test]
fn the_page_has_every_kind_with_its_status() -> Result<()> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/serve.md"))?;
    let document: Value = serde_json::from_str(&std::fs::read_to_string(DOCUMENT)?)?;
    let kinds =
        document["components"]["schemas"]["Problem"]["properties"]["kind"]["enum"].as_array().context("kinds")?;
    assert_eq!(kinds.len(), 19);
    let troubleshooting = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/troubleshooting.md"))?;
    for kind in kinds.iter().filter_map(Value::as_str) {
        assert!(page.contains(&format!("\n| `{kind}` | ")), "{kind}");
        assert!(troubleshooting.contains(&format!("\n### `{kind}`\n")), "{kind}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_requests_are_those_of_the_client_if_a_log_can_bear_them() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mut command: Command = crate::rig::command(&folder, &[]);
    command.env("COFFERDAM_LOG", "cofferdam=debug");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    client.set("x-request-id", "trace-17/a")?;
    assert_eq!(client.get("/v1/health").await?.header("x-request-id"), "trace-17/a");
    assert!(server.said()?.contains(r#"id="trace-17/a""#), "{}", server.said()?);
    for wrong in ["", "two words", &"x".repeat(129)] {
        client.set("x-request-id", wrong)?;
        let reply = client.get("/v1/nothing").await?;
        assert_eq!(reply.header("x-request-id").len(), 32);
        reply.problem(404, "not-found");
    }
    client.unset("x-request-id");
    let ids = [client.get("/v1/health").await?, client.get("/v1/health").await?];
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
    Ok(())
}
