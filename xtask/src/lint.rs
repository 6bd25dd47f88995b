//! Checks that need no run.

use anyhow::Result;

use crate::run::{cargo, root, say, step, target};
use crate::{floors, setup};

/// Formatting, the floors of the library, clippy and documentation, for host and guests; warnings are errors.
pub fn lint() -> Result<()> {
    setup::wasm_target()?;
    step("Checking the formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    say("Checking the floors of docs/architecture.md");
    floors::check(&root())?;
    let denied = ["--", "--deny", "warnings"];
    step("Checking the host with clippy", cargo(["clippy", "--all-targets"]).args(denied))?;
    let mut guests = cargo(["clippy", "--target", "wasm32-wasip2", "--workspace", "--target-dir"]);
    guests.arg(target().join("guests"));
    for native in ["cofferdam", "cofferdam-benches", "cofferdam-cli", "cofferdam-tests", "xtask"] {
        guests.args(["--exclude", native]);
    }
    step("Checking the guests with clippy", guests.args(denied))?;
    let mut documentation = cargo(["doc", "--no-deps", "--workspace", "--exclude", "guest-*"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    step("Checking the documentation", &mut documentation)
}
