//! `cofferdam generate`, for whoever packs the command.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::{Shell, generate_to};
use cofferdam::config::VARIABLES;

use crate::failure::Failure;

/// Write completions for shells and manual pages into a folder, as they are installed below /usr/share, and the table of variables of
/// docs/configuration.md.
#[derive(Args)]
pub struct Generate {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Generate {
    pub fn run(self, mut command: clap::Command) -> Result<(), Failure> {
        for (shell, folder) in [
            (Shell::Bash, "bash-completion/completions"),
            (Shell::Zsh, "zsh/site-functions"),
            (Shell::Fish, "fish/vendor_completions.d"),
        ] {
            let folder = self.made(folder)?;
            generate_to(shell, &mut command, "cofferdam", &folder).map_err(|error| unwritable(&folder, error))?;
        }
        let folder = self.made("man/man1")?;
        clap_mangen::generate_to(command, &folder).map_err(|error| unwritable(&folder, error))?;
        let folder = self.made("doc/cofferdam")?;
        let table = folder.join("variables.md");
        std::fs::write(&table, variables()).map_err(|error| unwritable(&table, error))
    }

    fn made(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
        Ok(folder)
    }
}

fn variables() -> String {
    let mut table = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    for variable in VARIABLES {
        let default = match variable.default_value() {
            Some(value) => format!("`{value}`"),
            None => variable.default.trim_matches(['(', ')']).to_owned(),
        };
        table += &format!("| `{}` | {default} | {} |\n", variable.name, variable.meaning);
    }
    table
}

fn unwritable(folder: &Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("FOLDER: {} cannot be written: {error}", folder.display()))
}
