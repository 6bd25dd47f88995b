//! Builds what measures and what is measured, all in the release profile.

use std::path::PathBuf;

use anyhow::Result;

use crate::build;
use crate::run::{cargo, step, target};

/// Where things are after a build.
pub struct Programs {
    /// What measures.
    pub benches: PathBuf,
    /// The contestant that cannot be linked into the other.
    pub sqlx: PathBuf,
    pub command: PathBuf,
    /// The folder with the backends.
    pub plugins: PathBuf,
}

/// Builds everything that a run needs.
pub fn build() -> Result<Programs> {
    let plugins = build::plugins()?;
    // In one invocation, so that both take the same features and wasmtime is compiled once.
    let mut host = cargo(["build", "--release", "--bin", "cofferdam", "--bin", "cofferdam-benches"]);
    host.args(["--package", "cofferdam-cli", "--package", "cofferdam-benches"]);
    step("Building the benchmarks (the first time compiles wasmtime, optimised, for some minutes)", &mut host)?;
    // Its SQLite and that of the host cannot be in one program, so it has a workspace of its own.
    let mut other = cargo(["build", "--release", "--manifest-path", "benches/sqlx/Cargo.toml", "--target-dir"]);
    step("Building the sqlx contestant", other.arg(target()))?;
    let release = target().join("release");
    let [benches, sqlx, command] =
        ["cofferdam-benches", "cofferdam-bench-sqlx", "cofferdam"].map(|name| release.join(name));
    Ok(Programs { benches, sqlx, command, plugins })
}

/// Builds what counts instructions.
pub fn instructions() -> Result<PathBuf> {
    let mut build = cargo(["build", "--release", "--package", "cofferdam-benches", "--package", "cofferdam-cli"]);
    let what = "Building (the first time compiles wasmtime, optimised, for some minutes)";
    step(what, build.args(["--bin", "cofferdam-benches"]))?;
    Ok(target().join("release/cofferdam-benches"))
}
