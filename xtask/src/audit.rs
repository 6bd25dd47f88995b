//! Checks that ask others: advisories, licences and sources of dependencies, and what a version of the library may change.

use anyhow::Result;
use clap::Args;

use crate::run::{root, step};
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
    let mut deny = cargo_with(["deny", "--workspace", "check"]);
    match arguments.offline {
        true => deny.args(["bans", "licenses", "sources"]),
        false => deny.args(["advisories", "bans", "licenses", "sources"]),
    };
    step("Checking dependencies", &mut deny)?;
    let Some(revision) = &arguments.since else { return Ok(()) };
    crate_program("cargo-semver-checks", "0.51.0", &[])?;
    let mut semver =
        cargo_with(["semver-checks", "check-release", "--package", "cofferdam", "--baseline-rev", revision]);
    step("Comparing the library's interface", semver.current_dir(root()))
}
