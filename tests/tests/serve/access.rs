//! Who may use a server on a TCP port.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::command::run_wrong;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Client, SOON, Server, command, exchange, state};

const TOKEN: &str = "marker-of-a-secret-token";
const OTHER: &str = "another-secret-marker-that-is-longer";

#[tokio::test(flavor = "multi_thread")]
async fn a_port_wants_the_token_and_the_newest_one() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let file = folder.path().join("token");
    fs::write(&file, format!("{TOKEN}\n"))?;
    let mut command = command(&folder, &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("COFFERDAM_TOKEN_FILE", &file).env("COFFERDAM_LOG", "trace");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    let reply = client.get("/v1/message-states").await?;
    reply.problem(401, "unauthorized");
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    for wrong in [
        TOKEN.to_owned(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {TOKEN}"),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
    ] {
        client.set("authorization", &wrong)?;
        client.put("/v1/message-state", state("c", "m")).await?.problem(401, "unauthorized");
        client.get("/v1/openapi.json").await?.problem(401, "unauthorized");
        // What is there is nobody's business either.
        client.get("/v1/nothing").await?.problem(401, "unauthorized");
    }
    client.set("authorization", &format!("bearer {TOKEN}"))?;
    client.put("/v1/message-state", state("c", "m")).await?.want(200);
    // As Kubernetes exchanges one.
    let new = folder.path().join("new");
    fs::write(&new, OTHER)?;
    fs::rename(&new, &file)?;
    until("the old token counts no more", SOON, async || {
        client.get("/v1/health").await.is_ok_and(|reply| reply.status == 401)
    })
    .await?;
    client.set("authorization", &format!("Bearer {OTHER}"))?;
    client.get("/v1/health").await?.want(200);
    fs::remove_file(&file)?;
    until("no token counts", SOON, async || client.get("/v1/health").await.is_ok_and(|reply| reply.status == 401))
        .await?;
    let mut admin = Client::connect(&server.administration).await?;
    assert_eq!(admin.get("/livez").await?.status, 200);
    let said = server.said()?;
    assert!(said.contains("the token file cannot be used"), "{said}");
    assert!(!said.contains(TOKEN) && !said.contains(OTHER), "{said}");
    let arguments = fs::read(format!("/proc/{}/cmdline", server.id()))?;
    assert!(!String::from_utf8_lossy(&arguments).contains(TOKEN));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_in_its_header_alone() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let file = folder.path().join("token");
    fs::write(&file, TOKEN)?;
    let mut command = command(&folder, &["--listen", "127.0.0.1:0"]);
    command.env("COFFERDAM_TOKEN_FILE", &file).env("COFFERDAM_LOG", "trace");
    let server = Server::run(folder.path(), &mut command)?;
    let mut client = server.client().await?;
    for query in ["token", "access_token", "authorization", "Authorization"] {
        client.get(&format!("/v1/health?{query}={TOKEN}")).await?.problem(401, "unauthorized");
    }
    for (header, value) in [
        ("cookie", format!("token={TOKEN}; authorization=Bearer {TOKEN}")),
        ("x-api-key", TOKEN.into()),
        ("x-authorization", format!("Bearer {TOKEN}")),
        ("proxy-authorization", format!("Bearer {TOKEN}")),
        ("x-forwarded-for", "127.0.0.1".into()),
        ("x-original-url", "/v1/health".into()),
        ("authorization", format!("Token {TOKEN}")),
        ("authorization", format!("Bearer {TOKEN},Bearer {TOKEN}")),
        ("authorization", format!("Bearer \"{TOKEN}\"")),
        ("authorization", format!("Bearer {}", TOKEN.to_uppercase())),
    ] {
        client.set(header, &value)?;
        client.get("/v1/health").await?.problem(401, "unauthorized");
        client.unset(header);
    }
    let body = format!("{{\"token\":\"{TOKEN}\"}}");
    client.put_text("/v1/message-state", &body).await?.problem(401, "unauthorized");
    let address = server.operations.strip_prefix("http://").context("an address")?;
    // Two of them are two readings.
    let twice = format!(
        "GET /v1/health HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n"
    );
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(twice.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // An authority of a URL is no header either.
    let named = format!("GET http://{TOKEN}@{address}/v1/health HTTP/1.1\r\nconnection: close\r\n\r\n");
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(named.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    let said = server.said()?;
    assert!(!said.contains(TOKEN), "{said}");
    Ok(())
}

/// A server with a file of its token, and a client that is let in.
async fn with_token(folder: &SqliteFolder, file: &Path) -> Result<(Server, Client)> {
    fs::write(file, TOKEN)?;
    let mut command = command(folder, &["--listen", "127.0.0.1:0"]);
    let server = Server::run(folder.path(), command.env("COFFERDAM_TOKEN_FILE", file))?;
    let mut client = server.client().await?;
    client.set("authorization", &format!("Bearer {TOKEN}"))?;
    client.get("/v1/health").await?.want(200);
    Ok((server, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_is_emptied_lets_nobody_in_until_it_is_filled() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let file = folder.path().join("token");
    let (server, mut client) = with_token(&folder, &file).await?;
    fs::write(&file, "")?;
    until("nobody is let in", SOON, async || client.get("/v1/health").await.is_ok_and(|reply| reply.status == 401))
        .await?;
    for nothing in ["Bearer ", "Bearer", "bearer \t"] {
        client.set("authorization", nothing)?;
        client.get("/v1/health").await?.problem(401, "unauthorized");
    }
    client.set("authorization", &format!("Bearer {OTHER}"))?;
    fs::write(&file, OTHER)?;
    until("the new token counts", SOON, async || client.get("/v1/health").await.is_ok_and(|reply| reply.status == 200))
        .await?;
    assert!(server.said()?.contains("the token file cannot be used"), "{}", server.said()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_does_not_answer_holds_up_nobody() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let file = folder.path().join("token");
    let (server, mut client) = with_token(&folder, &file).await?;
    // Somebody has it open for writing and writes nothing.
    let pipe = folder.path().join("pipe");
    ensure!(std::process::Command::new("mkfifo").arg(&pipe).status()?.success());
    let _writer = fs::OpenOptions::new().read(true).write(true).open(&pipe)?;
    fs::rename(&pipe, &file)?;
    until("nobody is let in", SOON, async || client.get("/v1/health").await.is_ok_and(|reply| reply.status == 401))
        .await?;
    assert_eq!(Client::connect(&server.administration).await?.get("/livez").await?.status, 200);
    server.signal("-TERM")?;
    assert_eq!(server.ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_what_it_says_and_nothing_else() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let server = Server::start(&folder, &[])?;
    for target in [
        "/v1/../livez",
        "/v1/./health",
        "/v1//health",
        "//v1/health",
        "/v1/health/",
        "/v1/health/.",
        "/v1/health;x",
        "/V1/HEALTH",
        "/v1/%68ealth",
        "/v1%2Fhealth",
        "/v1/health%00",
        "/v1/health%20",
        "/%2e%2e/v1/health",
        "/livez",
        "/metrics",
        "/status.json",
        "/plugin/swap",
        "/",
        "/../../etc/passwd",
        "/v1/openapi.json/../health",
        "/v1/..;/health",
        "/v1\\health",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = exchange(&server, request.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
    // Of the whole form of a URL only the path counts.
    let whole = "GET http://elsewhere/v1/health HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n";
    assert!(exchange(&server, whole.as_bytes()).await?.starts_with("HTTP/1.1 200 "));
    let any = "OPTIONS * HTTP/1.1\r\nconnection: close\r\n\r\n";
    assert!(exchange(&server, any.as_bytes()).await?.starts_with("HTTP/1.1 40"));
    Ok(())
}

#[test]
fn a_port_without_a_usable_token_is_refused() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let token = folder.path().join("token");
    run_wrong(&mut command(&folder, &["--listen", "127.0.0.1:0"]), 2, &["needs --token-file"]);
    let name = token.to_string_lossy().into_owned();
    for (content, part) in
        [(None, "cannot be read"), (Some("short"), "at least 16"), (Some("two words that are long"), "without spaces")]
    {
        if let Some(content) = content {
            fs::write(&token, content)?;
        }
        let mut command = command(&folder, &["--listen", "127.0.0.1:0", "--token-file", &name]);
        run_wrong(&mut command, 2, &["--token-file (COFFERDAM_TOKEN_FILE)", part]);
    }
    for (arguments, parts) in [
        (&["--listen", "localhost:80"][..], &["--listen (COFFERDAM_LISTEN)", "127.0.0.1:8080"][..]),
        (&["--listen", "127.0.0.1:0", "--socket", "s"], &["--socket", "--listen", "both given"]),
        (&["--socket", "s", "--admin-socket", "./s"], &["places of their own"]),
        (&["--socket", "unix:/run/s"], &["--socket (COFFERDAM_SOCKET)"]),
        (&["--drain-timeout", "0s"], &["--drain-timeout", "greater than 0"]),
    ] {
        run_wrong(command(&folder, arguments).current_dir(folder.path()), 2, parts);
    }
    // A database on a server leaves no place for a socket.
    let mut elsewhere = command(&folder, &[]);
    elsewhere.env("DATABASE_TYPE", "mysql").env("MYSQL_USERNAME", "bot").env("MYSQL_PASSWORD", "hunter2-marker");
    run_wrong(&mut elsewhere, 2, &["XDG_RUNTIME_DIR"]);
    Ok(())
}
