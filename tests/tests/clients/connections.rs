//! Connections: kept, shared, and what goes over them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::clients::{Language, Program};
use cofferdam_tests::harness::proxy::Proxy;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::rig::{PATIENCE, Place, client, get, result, upsert};

const TOKEN: &str = "a-token-for-the-tests";
const AT_ONCE: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_and_many_calls_at_once_share_a_client() -> Result<()> {
    let place = Place::new()?;
    let (_serve, port) = place.serve_on_tcp(TOKEN)?;
    for language in Language::ALL {
        let proxy = Proxy::start(port)?;
        let address = format!("http://127.0.0.1:{}", proxy.port());
        let program = client(language, &address, Some(&place.path("token")), PATIENCE).await?;
        for number in 0..10 {
            assert_eq!(result(&program.ask(upsert("c", &number.to_string())).await?), "stored");
            assert!(program.ask(get("c")).await?.is_ok());
        }
        assert_eq!(proxy.opened(), 1, "{}", language.name());
        let all = program.ask(json!({ "operation": "at_once", "count": AT_ONCE })).await?;
        assert!(all.is_ok(), "{}: {all:?}", language.name());
        // Ten calls each. Go may open one more while another becomes free.
        assert!(proxy.opened() <= 4 * AT_ONCE, "{}: {}", language.name(), proxy.opened());
    }
    Ok(())
}

/// What a client sends: no server answers it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_how_long_its_client_waits() -> Result<()> {
    for language in Language::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let program = Program::start(language)?;
        let address = format!("http://{}", listener.local_addr()?);
        program.connect(&address, None, Duration::from_secs(50)).await?;
        let call = tokio::spawn(async move { program.call("initialize").await });
        let (mut connection, _) = listener.accept().await?;
        let mut head = String::new();
        while !head.contains("\r\n\r\n") {
            let mut bytes = [0; 4096];
            let count = connection.read(&mut bytes).await?;
            ensure!(count > 0, "{}: the connection ended before the request did", language.name());
            head.push_str(std::str::from_utf8(&bytes[..count])?);
        }
        let head = head.to_lowercase();
        assert!(head.starts_with("post /v1/initialize http/1.1\r\n"), "{head}");
        let limit = head.lines().find_map(|line| line.strip_prefix("cofferdam-timeout: ")).context("the header")?;
        let milliseconds: f64 = limit.strip_suffix("ms").context("milliseconds")?.parse()?;
        assert!(milliseconds > 0.0 && milliseconds <= 50_001.0, "{}: {limit}", language.name());
        // Nothing that another attempt helps with.
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        assert!(call.await??.is_err(), "{}", language.name());
    }
    Ok(())
}
