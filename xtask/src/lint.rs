//! Checks that need no run.

use anyhow::Result;

use crate::run::{cargo, step, target};
use crate::setup;

/// Formatting, clippy and documentation, for host and guests; warnings are errors.
pub fn lint() -> Result<()> {
    setup::wasm_target()?;
    step("Checking the formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    let features = ["--features", "cofferdam/command"];
    let denied = ["--", "--deny", "warnings"];
    step("Checking the host with clippy", cargo(["clippy", "--all-targets"]).args(features).args(denied))?;
    let mut guests = cargo(["clippy", "--target", "wasm32-wasip2", "--workspace", "--target-dir"]);
    guests.arg(target().join("guests"));
    for native in ["cofferdam", "cofferdam-benches", "cofferdam-tests", "xtask"] {
        guests.args(["--exclude", native]);
    }
    step("Checking the guests with clippy", guests.args(denied))?;
    let mut documentation = cargo(["doc", "--no-deps", "--workspace", "--exclude", "guest-*"]);
    documentation.args(features).env("RUSTDOCFLAGS", "--deny warnings");
    step("Checking the documentation", &mut documentation)
}
