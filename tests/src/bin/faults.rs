//! `cofferdam-faults`: provokes faults and prints what they did. `cargo xtask faults` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cofferdam_tests::faults::table::{self, Form};
use cofferdam_tests::faults::{FAULTS, Fault, Run};

/// Ends with this code where a promise was broken. 1 is a fault that could not be provoked, 2 a wrong command line.
const BROKEN: u8 = 3;

/// Inject faults under load and verify that no acknowledged write is lost.
#[derive(Parser)]
#[command(
    name = "cofferdam-faults",
    after_help = "Exit codes: 0 every guarantee held; 1 a fault could not be injected; 2 wrong command line; 3 a \
    guarantee was broken"
)]
struct Arguments {
    /// Run only faults whose name contains one of these, such as mysql/kill or sqlite.
    #[arg(value_name = "FAULT")]
    names: Vec<String>,
    /// Run only faults whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run each fault as often and as long as the guarantees claim, instead of only enough to test a change.
    #[arg(long)]
    full: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Also write the table as Markdown to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Seed of the random choices; each run prints its seed, so that it can be repeated.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print the name and description of each fault.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let faults: Vec<_> = FAULTS.iter().filter(|fault| arguments.wants(fault)).collect();
    if arguments.list {
        faults.iter().for_each(|fault| println!("{:28} {}", fault.name, fault.what));
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!faults.is_empty(), "no fault of that name: --list names them");
    let run = Run::new(arguments.full, arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)));
    eprintln!("seed {}", run.seed);
    let mut verdicts = Vec::new();
    let mut failed = false;
    for (number, fault) in faults.iter().enumerate() {
        eprintln!("{}/{} {}: {}", number + 1, faults.len(), fault.name, fault.what);
        match fault.provoke(run).await {
            Ok(verdict) => {
                eprintln!("    {}", verdict.sentence());
                verdict.broken.iter().for_each(|broken| eprintln!("    BROKEN: {broken}"));
                verdicts.push(verdict);
            }
            Err(error) => {
                failed = true;
                eprintln!("error: {error:#}");
            }
        }
    }
    if arguments.json {
        println!("{:#}", table::json(&verdicts));
    } else {
        println!("\n{}\n{}", table::table(&verdicts, Form::Text), table::remarks(&verdicts));
    }
    if let Some(file) = &arguments.markdown {
        let text = format!("{}\n{}", table::table(&verdicts, Form::Markdown), table::remarks(&verdicts));
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let broken = verdicts.iter().any(|verdict| !verdict.is_kept());
    Ok(if failed {
        ExitCode::FAILURE
    } else if broken {
        BROKEN.into()
    } else {
        ExitCode::SUCCESS
    })
}

impl Arguments {
    fn wants(&self, fault: &Fault) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|name| fault.name.contains(name.as_str()));
        named && self.filter.as_ref().is_none_or(|filter| fault.name.contains(filter.as_str()))
    }
}
