//! Programs that check what is deployed. `cargo xtask test` installs them into `tools` in the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::plugins;

/// Prints all documents of a YAML file as one of JSON.
const TO_JSON: &str = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";

/// A program of the Python environment there, or one that is named in [`PATH`](std::env::var).
///
/// # Errors
///
/// It is not installed.
pub fn tool(name: &str) -> Result<PathBuf> {
    let tools = Path::new(plugins::TARGET_DIR).join("tools");
    let places = [tools.join(name), tools.join("python/bin").join(name), tools.join("bin").join(name)];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = places.into_iter().chain(std::env::split_paths(&path).map(|folder| folder.join(name)));
    all.find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed: run `cargo xtask test {}`, which installs it", "deploy"))
}

/// Runs it, and gives what it wrote to standard output.
///
/// # Errors
///
/// It is not installed, or ends with another code than 0: the error has what it said.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    ensure!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    Ok(output.stdout)
}

/// The documents of a YAML file.
///
/// # Errors
///
/// The file cannot be read, or is no YAML.
pub fn yaml(file: &Path) -> Result<Vec<Value>> {
    let input = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    let json = run(Command::new(tool("python3")?).args(["-c", TO_JSON]).stdin(input))?;
    Ok(serde_json::from_slice(&json)?)
}
