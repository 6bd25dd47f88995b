//! `cofferdam-bot --generate`, for whoever packs the bot.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use crate::arguments::Arguments;

/// Writes completions for shells and a manual page into a folder, as they are installed below `/usr/share`.
pub fn generate(folder: &Path) -> Result<(), String> {
    let written = || -> io::Result<()> {
        let mut command = Arguments::command();
        let name = command.get_name().to_owned();
        let made = |below: &str| {
            let folder = folder.join(below);
            std::fs::create_dir_all(&folder).map(|()| folder)
        };
        for (shell, below) in [
            (Shell::Bash, "bash-completion/completions"),
            (Shell::Zsh, "zsh/site-functions"),
            (Shell::Fish, "fish/vendor_completions.d"),
        ] {
            generate_to(shell, &mut command, &name, made(below)?)?;
        }
        clap_mangen::generate_to(command, made("man/man1")?)
    };
    written().map_err(|error| format!("--generate: {} cannot be written: {error}", folder.display()))
}
