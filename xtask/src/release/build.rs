//! Compiles the programs as they are released: linked with all that they need, and the same bytes from the same sources in any folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::components;
use crate::run::{cargo, root, say, step, target};
use crate::setup;

/// A program that is released.
pub struct Program {
    /// The crate that has it.
    pub package: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What lets it write completions and manual pages into a folder.
    pub generate: &'static str,
}

/// All of them.
pub const PROGRAMS: [Program; 2] = [
    Program { package: "cofferdam-cli", name: "cofferdam", generate: "generate" },
    Program { package: "cofferdam-bot", name: "cofferdam-bot", generate: "--generate" },
];

/// Where releases are compiled, apart from what is compiled with other flags.
pub fn folder() -> PathBuf {
    target().join("release-build")
}

/// The platform of this machine, as Rust names it.
pub fn platform() -> Result<String> {
    let output = Command::new("rustc").args(["--print", "host-tuple"]).current_dir(root()).output().context("rustc")?;
    ensure!(output.status.success(), "rustc does not tell its platform");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Compiles the programs, and says the folder in which they lie then.
pub fn compile(platform: &str) -> Result<PathBuf> {
    // For the backends, which the programs carry.
    setup::wasm_target()?;
    let (source, folder) = (root(), folder());
    let mut build = cargo(["build", "--locked", "--release", "--target", platform]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--package", program.package]));
    build.env("CARGO_TARGET_DIR", &folder).env_remove("RUSTFLAGS");
    build.env("CARGO_ENCODED_RUSTFLAGS", flags(&source, &folder));
    // What compiles C writes its folders into assertions.
    let remap = format!(
        "-ffile-prefix-map={}=/cargo -ffile-prefix-map={}=/cofferdam -ffile-prefix-map={}=/target",
        components::cargo_home().display(),
        source.display(),
        folder.display()
    );
    build.env("CFLAGS", remap);
    say("The command and the bot are compiled with all optimisations, which takes some minutes");
    step("Building the command and the bot", &mut build)?;
    Ok(folder.join(platform).join("release"))
}

/// As for components; and build scripts generate code in the target folder, which may lie in the clone or elsewhere.
fn flags(source: &Path, folder: &Path) -> OsString {
    let mut flags = components::flags(source);
    flags.push("\x1f--remap-path-prefix=");
    flags.push(folder);
    flags.push("=/target\x1f-Ctarget-feature=+crt-static");
    flags
}
