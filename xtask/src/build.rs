//! Builds the command and the plugins.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, root, run, step, target};
use crate::setup;

/// The backends that come with Cofferdam: the folders of `plugins/`, but for what they share.
pub fn backends() -> Result<Vec<String>> {
    let mut backends = Vec::new();
    for folder in std::fs::read_dir(root().join("plugins")).context("cannot read plugins/")? {
        let name = folder?.file_name().to_string_lossy().into_owned();
        if name != "guest" && root().join("plugins").join(&name).join("Cargo.toml").is_file() {
            backends.push(name);
        }
    }
    backends.sort();
    Ok(backends)
}

/// The profile for tests and the demo, whose dependencies are optimised.
pub const DEVELOPMENT: &str = "dev";

/// Where things are after a build.
pub struct Built {
    pub command: PathBuf,
    pub plugins: PathBuf,
}

/// Builds the command in a profile, and the plugins, which have a profile of their own.
pub fn build(profile: &str) -> Result<Built> {
    let plugins = plugins()?;
    let mut build = cargo(["build", "--profile", profile, "--bin", "cofferdam"]);
    // Without a package cargo takes the features of all that tests need too, so that wasmtime is compiled once.
    if profile != DEVELOPMENT {
        build.args(["--package", "cofferdam-cli"]);
    }
    step("Building the host (the first time compiles wasmtime, which takes some minutes)", &mut build)?;
    let folder = if profile == DEVELOPMENT { "debug" } else { profile };
    Ok(Built { command: target().join(folder).join("cofferdam"), plugins })
}

/// Builds the plugins into `plugins` in the target folder, where a command beside it finds them.
pub fn plugins() -> Result<PathBuf> {
    setup::wasm_target()?;
    // A folder of their own, which the build script of the tests shares.
    let guests = target().join("guests");
    let mut build = cargo(["build", "--target", "wasm32-wasip2", "--profile", "plugin", "--target-dir"]);
    build.arg(&guests);
    let backends = backends()?;
    for backend in &backends {
        build.args(["--package".into(), format!("cofferdam-{backend}")]);
    }
    step("Building the plugins", &mut build)?;
    let folder = target().join("plugins");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for backend in &backends {
        let file = format!("{backend}.wasm");
        let (from, to) = (guests.join("wasm32-wasip2/plugin").join(&file), folder.join(&file));
        std::fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(folder)
}

/// Builds what is needed and runs the demo.
pub fn demo(arguments: &[OsString]) -> Result<()> {
    let Built { command, plugins } = build(DEVELOPMENT)?;
    let mut demo = Command::new(command);
    demo.arg("demo").args(arguments);
    if std::env::var_os("COFFERDAM_PLUGIN").is_none() {
        demo.env("COFFERDAM_PLUGINS", plugins);
    }
    run(&mut demo)
}
