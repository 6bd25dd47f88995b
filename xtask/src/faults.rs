//! Provokes faults, and puts what they did into the documentation.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::bench::machine::Machine;
use crate::run::{cargo, root, say, step, target};
use crate::setup;

/// What the document on reliability has around the latest table.
const BEGIN: &str = "<!-- begin: written by cargo xtask faults --write-docs -->";
const END: &str = "<!-- end -->";

#[derive(Args)]
pub struct Arguments {
    /// Run only faults whose name contains this, such as mysql/kill or sqlite.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run each fault as often and as long as the guarantees claim, instead of only enough to test a change.
    #[arg(long)]
    full: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Seed of the random choices; each run prints its seed.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Write the table of this run to docs/reliability.md.
    #[arg(long, conflicts_with = "filter")]
    write_docs: bool,
}

/// Builds and runs `cofferdam-faults`, and ends as that does.
pub fn faults(arguments: &Arguments) -> Result<ExitCode> {
    setup::mariadb()?;
    setup::galera()?;
    // Without a package cargo takes the features of all that tests need too, so that wasmtime is compiled once.
    let mut build = cargo(["build", "--bin", "cofferdam-faults"]);
    step("Building the faults", build.args(["--bin", "cofferdam-test-writer"]))?;
    let folder = target().join("faults");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let table = folder.join("table.md");
    let mut command = Command::new(target().join("debug").join("cofferdam-faults"));
    command.arg("--markdown").arg(&table);
    if let Some(filter) = &arguments.filter {
        command.args(["--filter", filter]);
    }
    if let Some(seed) = arguments.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    for (flag, is_set) in [("--full", arguments.full), ("--json", arguments.json)] {
        if is_set {
            command.arg(flag);
        }
    }
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if status.success() && arguments.write_docs {
        let document = root().join("docs/reliability.md");
        let text = fs::read_to_string(&document).with_context(|| format!("cannot read {}", document.display()))?;
        let how = if arguments.full { "`cargo xtask faults --full`" } else { "`cargo xtask faults`" };
        let between = format!("{how}. {}\n\n{}", Machine::ask().sentence(), fs::read_to_string(&table)?);
        let Some(text) = replaced(&text, &between) else {
            bail!("{} has no line {BEGIN} with a line {END} after it", document.display());
        };
        fs::write(&document, text).with_context(|| format!("cannot write {}", document.display()))?;
        say(&format!("Updated {}", document.display()));
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A text with something else between the two markers.
fn replaced(text: &str, between: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{between}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_a_place_for_the_table() {
        let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
        let once = replaced(&text, "table").unwrap();
        assert_eq!(replaced(&once, "table"), Some(once));
    }
}
