//! Checks that need no run.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::backends;
use crate::run::{cargo, root, say, step, target};
use crate::{floors, setup};

/// Formatting, the floors of the library, clippy and documentation, for host and guests, and the types of the clients; warnings are
/// errors.
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
    clients()?;
    let mut documentation = cargo(["doc", "--no-deps", "--workspace", "--exclude", "test-guests"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    step("Checking the documentation", &mut documentation)
}

/// Formatting and types of the clients.
fn clients() -> Result<()> {
    setup::clients()?;
    setup::mypy()?;
    let clients = root().join("clients");
    let unformatted = Command::new("gofmt").args(["-l", "."]).current_dir(clients.join("go")).output();
    let unformatted = unformatted.context("cannot run gofmt: is Go installed?")?.stdout;
    ensure!(unformatted.is_empty(), "run gofmt on {}", String::from_utf8_lossy(&unformatted));
    step("Checking the client in Go", Command::new("go").args(["vet", "./..."]).current_dir(clients.join("go")))?;
    let mut mypy = Command::new("mypy");
    mypy.args(["--strict", "--cache-dir"]).arg(target().join("mypy")).args(["cofferdam", "conformance/__main__.py"]);
    step("Checking the client in Python", mypy.current_dir(clients.join("python")))?;
    let mut typescript = Command::new("node_modules/.bin/tsc");
    step("Checking the client in TypeScript", typescript.arg("--noEmit").current_dir(clients.join("typescript")))
}
