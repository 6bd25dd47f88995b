//! Packs what an operator installs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{self, Built};
use crate::run::{root, say, step};

/// Builds the optimised command and plugins and copies them into `dist`, with completions for shells and manual pages.
pub fn dist() -> Result<()> {
    let Built { command, plugins } = build::build("release")?;
    let dist = root().join("dist");
    let mut files = vec![(command, dist.join("bin/cofferdam"))];
    files.extend(build::backends()?.into_iter().map(|backend| {
        let file = format!("{backend}.wasm");
        (plugins.join(&file), dist.join("plugins").join(file))
    }));
    for (from, to) in &files {
        copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    let mut generate = Command::new(dist.join("bin/cofferdam"));
    step("Writing completions and manual pages", generate.arg("generate").arg(dist.join("share")))?;
    say(&format!("Ready in {}", dist.display()));
    for (_, file) in &files {
        let size = std::fs::metadata(file)?.len();
        let name = file.strip_prefix(&dist).unwrap_or(file);
        println!("{:>10} KB  {}", size.div_ceil(1000), name.display());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // A running command cannot be overwritten, but it can be replaced.
    if to.exists() {
        std::fs::remove_file(to)?;
    }
    std::fs::copy(from, to)?;
    Ok(())
}
