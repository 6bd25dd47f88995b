//! Builds the command and the plugins.

#[path = "../../backends/build/components.rs"]
pub mod components;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, root, run, step, target};
use crate::setup;

/// The backends that come with Cofferdam.
pub fn backends() -> Result<Vec<String>> {
    components::backends(&root()).context("cannot read plugins/")
}

/// The profile for tests and the demo, whose dependencies are optimised.
pub const DEVELOPMENT: &str = "dev";

/// Where things are after a build.
pub struct Built {
    pub command: PathBuf,
    pub plugins: PathBuf,
}

/// Builds the command in a profile, and the plugins, which have a profile of their own. For development the bot and the demo too.
pub fn build(profile: &str) -> Result<Built> {
    let plugins = plugins()?;
    let mut build = cargo(["build", "--profile", profile, "--bin", "cofferdam"]);
    // Without a package cargo takes the features of all that tests need too, so that wasmtime is compiled once. Tests run the demo,
    // too, which is beside the command with the bot.
    match profile {
        DEVELOPMENT => build.args(["--bin", "cofferdam-bot", "--bin", "cofferdam-demo"]),
        _ => build.args(["--package", "cofferdam-cli"]),
    };
    step("Building the host (the first time compiles wasmtime, which takes some minutes)", &mut build)?;
    let folder = if profile == DEVELOPMENT { "debug" } else { profile };
    Ok(Built { command: target().join(folder).join("cofferdam"), plugins })
}

/// Builds the plugins into `plugins` in the target folder, where a command beside it finds them.
pub fn plugins() -> Result<PathBuf> {
    setup::wasm_target()?;
    // A folder of their own, which build scripts share.
    let guests = target().join("guests");
    step("Building the plugins", &mut components::build_backends(&root(), &guests, &backends()?))?;
    let folder = target().join("plugins");
    copy_components(&components::built(&guests), &folder)?;
    Ok(folder)
}

/// Copies the components of the backends from one folder into another.
pub fn copy_components(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for backend in backends()? {
        let file = format!("{backend}.wasm");
        let (from, to) = (from.join(&file), to.join(&file));
        std::fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Builds the bot and runs the demo.
pub fn demo(arguments: &[OsString]) -> Result<()> {
    // The backends are embedded, and compiled for it.
    setup::wasm_target()?;
    let mut build = cargo(["build", "--profile", DEVELOPMENT, "--bin", "cofferdam-bot", "--bin", "cofferdam-demo"]);
    // For the move to a server, if one is named.
    if std::env::var_os("DATABASE_TYPE").is_some_and(|kind| kind == "mysql") {
        build.args(["--bin", "cofferdam"]);
    }
    step("Building the bot (the first time compiles wasmtime, which takes some minutes)", &mut build)?;
    run(Command::new(target().join("debug/cofferdam-demo")).args(arguments))
}
