//! What users download: an archive and a Debian package for this platform, with what is in them told.

mod build;
mod licences;
mod proof;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::build::Program;
use crate::build as components;
use crate::run::{cargo, root, run, say, step};
use crate::tools::{self, crate_program};

/// The version that everything has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub struct Arguments {
    /// Build everything a second time, in a copy of the sources in another folder, and compare the bytes.
    #[arg(long)]
    twice: bool,
}

/// Makes `dist/` anew: archive, package, list of components, and their sums.
pub fn release(arguments: &Arguments) -> Result<()> {
    let dist = root().join("dist");
    clean(&dist)?;
    let platform = build::platform()?;
    let program = build::command(&root(), &platform)?;
    proof::runs_alone(&program.path)?;
    let share = program.folder.join("share");
    clean(&share)?;
    let mut generate = Command::new(&program.path);
    step("Writing completions and manual pages", generate.arg("generate").arg(&share))?;
    let name = format!("cofferdam-{VERSION}-{platform}");
    let stage = dist.join(&name);
    fill(&stage, &program, &share)?;
    let archive = pack(&dist, &name)?;
    let package = debian(&dist, &platform)?;
    let sums = sums(&dist, &[&archive, &package])?;
    if arguments.twice {
        proof::again(&dist, &platform, &program.path)?;
    }
    say(&format!("Ready in {}", dist.display()));
    print!("{sums}");
    Ok(())
}

/// Puts together what the archive holds.
fn fill(stage: &Path, program: &Program, share: &Path) -> Result<()> {
    copy(&program.path, &stage.join("bin/cofferdam"))?;
    for (from, to) in [
        (share.to_owned(), "share"),
        (root().join("deploy/systemd"), "deploy/systemd"),
        (root().join("deploy/kubernetes"), "deploy/kubernetes"),
    ] {
        copy_folder(&from, &stage.join(to))?;
    }
    let plugins = stage.join("plugins");
    components::copy_components(&components::plugins()?, &plugins)?;
    for file in ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
        copy(&root().join(file), &stage.join(file))?;
    }
    for file in ["compose.yaml", ".env.example", "prometheus-rules.yaml", "grafana-dashboard.json"] {
        copy(&root().join("deploy").join(file), &stage.join("deploy").join(file))?;
    }
    licences::write(&stage.join("LICENCES-OF-DEPENDENCIES.txt"))?;
    bill(&stage.join("cofferdam.cdx.json"))
}

/// The list of what is in the command, for machines, by cargo-cyclonedx.
fn bill(to: &Path) -> Result<()> {
    crate_program("cargo-cyclonedx", "0.5.9", &[])?;
    let name = "cofferdam.cdx";
    let mut list =
        tools::cargo_with(["cyclonedx", "--format", "json", "--quiet", "--no-build-deps", "--override-filename", name]);
    list.args(["--manifest-path", "command/Cargo.toml", "--target", &build::platform()?]);
    list.env("SOURCE_DATE_EPOCH", epoch()?.to_string());
    step("Listing what is in the command", &mut list)?;
    // It writes beside every manifest of the workspace.
    let mut made = Vec::new();
    find(&root(), &format!("{name}.json"), &mut made)?;
    let of_command = root().join("command").join(format!("{name}.json"));
    ensure!(made.contains(&of_command), "cargo-cyclonedx wrote no {}", of_command.display());
    let text = fs::read_to_string(&of_command)?.replace(&root().display().to_string(), "/cofferdam");
    fs::write(to, text).with_context(|| to.display().to_string())?;
    made.iter().try_for_each(|file| fs::remove_file(file).with_context(|| file.display().to_string()))
}

/// The time of the last commit: what is made of the same sources has the same one.
pub fn epoch() -> Result<u64> {
    let output = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output().context("git")?;
    Ok(String::from_utf8(output.stdout)?.trim().parse().unwrap_or(0))
}

/// An archive whose bytes depend on names and contents alone.
fn pack(dist: &Path, name: &str) -> Result<PathBuf> {
    let archive = dist.join(format!("{name}.tar.gz"));
    let script = "set -eu; tar --create --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=go=rX,u+w \
                  --mtime=\"@$1\" \"$2\" | gzip -9n > \"$3\"";
    let mut tar = Command::new("sh");
    tar.args(["-c", script, "pack", &epoch()?.to_string(), name]).arg(&archive).current_dir(dist);
    step("Packing the archive", &mut tar)?;
    Ok(archive)
}

/// The Debian package, of the command and what has been generated beside it.
fn debian(dist: &Path, platform: &str) -> Result<PathBuf> {
    crate_program("cargo-deb", tools::CARGO_DEB, &["--no-default-features", "--features", "gzip"])?;
    let mut deb = tools::cargo_with(["deb", "--quiet", "--no-build", "--no-strip", "--package", "cofferdam-cli"]);
    deb.args(["--target", platform, "--output"]).arg(dist).env("SOURCE_DATE_EPOCH", epoch()?.to_string());
    deb.env("CARGO_TARGET_DIR", build::folder());
    step("Packing the Debian package", &mut deb)?;
    let mut made = Vec::new();
    for entry in fs::read_dir(dist)? {
        made.push(entry?.path());
    }
    made.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).context("cargo-deb made no package")
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn sums(dist: &Path, files: &[&Path]) -> Result<String> {
    let names = files.iter().filter_map(|file| file.file_name());
    let output = Command::new("sha256sum").args(names).current_dir(dist).output().context("sha256sum")?;
    ensure!(output.status.success(), "sha256sum: {}", String::from_utf8_lossy(&output.stderr));
    fs::write(dist.join("SHA256SUMS"), &output.stdout)?;
    run(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(dist))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn clean(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_folder(&path, &to)? } else { copy(&path, &to)? }
    }
    Ok(())
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

/// Cargo as the release uses it, in the clone `source`.
fn cargo_in(source: &Path) -> Command {
    let mut command = cargo([] as [&str; 0]);
    command.current_dir(source);
    command
}
