//! The licences of all crates that are linked into the command, by cargo-about.

use std::path::Path;

use anyhow::Result;

use crate::run::{root, step};
use crate::tools::{self, crate_program};

pub fn write(to: &Path) -> Result<()> {
    crate_program("cargo-about", "0.9.3", &["--features", "cli"])?;
    let mut about =
        tools::cargo_with(["about", "generate", "--locked", "--fail", "--manifest-path", "command/Cargo.toml"]);
    about.arg("--config").arg(root().join("xtask/about.toml")).arg("--output-file").arg(to);
    about.arg(root().join("xtask/about.hbs"));
    step("Collecting the licences of all dependencies", &mut about)
}
