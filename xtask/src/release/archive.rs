//! The archive, which holds everything that a machine without Rust needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::Programs;
use super::platform::Platform;
use super::{copy, copy_folder, epoch, licences};
use crate::build as components;
use crate::run::{root, step};
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
pub fn fill(stage: &Path, programs: &Programs, share: &Path, platform: &Platform) -> Result<()> {
    for (name, program) in programs.all() {
        copy(&program, &stage.join("bin").join(name))?;
    }
    copy_folder(share, &stage.join("share"))?;
    components::copy_components(&components::plugins()?, &stage.join("plugins"))?;
    for file in FILES {
        copy(&root().join(file), &stage.join(file))?;
    }
    for folder in FOLDERS {
        copy_folder(&root().join(folder), &stage.join(folder))?;
    }
    licences::write(&stage.join("LICENCES-OF-DEPENDENCIES.txt"), &platform.name)?;
    bills(stage, &platform.name)
}

/// The lists of what is in the programs, for machines, by cargo-cyclonedx.
fn bills(stage: &Path, platform: &str) -> Result<()> {
    crate_program("cargo-cyclonedx", "0.5.9", &[])?;
    // It writes beside every manifest of the workspace, also where one is named.
    let name = "bill-of-materials.cdx";
    let mut list =
        cargo_with(["cyclonedx", "--format", "json", "--quiet", "--no-build-deps", "--override-filename", name]);
    list.args(["--manifest-path", "command/Cargo.toml", "--target", platform]);
    list.env("SOURCE_DATE_EPOCH", epoch()?.to_string());
    step("Listing what is in the programs", &mut list)?;
    let mut made = Vec::new();
    find(&root(), &format!("{name}.json"), &mut made)?;
    for (folder, program) in [("command", "cofferdam"), ("bot", "cofferdam-bot")] {
        let bill = root().join(folder).join(format!("{name}.json"));
        ensure!(made.contains(&bill), "cargo-cyclonedx wrote no {}", bill.display());
        let text = fs::read_to_string(&bill)?.replace(&root().display().to_string(), "/cofferdam");
        let to = stage.join(format!("{program}.cdx.json"));
        fs::write(&to, text).with_context(|| to.display().to_string())?;
    }
    made.iter().try_for_each(|file| fs::remove_file(file).with_context(|| file.display().to_string()))
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

/// Files of a name among the sources.
fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_source = !["target", "node_modules", ".git", "dist"].iter().any(|other| path.ends_with(other));
        if path.is_dir() && !path.is_symlink() && is_source {
            find(&path, name, found)?;
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    Ok(())
}
