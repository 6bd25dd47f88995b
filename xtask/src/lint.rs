//! Checks that need no run.

use anyhow::Result;

use crate::build::backends;
use crate::run::{cargo, root, say, step, target};
use crate::{floors, setup};

/// Formatting, the floors of the library, clippy and documentation, for host and guests; warnings are errors.
pub fn lint() -> Result<()> {
    setup::wasm_target()?;
    step("Checking the formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    say("Checking the floors of docs/architecture.md");
    floors::check(&root())?;
    let denied = ["--", "--deny", "warnings"];
    // The benches too, which are no part of the tests.
    let mut host = cargo(["clippy", "--all-targets", "--workspace", "--exclude", "test-guests"]);
    for backend in backends()? {
        host.args(["--exclude".into(), format!("cofferdam-{backend}")]);
    }
    step("Checking the host with clippy", host.args(denied))?;
    let mut guests = cargo(["clippy", "--target", "wasm32-wasip2", "--lib", "--examples", "--package", "test-guests"]);
    for backend in backends()? {
        guests.args(["--package".into(), format!("cofferdam-{backend}")]);
    }
    guests.arg("--target-dir").arg(target().join("guests"));
    step("Checking the guests with clippy", guests.args(denied))?;
    let mut documentation = cargo(["doc", "--no-deps", "--workspace", "--exclude", "test-guests"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    step("Checking the documentation", &mut documentation)
}
