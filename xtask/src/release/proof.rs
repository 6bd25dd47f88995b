//! That a release needs nothing but a kernel, and that its bytes come from its sources alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{build, clean};
use crate::run::{root, run, say, step, target};

/// Runs the command where nothing else is: no library, no `/etc`, and of devices the one for random numbers. Needs root for it, and is
/// left out without.
pub fn runs_alone(program: &Path) -> Result<()> {
    let id = Command::new("id").arg("-u").output().context("id")?;
    if id.stdout.trim_ascii() != b"0" {
        say("Without root the command cannot be run in an empty folder");
        return Ok(());
    }
    let folder = target().join("release-alone");
    clean(&folder)?;
    fs::copy(program, folder.join("cofferdam")).context("cannot copy the command")?;
    fs::create_dir(folder.join("dev"))?;
    run(Command::new("mknod").arg(folder.join("dev/urandom")).args(["--mode=444", "c", "1", "9"]))?;
    let alone = |arguments: &[&str]| {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&folder).arg("/cofferdam").args(arguments).env_clear().env("DATABASE_PATH", "/data/bot_state.db");
        command
    };
    step("Running the command in an empty folder", alone(&["check"]).env("COFFERDAM_CACHE", "/cache"))?;
    run(alone(&["state", "put", "channel", "--message", "1"]).env("COFFERDAM_CACHE", "/cache"))?;
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
}

/// Compiles a copy of the sources in another folder, into another folder, and compares.
pub fn again(dist: &Path, platform: &str, program: &Path) -> Result<()> {
    let copy = target().join("release-again");
    clean(&copy)?;
    let mut archive = Command::new("sh");
    let script = "git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | \
                  tar --extract --directory=\"$1\"";
    archive.args(["-c", script, "copy"]).arg(copy.join("sources")).current_dir(root());
    fs::create_dir_all(copy.join("sources"))?;
    step("Copying the sources to another folder", &mut archive)?;
    let second = build::compile(&copy.join("sources"), platform, &copy.join("elsewhere"))?;
    let (one, other) = (fs::read(program)?, fs::read(&second.path)?);
    ensure!(
        one == other,
        "{} and {} differ: {} and {} bytes",
        program.display(),
        second.path.display(),
        one.len(),
        other.len()
    );
    say(&format!("Two builds gave the same {} bytes", one.len()));
    fs::write(
        dist.join("REPRODUCIBLE"),
        format!("Two builds in different folders gave the same {} bytes.\n", one.len()),
    )?;
    fs::remove_dir_all(&copy).with_context(|| copy.display().to_string())
}
