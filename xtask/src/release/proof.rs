//! That a release needs nothing but a kernel, and that its bytes come from its sources alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{SUMS, build, clean};
use crate::run::{root, run, say, step, target};
use crate::tools;

/// Unpacks the archive where nothing else is, no library, no `/etc`, and of devices those for random numbers, and runs what is in it.
/// Needs root for it, and is left out without.
pub fn runs_alone(archive: &Path, name: &str) -> Result<()> {
    let id = Command::new("id").arg("-u").output().context("id")?;
    if id.stdout.trim_ascii() != b"0" {
        say("Without root the programs cannot be run in an empty folder");
        return Ok(());
    }
    let folder = target().join("release-alone");
    clean(&folder)?;
    run(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&folder))?;
    fs::create_dir(folder.join("dev"))?;
    for (device, minor) in [("random", "8"), ("urandom", "9")] {
        run(Command::new("mknod").arg("--mode=444").arg(folder.join("dev").join(device)).args(["c", "1", minor]))?;
    }
    let alone = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&folder).arg(format!("/{name}/bin/{program}")).args(arguments).env_clear();
        command.env("DATABASE_PATH", "/data/bot_state.db").env("COFFERDAM_CACHE", "/cache");
        command
    };
    step("Running the programs in an empty folder", &mut alone("cofferdam", &["check"]))?;
    run(&mut alone("cofferdam", &["state", "put", "channel", "--message", "1"]))?;
    for program in build::PROGRAMS {
        run(&mut alone(program.name, &["--version"]))?;
    }
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
}

/// What is not committed is in no clone.
pub fn is_committed() -> Result<()> {
    let output = Command::new("git").args(["status", "--porcelain"]).current_dir(root()).output().context("git")?;
    let changed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && changed.is_empty(), "commit these first, or leave out --twice:\n{changed}");
    Ok(())
}

/// Makes the release of a clone in another folder, into another target folder, and compares the sums.
pub fn again(first: &str) -> Result<()> {
    let folder = target().join("release-again");
    clean(&folder)?;
    let (clone, elsewhere) = (folder.join("clone"), folder.join("elsewhere"));
    let mut copy = Command::new("git");
    step("Cloning into another folder", copy.args(["clone", "--quiet", "--no-local"]).arg(root()).arg(&clone))?;
    fs::create_dir(&elsewhere)?;
    // What packs is the same. What is packed, and with what it is compiled, is not.
    std::os::unix::fs::symlink(tools::folder(), elsewhere.join("tools")).context("cannot link the tools")?;
    let mut release = Command::new(std::env::current_exe().context("this program")?);
    release.arg("release").env("CARGO_MANIFEST_DIR", clone.join("xtask")).env("CARGO_TARGET_DIR", &elsewhere);
    step("Making the release a second time", release.current_dir(&clone))?;
    let second = fs::read_to_string(clone.join("dist").join(SUMS))?;
    let other: Vec<_> = first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    if !other.is_empty() {
        bail!("the second time other bytes were made of these; {} has them:\n{}", clone.display(), other.join("\n"));
    }
    say("Two builds gave the same bytes");
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
}
