//! Builds what measures and what is measured, all in the release profile.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::build;
use crate::run::{cargo, say, target};

/// Where things are after a build.
pub struct Programs {
    /// The criterion benchmarks.
    pub backends: PathBuf,
    /// What measures once instead of often.
    pub probes: PathBuf,
    /// The contestant that cannot be linked into the others.
    pub sqlx: PathBuf,
    pub command: PathBuf,
    /// The folder with the backends.
    pub plugins: PathBuf,
}

/// Builds everything that a run needs.
pub fn build() -> Result<Programs> {
    let plugins = build::plugins()?;
    // One invocation for all, so that cargo takes the features of all and compiles wasmtime once.
    let mut host = cargo(["build", "--release"]);
    host.args(["--bin", "cofferdam", "--bin", "probes", "--bench", "backends"]);
    let mut built =
        executables("Building the benchmarks (the first time compiles wasmtime, optimised, for some minutes)", host)?;
    let mut take = |name: &str| {
        let index = built.iter().position(|(built, _)| built == name);
        index.map(|index| built.swap_remove(index).1).with_context(|| format!("cargo built no {name}"))
    };
    let (backends, probes, command) = (take("backends")?, take("probes")?, take("cofferdam")?);

    // Its SQLite and that of the host cannot be in one program, so it has a workspace of its own.
    let mut other = cargo(["build", "--release", "--manifest-path", "benches/sqlx/Cargo.toml", "--target-dir"]);
    other.arg(target());
    let (_, sqlx) =
        executables("Building the sqlx contestant", other)?.pop().context("benches/sqlx builds no program")?;
    Ok(Programs { backends, probes, sqlx, command, plugins })
}

/// Builds what counts instructions, with the features of everything else.
pub fn instructions() -> Result<PathBuf> {
    let build = cargo(["build", "--release", "--bench", "instructions"]);
    // Cargo builds the package's programs along with its benches.
    let built = executables("Building (the first time compiles wasmtime, optimised, for some minutes)", build)?;
    let found = built.into_iter().find(|(name, _)| name == "instructions");
    Ok(found.context("cargo built no bench `instructions`")?.1)
}

/// A line of cargo's messages, as far as it is about a program.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Runs a build to its end; returns the names and paths of its programs.
fn executables(what: &str, mut build: Command) -> Result<Vec<(String, PathBuf)>> {
    say(what);
    build.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let mut child = build.spawn().context("cannot run cargo: is it installed?")?;
    let mut found = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.context("cannot read cargo's messages")?;
            // Build scripts may print lines of their own.
            if let Ok(Message { executable: Some(program), target: Some(target) }) = serde_json::from_str(&line) {
                found.push((target.name, program));
            }
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("{}: cargo ended with {status}", what.split(" (").next().unwrap_or(what));
    }
    Ok(found)
}
