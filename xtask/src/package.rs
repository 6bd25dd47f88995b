//! Packs what is published, and builds a bot and a backend from the packages alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::{self, components};
use crate::run::{cargo, root, say, step, target};

/// What is published, each after what it depends on.
const PACKAGES: [&str; 7] = [
    "cofferdam-backends",
    "cofferdam-guest",
    "cofferdam",
    "cofferdam-conformance",
    "cofferdam-cli",
    "local-discord",
    "cofferdam-bot",
];

/// Puts the components where they are packed from, packs and verifies the packages, and builds and runs what is in `tests/outside`
/// with what has been packed.
pub fn package() -> Result<()> {
    carry(&build::plugins()?)?;

    // A target folder for all of it, so that a dependency is compiled once.
    let outside = target().join("outside");
    let packed = outside.join("package");
    remove(&packed)?;
    forget(&outside)?;
    // What is not committed yet is packed too: whoever publishes commits first.
    let mut package = cargo(["package", "--quiet", "--allow-dirty"]);
    for name in PACKAGES {
        package.args(["--package", name]);
    }
    step("Packing the packages, and building each from what is packed", cheap(&mut package, &outside))?;

    let mut backend = stranger("backend", &["cofferdam-guest"], &outside)?;
    backend.args(["--release", "--target", components::TARGET]);
    step("Building a backend from the packages", &mut backend)?;
    let component = outside.join(components::TARGET).join("release/outside.wasm");

    let mut program = stranger("program", &["cofferdam", "cofferdam-backends", "cofferdam-conformance"], &outside)?;
    step("Building a program from the packages", &mut program)?;

    // Nothing is in its folder and nothing in its environment, but for where the tests keep the code of the same components.
    let home = outside.join("home");
    remove(&home)?;
    std::fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let mut program = Command::new(outside.join("debug/outside-program"));
    program.arg(component).current_dir(&home).env_clear().env("COFFERDAM_CACHE", target().join("guests/compiled"));
    step("Running the program in an empty folder", &mut program)?;

    let mut bot = stranger("serenity", &["local-discord"], &outside)?;
    step("Building a bot on serenity with the packed local-discord", &mut bot)?;
    step("Running the bot on serenity", &mut Command::new(outside.join("debug/outside-serenity")))?;

    say(&format!("The packages are in {}", packed.display()));
    Ok(())
}

/// Copies the components into the package that carries them. What else is there goes.
fn carry(plugins: &Path) -> Result<()> {
    let folder = root().join("backends/components");
    remove(&folder)?;
    build::copy_components(plugins, &folder)
}

/// Has cargo look again at packages that it has seen with the same version. It verifies each with the others as if they had been
/// published, and what has been published never changes.
fn forget(outside: &Path) -> Result<()> {
    let fingerprints = outside.join("debug/.fingerprint");
    let mut seen = named(&fingerprints, "cofferdam")?;
    seen.extend(named(&fingerprints, "local-discord")?);
    // Where it has unpacked what comes from no server.
    for source in named(&components::cargo_home().join("registry/src"), "-")? {
        seen.extend(PACKAGES.iter().map(|name| source.join(versioned(name))));
    }
    seen.iter().try_for_each(|folder| remove(folder))
}

/// What is in a folder whose name begins so.
fn named(folder: &Path, start: &str) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.file_name().to_string_lossy().starts_with(start) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn versioned(package: &str) -> String {
    format!("{package}-{}", env!("CARGO_PKG_VERSION"))
}

/// A cargo that builds what a stranger has written: a copy of a folder of `tests/outside`, where nothing of this workspace is near. It
/// takes these packages as they have been packed, as if they had been published.
fn stranger(name: &str, packages: &[&str], outside: &Path) -> Result<Command> {
    let (from, folder) = (root().join("tests/outside").join(name), outside.join(name));
    remove(&folder)?;
    copy(&from, &folder).with_context(|| format!("cannot copy {} to {}", from.display(), folder.display()))?;
    // The versions that everything else is tested with.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let mut command = cargo(["build", "--quiet"]);
    for package in packages {
        // Cargo has unpacked it there to verify it.
        let unpacked = outside.join("package").join(versioned(package));
        ensure!(unpacked.is_dir(), "cargo left no {}", unpacked.display());
        command.args(["--config".to_owned(), format!("patch.crates-io.{package}.path='{}'", unpacked.display())]);
    }
    cheap(&mut command, outside).current_dir(&folder);
    Ok(command)
}

/// Nothing that is built here is measured: it is worth no optimisation and no debug information.
fn cheap<'a>(command: &'a mut Command, target: &Path) -> &'a mut Command {
    command.envs([
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
        ("CARGO_PROFILE_DEV_INCREMENTAL", "false"),
        ("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
    ]);
    command.env("CARGO_TARGET_DIR", target)
}

/// Copies a folder, and what links in it lead to.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy(&path, &to)? } else { std::fs::copy(&path, &to).map(drop)? }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
