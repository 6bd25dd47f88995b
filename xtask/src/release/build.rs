//! Compiles the programs as they are released: linked with all that they need, and the same bytes from the same sources in any folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::components;
use crate::run::{cargo, root, say, step, target};
use crate::setup;

/// What is released: packages, and the program of each.
pub const PROGRAMS: [(&str, &str); 2] = [("cofferdam-cli", "cofferdam"), ("cofferdam-bot", "cofferdam-bot")];

/// Programs that have been compiled.
pub struct Programs {
    /// The folder in which they lie.
    pub folder: PathBuf,
}

impl Programs {
    /// Where the command is, which generates what is released beside it.
    pub fn command(&self) -> PathBuf {
        self.folder.join("cofferdam")
    }

    /// Where each of them is, with its name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        PROGRAMS.map(|(_, name)| (name, self.folder.join(name))).into_iter()
    }
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

/// Compiles the programs.
pub fn compile(platform: &str) -> Result<Programs> {
    // For the backends, which the programs carry.
    setup::wasm_target()?;
    let (source, folder) = (root(), folder());
    let mut build = cargo(["build", "--locked", "--release", "--target", platform]);
    build.args(PROGRAMS.iter().flat_map(|(package, _)| ["--package", package]));
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
    Ok(Programs { folder: folder.join(platform).join("release") })
}

/// As for components; and build scripts generate code in the target folder, which may lie in the clone or elsewhere.
fn flags(source: &Path, folder: &Path) -> OsString {
    let mut flags = components::flags(source);
    flags.push("\x1f--remap-path-prefix=");
    flags.push(folder);
    flags.push("=/target\x1f-Ctarget-feature=+crt-static");
    flags
}
