//! What users download: an archive and Debian packages for this platform, with what is in them told.

mod archive;
mod build;
mod licences;
mod proof;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::run::{root, run, say, step};
use crate::tools::{self, crate_program};

/// The version that everything has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The licences of what the programs are linked with, beside the programs, and in everything that has one of them.
const LICENCES: &str = "LICENCES-OF-DEPENDENCIES.txt";

/// The sums of everything else.
const SUMS: &str = "SHA256SUMS";

#[derive(Args)]
pub struct Arguments {
    /// Make everything a second time, in a clone in another folder, and compare the bytes.
    #[arg(long)]
    twice: bool,
}

/// Makes `dist/` anew: archive, packages, and their sums.
pub fn release(arguments: &Arguments) -> Result<()> {
    if arguments.twice {
        proof::is_committed()?;
    }
    let dist = root().join("dist");
    clean(&dist)?;
    let platform = build::platform()?;
    let programs = build::compile(&platform)?;
    let share = programs.join("share");
    clean(&share)?;
    for build::Program { name, generate, .. } in build::PROGRAMS {
        let mut write = Command::new(programs.join(name));
        step(&format!("Writing completions and manual pages of {name}"), write.arg(generate).arg(share.join(name)))?;
    }
    licences::write(&programs.join(LICENCES), &platform)?;
    let name = format!("cofferdam-{VERSION}-{platform}");
    archive::fill(&dist.join(&name), &programs, &platform)?;
    let archive = archive::pack(&dist, &name)?;
    fs::remove_dir_all(dist.join(&name)).with_context(|| name.clone())?;
    proof::runs_alone(&archive, &name)?;
    let mut files = vec![archive];
    for program in build::PROGRAMS {
        files.push(debian(&dist, &platform, program.package)?);
    }
    let sums = sums(&dist, &files)?;
    if arguments.twice {
        proof::again(&sums)?;
    }
    say(&format!("Ready in {}", dist.display()));
    for file in &files {
        println!("{:>10} KB  {}", fs::metadata(file)?.len().div_ceil(1000), name_of(file));
    }
    print!("{sums}");
    Ok(())
}

/// The time of the last commit: what is made of the same sources has the same one.
fn epoch() -> Result<u64> {
    let output = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()).output().context("git")?;
    Ok(String::from_utf8(output.stdout)?.trim().parse().unwrap_or(0))
}

/// The Debian package of a crate, with what has been generated beside its program.
fn debian(dist: &Path, platform: &str, package: &str) -> Result<PathBuf> {
    crate_program("cargo-deb", tools::CARGO_DEB, &["--no-default-features", "--features", "gzip"])?;
    let folder = build::folder().join("packages").join(package);
    clean(&folder)?;
    let mut deb = tools::cargo_with(["deb", "--quiet", "--no-build", "--no-strip", "--package", package]);
    deb.args(["--target", platform, "--output"]).arg(&folder).env("SOURCE_DATE_EPOCH", epoch()?.to_string());
    deb.env("CARGO_TARGET_DIR", build::folder());
    step(&format!("Packing {package} for Debian"), &mut deb)?;
    let made = fs::read_dir(&folder)?.next().with_context(|| format!("cargo-deb made no package of {package}"))??;
    let file = dist.join(made.file_name());
    copy(&made.path(), &file)?;
    Ok(file)
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn sums(dist: &Path, files: &[PathBuf]) -> Result<String> {
    let names = files.iter().filter_map(|file| file.file_name());
    let output = Command::new("sha256sum").args(names).current_dir(dist).output().context("sha256sum")?;
    ensure!(output.status.success(), "sha256sum: {}", String::from_utf8_lossy(&output.stderr));
    fs::write(dist.join(SUMS), &output.stdout)?;
    run(Command::new("sha256sum").args(["--check", "--quiet", SUMS]).current_dir(dist))?;
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

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
