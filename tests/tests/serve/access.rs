//! Who may use a server on a TCP port.

use std::fs;

use anyhow::Result;
use cofferdam_tests::harness::command::run_wrong;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::wait::until;

use crate::rig::{Client, SOON, Server, command, state};

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
