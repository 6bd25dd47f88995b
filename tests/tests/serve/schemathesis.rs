//! Schemathesis, which reads the document and sends what it allows and what it does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use tokio::time::timeout;

use crate::rig::{Server, command};

const VERSION: &str = "4.32.5";

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// A deadline that it gives may pass on a machine at work.
const SETTINGS: &str = "[checks.not_a_server_error]\nexpected-statuses = [\"2xx\", \"4xx\", \"504\"]\n";

/// So that a test ends: each day it takes half a minute.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// The program, which is installed beside what is compiled if it is not there.
fn schemathesis() -> Result<PathBuf> {
    let folder = Path::new(plugins::TARGET_DIR).join(format!("schemathesis-{VERSION}"));
    let program = folder.join("bin/schemathesis");
    if program.exists() {
        return Ok(program);
    }
    let install = || -> Result<()> {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("schemathesis=={VERSION}");
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", &package]))
    };
    let installed = install().context("schemathesis cannot be installed: it needs Python 3.10 with venv, and PyPI");
    if installed.is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    installed.map(|()| program)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() -> Result<()> {
    let program = tokio::task::spawn_blocking(schemathesis).await??;
    let folder = SqliteFolder::new()?;
    let token = folder.path().join("token");
    fs::write(&token, "a-token-for-the-tests")?;
    fs::write(folder.path().join("schemathesis.toml"), SETTINGS)?;
    let mut command = command(&folder, &["--listen", "127.0.0.1:0"]);
    let server = Server::run(folder.path(), command.env("COFFERDAM_TOKEN_FILE", token))?;
    let is_full = std::env::var_os("COFFERDAM_TEST_FULL").is_some();
    // The same cases each day, and other ones in a long run.
    let cases: &[&str] = if is_full { &["--max-examples", "1000"] } else { &["--max-examples", "25", "--seed", "1"] };
    let mut command = tokio::process::Command::new(program);
    command
        .args(["run", DOCUMENT, "--url", &server.operations, "--no-color", "--continue-on-failure", "--checks", "all"])
        .args(["--header", "Authorization: Bearer a-token-for-the-tests"])
        .args(cases)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.context("schemathesis does not end")??;
    let found = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{found}\n{}", String::from_utf8_lossy(&output.stderr));
    server.client().await?;
    ensure!(!server.said()?.contains("a bug"), "{}", server.said()?);
    Ok(())
}
