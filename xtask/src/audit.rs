//! Checks that ask others: advisories, licences and sources of dependencies, and what a version of the library may change.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::run::{root, say, step};
use crate::tools::{cargo_with, crate_program};

#[derive(Args)]
pub struct Arguments {
    /// Leave out what needs the network: the database of advisories.
    #[arg(long)]
    offline: bool,
    /// The commit or tag with which to compare the library's interface, such as v0.2.0.
    #[arg(long, value_name = "REVISION")]
    since: Option<String>,
}

/// Runs cargo-deny, and cargo-semver-checks where there is something to compare with.
pub fn audit(arguments: &Arguments) -> Result<()> {
    crate_program("cargo-deny", "0.20.2", &["--no-default-features"])?;
    // Who needs a crate is what `cargo tree --invert` tells better.
    let mut deny = cargo_with(["deny", "--workspace", "check", "--hide-inclusion-graph"]);
    match arguments.offline {
        true => deny.args(["bans", "licenses", "sources"]),
        false => deny.args(["advisories", "bans", "licenses", "sources"]),
    };
    step("Checking dependencies", &mut deny)?;
    let Some(revision) = &arguments.since else { return Ok(()) };
    crate_program("cargo-semver-checks", "0.51.0", &[])?;
    let mut semver =
        cargo_with(["semver-checks", "check-release", "--package", "cofferdam", "--baseline-rev", revision]);
    // Where both have one version, the tool cannot tell what the next may change, and would compare nothing.
    if version_of(revision)? == env!("CARGO_PKG_VERSION") {
        say(&format!("The version is still that of {revision}: all that a patch could not change is told"));
        semver.args(["--release-type", "patch"]);
    }
    step("Comparing the library's interface", semver.current_dir(root()))
}

/// The version that a commit of the workspace has.
fn version_of(revision: &str) -> Result<String> {
    let file = format!("{revision}:Cargo.toml");
    let output = Command::new("git").args(["show", &file]).current_dir(root()).output().context("git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let manifest = String::from_utf8(output.stdout)?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.with_context(|| format!("{file} has no version"))?.to_owned())
}
