//! What a release is compiled for: this machine, or another processor.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run::{root, step};
use crate::setup::found;

/// How the names of all of them end.
const LINUX: &str = "-unknown-linux-gnu";

/// A platform, as Rust names it.
pub struct Platform {
    pub name: String,
    is_here: bool,
}

impl Platform {
    /// The one that is named, or this machine's, with everything that it takes to compile and to run what is compiled for it.
    pub fn prepare(name: Option<&str>) -> Result<Self> {
        let here = here()?;
        let name = name.unwrap_or(&here).to_owned();
        let platform = Self { is_here: name == here, name };
        if platform.is_here {
            return Ok(platform);
        }
        let processor = platform.processor()?;
        for (program, package) in [
            (platform.compiler()?, format!("gcc-{processor}-linux-gnu, and the C library for it")),
            (platform.emulator()?, "qemu-user-static".to_owned()),
        ] {
            ensure!(found(&program), "{program} is missing: install it; Debian has it in {package}");
        }
        let mut add = Command::new("rustup");
        add.args(["target", "add", &platform.name]).current_dir(root());
        step(&format!("Installing Rust's target {}", platform.name), &mut add)?;
        Ok(platform)
    }

    /// The variable that tells cargo a linker, and the linker.
    pub fn linker(&self) -> Result<Option<(String, String)>> {
        let variable = format!("CARGO_TARGET_{}_LINKER", self.name.to_uppercase().replace('-', "_"));
        Ok(if self.is_here { None } else { Some((variable, self.compiler()?)) })
    }

    /// A program that has been compiled for it.
    pub fn program(&self, path: &Path) -> Result<Command> {
        if self.is_here {
            return Ok(Command::new(path));
        }
        let mut command = Command::new(self.emulator()?);
        command.arg(path);
        Ok(command)
    }

    /// The same in a folder that is the root of everything, to which the emulator is copied.
    pub fn program_in(&self, folder: &Path, path: &str) -> Result<Command> {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(folder);
        if !self.is_here {
            let emulator = self.emulator()?;
            let place = folder.join(&emulator);
            if !place.exists() {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let found =
                    std::env::split_paths(&path).map(|folder| folder.join(&emulator)).find(|file| file.exists());
                fs::copy(found.context("no emulator")?, place).context("cannot copy the emulator")?;
            }
            command.arg(format!("/{emulator}"));
        }
        command.arg(path);
        Ok(command)
    }

    fn processor(&self) -> Result<&str> {
        let name = &self.name;
        name.strip_suffix(LINUX).with_context(|| format!("{name}: releases are for such as aarch64{LINUX}"))
    }

    fn compiler(&self) -> Result<String> {
        Ok(format!("{}-linux-gnu-gcc", self.processor()?))
    }

    fn emulator(&self) -> Result<String> {
        Ok(format!("qemu-{}-static", self.processor()?))
    }
}

/// The platform of this machine.
pub fn here() -> Result<String> {
    let output = Command::new("rustc").args(["--print", "host-tuple"]).current_dir(root()).output().context("rustc")?;
    ensure!(output.status.success(), "rustc does not tell its platform");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
