//! Runs every case of the contract on a component for SQLite: `cargo run --example component -- mine.wasm`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use cofferdam::clock::ManualClock;
use cofferdam::{Config, Storage};
use cofferdam_conformance::{BoxError, Harness, NOW, Subject, async_trait, run_all};

/// Storages over a component, each with a SQLite file of its own.
struct OnSqlite {
    component: PathBuf,
    name: String,
}

#[async_trait]
impl Harness for OnSqlite {
    fn name(&self) -> &str {
        &self.name
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        let folder = tempfile::tempdir()?;
        let config = Config::from_lookup(&|name| match name {
            "COFFERDAM_PLUGIN" => Some(self.component.clone().into()),
            "DATABASE_PATH" => Some(folder.path().join("bot.db").into()),
            // Where compiled code is kept.
            "COFFERDAM_CACHE" | "HOME" | "XDG_CACHE_HOME" => std::env::var_os(name),
            _ => None,
        })?;
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Storage::builder(config).clock(clock.clone()).build()?;
        // The folder goes when the last use of the storage has gone.
        Ok(Subject::new(Arc::new(storage), clock, folder))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(component) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("which component? Give its file, such as mine.wasm");
        return ExitCode::from(2);
    };
    let name = component.display().to_string();
    let harness = Arc::new(OnSqlite { component, name });
    // What keeps all of them from beginning is told once.
    if let Err(error) = harness.uninitialized().await {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match run_all(harness).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}
