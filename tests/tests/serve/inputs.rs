//! What is wrong with a request is told in one problem, and nothing hangs or panics.

use anyhow::Result;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::{Value, json};

use crate::rig::{Server, exchange, state};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_told_by_its_name() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    for (path, part) in [
        ("/v1/message-state", "channel_id is missing"),
        ("/v1/message-state?thread_id=t", "channel_id is missing"),
        ("/v1/message-state?channel_id=", "channel-id is empty"),
        ("/v1/message-state?channel_id=c&thread_id=", "thread-id is empty"),
        ("/v1/message-state?channel_id=%00", "NUL"),
        ("/v1/message-state?channel_id=c&channel_id=d", "channel_id is given more than once"),
        ("/v1/message-state?channel_id=c&thread=t", "unknown parameter \"thread\": use channel_id, thread_id"),
        ("/v1/message-state?channel_id=%ff", "channel_id is not encoded UTF-8"),
        ("/v1/message-state?channel_id=%4", "channel_id is not encoded UTF-8"),
        ("/v1/message-states?window=5", "window is no duration"),
        ("/v1/message-states?window=-5m", "window is no duration"),
        ("/v1/thread-ownership", "thread_id is missing"),
        ("/v1/thread-ownerships?x", "there are none here"),
        ("/v1/health?x=1", "there are none here"),
    ] {
        let detail = client.get(path).await?.problem(400, "invalid-input");
        assert!(detail.contains(part), "{path}: {detail}");
    }
    let long = "x".repeat(256);
    let detail = client.get(&format!("/v1/message-state?channel_id={long}")).await?.problem(400, "invalid-input");
    assert!(detail.contains("256 characters"), "{detail}");
    client.get("/v1").await?.problem(404, "not-found");
    client.get("/v1/message-state/").await?.problem(404, "not-found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_what_they_should_be_or_refused() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    let with = |name: &str, value: Value| {
        let mut state = state("c", "m");
        state[name] = value;
        state.to_string()
    };
    let twice = r#"{"channel_id":"a","channel_id":"b","last_message_id":"m","last_seen_timestamp":1}"#.to_owned();
    let lone = r#"{"channel_id":"\ud800","last_message_id":"m","last_seen_timestamp":1}"#.to_owned();
    for (body, part) in [
        (String::new(), "not a JSON object"),
        ("{".into(), "EOF"),
        (r#"["c",null,"m",1,0,0,0]"#.into(), "not a JSON object"),
        (format!("{} x", state("c", "m")), "trailing"),
        (r#"{"channel_id":"c"}"#.into(), "missing field `last_message_id`"),
        (with("lastSeen", json!(1)), "unknown field `lastSeen`"),
        (with("last_seen_timestamp", json!("1")), "expected i64"),
        (with("last_seen_timestamp", json!(1.5)), "expected i64"),
        (with("last_seen_timestamp", json!(u64::MAX)), "expected i64"),
        (with("channel_id", Value::Null), "expected a string"),
        (with("channel_id", json!("x".repeat(256))), "256 characters"),
        (with("thread_id", json!("")), "thread-id is empty"),
        (with("last_message_id", json!("a\0b")), "NUL"),
        (twice, "duplicate field"),
        (lone, "hex escape"),
        ("[".repeat(100_000), "the body"),
    ] {
        let detail = client.put_text("/v1/message-state", &body).await?.problem(400, "invalid-input");
        assert!(detail.contains(part) && detail.len() < 400, "{body:.100}: {detail}");
    }
    for max_age in [json!("0"), json!("1d"), json!(5)] {
        client
            .post("/v1/thread-ownerships/cleanup", json!({ "max_age": max_age }))
            .await?
            .problem(400, "invalid-input");
    }
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=latin1"),
        ("content-encoding", "gzip"),
    ] {
        client.set(name, value)?;
        client.put("/v1/message-state", state("c", "m")).await?.problem(415, "unsupported-media-type");
        client.unset(name);
    }
    client.set("content-type", "Application/JSON; charset=\"UTF-8\"")?;
    client.put("/v1/message-state", state("c", "m")).await?.want(200);
    client.set("accept", "text/html")?;
    client.get("/v1/message-states").await?.problem(406, "not-acceptable");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_of_clients_are_read_strictly() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let mut client = server.client().await?;
    for wrong in ["", "0s", "5", "-1s", "soon"] {
        client.set("cofferdam-timeout", wrong)?;
        let detail = client.get("/v1/health").await?.problem(400, "invalid-input");
        assert!(detail.contains("Cofferdam-Timeout"), "{detail}");
    }
    for enough in ["10s", "2500000h"] {
        client.set("cofferdam-timeout", enough)?;
        client.get("/v1/health").await?.want(200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused_and_hurts_nobody() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    let many = format!("GET /v1/health HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100));
    let large = format!("GET /v1/health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let chunks =
        "PUT /v1/message-state HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    for (bytes, status) in [
        (&b"\xff\xfe\xfd\r\n\r\n"[..], "400"),
        (b"GET /v1/message-state?channel_id=\xff HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (many.as_bytes(), "431"),
        (large.as_bytes(), "431"),
        (chunks.as_bytes(), "400"),
    ] {
        let answer = exchange(&server, bytes).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}");
        assert!(status != "505" || answer.contains("\"status\":505"), "{answer:?}");
    }
    // A client that goes away in the middle.
    for bytes in [&b""[..], b"GET", b"PUT /v1/message-state HTTP/1.1\r\ncontent-length: 50\r\n\r\n{"] {
        use tokio::io::AsyncWriteExt;
        server.raw().await?.write_all(bytes).await?;
    }
    let mut client = server.client().await?;
    client.get("/v1/health").await?.want(200);
    assert!(!server.said()?.contains("a bug"), "{}", server.said()?);
    Ok(())
}
