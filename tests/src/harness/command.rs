//! The `cofferdam` command.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use super::plugins;

/// The variable that names a command to test instead of one built here.
pub const BINARY_VARIABLE: &str = "COFFERDAM_TEST_BIN";

/// Where the command is: `COFFERDAM_TEST_BIN`, or it is built once in each process, which costs nothing where it
/// is up to date.
///
/// # Errors
///
/// It does not compile.
pub fn cofferdam() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(path.into());
    }
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--bin", "cofferdam", "--features", "cofferdam/command", "--quiet"])
        .args(["--target-dir", plugins::TARGET_DIR])
        // The workspace's folder, so that cargo takes the same features as for the tests.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if plugins::PROFILE == "release" {
        command.arg("--release");
    }
    let output = command.output().context("cargo does not start")?;
    ensure!(output.status.success(), "cofferdam does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok([plugins::TARGET_DIR, plugins::PROFILE, "cofferdam"].iter().collect())
}
