//! The archive, which holds everything that a machine without Rust needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::build::{PROGRAMS, Program};
use super::{LICENCES, clean, copy, copy_folder, epoch};
use crate::build as components;
use crate::run::{root, run, step, target};
use crate::tools::{cargo_with, crate_program};

/// Files of the repository, at the same places in the archive.
const FILES: [&str; 9] = [
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "deploy/.env.example",
    "deploy/compose.yaml",
    "deploy/grafana-dashboard.json",
    "deploy/prometheus-rules.yaml",
];

/// And folders.
const FOLDERS: [&str; 3] = ["deploy/kubernetes", "deploy/systemd", "docs"];

/// Puts together what the archive holds.
pub fn fill(stage: &Path, programs: &Path, platform: &str) -> Result<()> {
    for Program { name, .. } in PROGRAMS {
        copy(&programs.join(name), &stage.join("bin").join(name))?;
        copy_folder(&programs.join("share").join(name), &stage.join("share"))?;
    }
    components::copy_components(&components::plugins()?, &stage.join("plugins"))?;
    for file in FILES {
        copy(&root().join(file), &stage.join(file))?;
    }
    for folder in FOLDERS {
        copy_folder(&root().join(folder), &stage.join(folder))?;
    }
    copy(&programs.join(LICENCES), &stage.join(LICENCES))?;
    bills(stage, platform)
}

/// The lists of what is in the programs, for machines, by cargo-cyclonedx. It writes beside every manifest of a workspace, so it gets a
/// copy: what comes and goes in the folders of the backends would have them, and all that carries them, compiled again.
fn bills(stage: &Path, platform: &str) -> Result<()> {
    crate_program("cargo-cyclonedx", "0.5.9", &[])?;
    let sources = target().join("release-sources");
    clean(&sources)?;
    let script = "git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | \
                  tar --extract --directory=\"$1\"";
    let mut copy = Command::new("sh");
    run(copy.args(["-c", script, "copy"]).arg(&sources).current_dir(root()))?;
    let mut list = cargo_with(["cyclonedx", "--format", "json", "--quiet", "--no-build-deps", "--target", platform]);
    list.args(["--override-filename", "bill", "--manifest-path", "command/Cargo.toml"]).current_dir(&sources);
    step("Listing what is in the programs", list.env("SOURCE_DATE_EPOCH", epoch()?.to_string()))?;
    for (folder, program) in [("command", "cofferdam"), ("bot", "cofferdam-bot")] {
        let bill = sources.join(folder).join("bill.json");
        let text = fs::read_to_string(&bill).with_context(|| bill.display().to_string())?;
        let to = stage.join(format!("{program}.cdx.json"));
        let text = text.replace(&sources.display().to_string(), "/cofferdam");
        fs::write(&to, text).with_context(|| to.display().to_string())?;
    }
    fs::remove_dir_all(&sources).with_context(|| sources.display().to_string())
}

/// An archive whose bytes depend on names and contents alone.
pub fn pack(dist: &Path, name: &str) -> Result<PathBuf> {
    let archive = dist.join(format!("{name}.tar.gz"));
    let script = "set -eu; tar --create --sort=name --format=ustar --owner=0 --group=0 --numeric-owner \
                  --mode=u=rwX,go=rX --mtime=\"@$1\" \"$2\" | gzip -9n > \"$3\"";
    let mut tar = Command::new("sh");
    tar.args(["-c", script, "pack", &epoch()?.to_string(), name]).arg(&archive).current_dir(dist);
    step("Packing the archive", &mut tar)?;
    Ok(archive)
}
