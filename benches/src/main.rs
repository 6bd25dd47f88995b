//! Cofferdam's plugins measured beside the bare drivers and beside sqlx. One program for everything, since each that has
//! wasmtime in it takes minutes to link.
//!
//! - [`backends`], [`probes`], [`instructions`]: what is measured, each a mode of this program.
//! - [`shared`]: the rows, keys, statements and checks, which are the same for every contestant.
//! - [`contestant`]: what all contestants have in common.
//! - [`plugin`], [`driver`], [`sqlx`]: the three of them.
//! - [`arena`]: makes the databases, runs a contestant and looks at what it left.
//! - [`scratch`]: the databases themselves.

mod arena;
mod backends;
mod contestant;
mod driver;
mod instructions;
mod model;
mod plugin;
mod probes;
mod scratch;
mod shared;
mod sqlx;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cofferdam-benches backends [FILTER]
       cofferdam-benches probes [--quick] [PROBE]...
       cofferdam-benches instructions FOLDER (prepare | get | upsert | list) [rusqlite | plugin]

`cargo xtask bench` runs it with what it needs, and reports.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["backends"] => backends::run(None),
        ["backends", filter] => backends::run(Some(filter)),
        ["probes", probes @ ..] => probes::run(probes),
        ["instructions", folder, rest @ ..] => instructions::run(folder.as_ref(), rest),
        _ => bail!("{USAGE}"),
    }
}
