//! The plugin, as a bot has it: behind the trait object, configured by default, called from tasks.

use std::sync::Arc;

use anyhow::Result;
use cofferdam::config::Config;
use cofferdam::{Storage, StorageService};
use tokio::runtime::Runtime;

use crate::contestant::Contestant;
use crate::shared::callers::{self, Operate, Outcome};
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::{self, Rows};

/// A storage over a plugin.
pub struct Plugin {
    bot: Arc<Bot>,
    runtime: Runtime,
}

struct Bot {
    storage: Arc<dyn StorageService>,
    rows: Rows,
}

impl Plugin {
    /// Opens a database that is there.
    ///
    /// # Errors
    ///
    /// The component cannot be used, or the database does not answer.
    pub fn open(config: Config) -> Result<Self> {
        let runtime = Runtime::new()?;
        let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(config).build()?);
        runtime.block_on(storage.initialize())?;
        Ok(Self { bot: Arc::new(Bot { storage, rows: Rows::new() }), runtime })
    }
}

impl Contestant for Plugin {
    fn name(&self) -> &'static str {
        "plugin"
    }

    fn run(&mut self, work: &Work) -> Result<Outcome> {
        self.runtime.block_on(callers::run(&self.bot, work))
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Err(error) = self.runtime.block_on(self.bot.storage.close()) {
            eprintln!("a storage was not closed: {error}");
        }
    }
}

impl Operate for Bot {
    async fn operate(&self, work: &Work, index: u64) -> Result<u64> {
        let Self { storage, rows } = self;
        match work.operation {
            Operation::Get => {
                let key = rows.state(index);
                let found = storage.get_message_state(&key.channel_id, key.thread_id.as_deref()).await?;
                rows.check_state(index, found)
            }
            Operation::UpsertExisting | Operation::UpsertBurst => {
                storage.upsert_message_state(&rows.existing(index)).await?;
                Ok(1)
            }
            Operation::UpsertNew => {
                storage.upsert_message_state(&rows::new_state(index)).await?;
                Ok(1)
            }
            Operation::Window | Operation::WindowSorted => {
                let found = storage.get_message_states_within_window(rows::window()).await?;
                rows.check_list(&found, rows::WINDOW_ROWS)
            }
            Operation::All | Operation::AllSorted => {
                rows.check_list(&storage.get_all_message_states().await?, rows::ROWS)
            }
            Operation::OwnershipGet => {
                let found = storage.get_thread_ownership(&rows.ownership(index).thread_id).await?;
                rows.check_ownership(index, found)
            }
            Operation::OwnershipUpsert => {
                storage.upsert_thread_ownership(&rows.existing_ownership(index)).await?;
                Ok(1)
            }
            Operation::Cleanup => {
                let removed = storage.cleanup_old_thread_ownerships(work.max_age(index)).await?;
                Ok(removed.stored().unwrap_or_default())
            }
        }
    }
}
