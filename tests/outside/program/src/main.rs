//! The program of the front page, and the conformance suite over the backend that is embedded and over one in a file, which the command
//! line names.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cofferdam::clock::ManualClock;
use cofferdam::plugin::Limits;
use cofferdam::{Config, MessageState, ResilientStorage, Storage, StorageService, Written};
use cofferdam_conformance::{BoxError, Harness, NOW, Subject, async_trait, run_all};

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_env_filter("cofferdam=warn").init();
    let file = std::env::args_os().nth(1).context("name the component of a backend")?;
    front_page().await?;
    println!("{}", run_all(Arc::new(Backend { name: "the embedded backend", file: None })).await?);
    println!("{}", run_all(Arc::new(Backend { name: "a backend in a file", file: Some(file) })).await?);
    Ok(())
}

async fn front_page() -> Result<()> {
    let storage: Arc<dyn StorageService> = Arc::new(ResilientStorage::from_env()?);
    storage.initialize().await?;
    let state = MessageState::new("channel", None, "message", 1_700_000_000);
    let Written::Stored(()) = storage.upsert_message_state(&state).await? else {
        bail!("the state was spooled without a spool");
    };
    let states = storage.get_message_states_within_window(Duration::from_secs(u32::MAX.into())).await?;
    let [stored] = &states[..] else { bail!("one state was stored, not {states:?}") };
    println!("{} was last seen at {}", stored.channel_id, stored.last_seen_timestamp);
    storage.close().await?;
    Ok(())
}

/// Storages over one backend, each with a SQLite file of its own.
struct Backend {
    name: &'static str,
    /// Where it is not the one that is embedded.
    file: Option<OsString>,
}

#[async_trait]
impl Harness for Backend {
    fn name(&self) -> &str {
        self.name
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        let folder = tempfile::tempdir()?;
        let config = Config::from_lookup(&|name| match name {
            "COFFERDAM_PLUGIN" => self.file.clone(),
            "DATABASE_PATH" => Some(folder.path().join("bot.db").into()),
            "COFFERDAM_CACHE" => std::env::var_os(name),
            // It is built without optimisation.
            "COFFERDAM_OPERATION_TIMEOUT" | "COFFERDAM_LIST_TIMEOUT" => Some("5m".into()),
            _ => None,
        })?;
        let limits = Limits { compute: Duration::from_secs(300), ..Limits::standard() };
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Storage::builder(config).clock(clock.clone()).limits(limits).build()?;
        // The version of the package that makes the file.
        if (storage.backend().version == "9.9.9") != self.file.is_some() {
            return Err(format!("this is another backend: {}", storage.plugin().origin).into());
        }
        Ok(Subject::new(Arc::new(storage), clock, folder))
    }
}
