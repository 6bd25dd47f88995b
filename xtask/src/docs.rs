//! The documents as a site.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{self, Built};
use crate::run::{root, run, say, step, target};
use crate::tools::{MDBOOK, crate_program};

const BEGIN: &str = "<!-- begin: written by cargo xtask docs --write -->";
const END: &str = "<!-- end -->";

#[derive(Args)]
pub struct Arguments {
    /// Write the table of variables to docs/configuration.md first.
    #[arg(long)]
    write: bool,
}

/// Builds the site into `book` in the target folder.
pub fn docs(arguments: &Arguments) -> Result<()> {
    if arguments.write {
        write()?;
    }
    let mdbook = crate_program("mdbook", MDBOOK, &["--no-default-features", "--features", "search"])?;
    let book = target().join("book");
    step("Building the site", Command::new(mdbook).arg("build").arg(root()).arg("--dest-dir").arg(&book))?;
    say(&format!("The site is in {}", book.display()));
    Ok(())
}

fn write() -> Result<()> {
    let Built { command, .. } = build::build(build::DEVELOPMENT)?;
    let folder = target().join("generated");
    run(Command::new(command).arg("generate").arg(&folder))?;
    let table = fs::read_to_string(folder.join("doc/cofferdam/variables.md"))?;
    let page = root().join("docs/configuration.md");
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else { bail!("{} has no place for the table", page.display()) };
    fs::write(&page, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).with_context(|| page.display().to_string())
}
