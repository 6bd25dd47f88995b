//! Compiles the command as it is released: linked with all that it needs, and the same bytes from the same sources in any folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cargo_in;
use crate::build::components;
use crate::run::{root, say, step, target};

/// A program that has been compiled.
pub struct Program {
    pub path: PathBuf,
    /// The folder in which it lies.
    pub folder: PathBuf,
}

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

/// Compiles the command of the clone `source`.
pub fn command(source: &Path, platform: &str) -> Result<Program> {
    compile(source, platform, &folder())
}

/// As [`command`], into another target folder.
pub fn compile(source: &Path, platform: &str, folder: &Path) -> Result<Program> {
    let mut build = cargo_in(source);
    build.args(["build", "--locked", "--release", "--target", platform, "--package", "cofferdam-cli"]);
    let mut flags = components::flags(source);
    flags.push("\x1f-Ctarget-feature=+crt-static");
    build.env("CARGO_TARGET_DIR", folder).env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags);
    // What compiles C writes its folders into assertions.
    let remap = format!(
        "-ffile-prefix-map={}=/cargo -ffile-prefix-map={}=/target -ffile-prefix-map={}=/cofferdam",
        components::cargo_home().display(),
        folder.display(),
        source.display()
    );
    build.env("CFLAGS", remap);
    say("The command is compiled with all optimisations, which takes some minutes");
    step("Building the command", &mut build)?;
    let folder = folder.join(platform).join("release");
    Ok(Program { path: folder.join("cofferdam"), folder })
}
