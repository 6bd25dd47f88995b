//! Checks that need no run.

use anyhow::Result;

use crate::run::{cargo, step};
use crate::setup;

/// Formatting, clippy and documentation, for host and guests; warnings are errors.
pub fn lint() -> Result<()> {
    setup::wasm_target()?;
    step("Checking the formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    let workspace = ["--workspace", "--features", "cofferdam/command"];
    let denied = ["--", "--deny", "warnings"];
    step("Checking the host with clippy", cargo(["clippy", "--all-targets"]).args(workspace).args(denied))?;
    let guests = ["clippy", "--target", "wasm32-wasip2", "--package", "cofferdam-sqlite", "--package", "cofferdam-mysql"];
    step("Checking the guests with clippy", cargo(guests).args(["--package", "cofferdam-guest"]).args(denied))?;
    let mut documentation = cargo(["doc", "--no-deps"]);
    documentation.args(workspace).env("RUSTDOCFLAGS", "--deny warnings");
    step("Checking the documentation", &mut documentation)
}
