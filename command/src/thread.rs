//! `cofferdam thread`

use std::time::Duration;

use clap::{Args, Subcommand};
use cofferdam::{StorageService, ThreadOwnership};
use serde_json::json;

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::open::{EXIT_CODES, on_existing};
use crate::output;

/// Read, write and clean up thread ownerships: the threads in which the bot answers without being mentioned.
#[derive(Subcommand)]
pub enum Thread {
    Get(Get),
    List(List),
    Put(Put),
    Cleanup(Cleanup),
}

impl Thread {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Get(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Put(command) => command.run().await,
            Self::Cleanup(command) => command.run().await,
        }
    }
}

/// Print the ownership of one thread.
#[derive(Args)]
#[command(after_help = format!("\
Example:
  cofferdam thread get 1300000000000000002 --json

{EXIT_CODES}"))]
pub struct Get {
    /// Thread id
    thread: String,
    /// Print a JSON document; times are Unix seconds
    #[arg(long)]
    json: bool,
}

impl Get {
    async fn run(self) -> Result<(), Failure> {
        let found = on_existing(async |storage| storage.get_thread_ownership(&self.thread).await).await?;
        output::print_row(found, self.json, || missing(&self.thread))
    }
}

fn missing(thread: &str) -> String {
    format!("no ownership of thread {thread}")
}

/// Print ownerships, newest threads first.
#[derive(Args)]
#[command(after_help = format!("\
Example:
  cofferdam thread list --limit 20

{EXIT_CODES} (an empty list is success)"))]
pub struct List {
    /// Print at most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print a JSON document; times are Unix seconds
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let ownerships = on_existing(async |storage| storage.get_all_thread_ownerships().await).await?;
        output::print_rows(&ownerships, self.limit, self.json)
    }
}

/// Insert or update the ownership of one thread.
#[derive(Args)]
#[command(after_help = format!("\
Example:
  cofferdam thread put 1300000000000000002 --user 1300000000000000009 --bot 1300000000000000010

{EXIT_CODES}"))]
pub struct Put {
    /// Thread id
    thread: String,
    /// Id of the user for whom the thread was created
    #[arg(long, value_name = "ID")]
    user: String,
    /// User id of the bot
    #[arg(long, value_name = "ID")]
    bot: String,
    /// Time at which the thread was created: RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIMESTAMP", value_parser = output::parse_time, allow_hyphen_values = true)]
    made: Option<i64>,
    /// Print the stored ownership as a JSON document
    #[arg(long)]
    json: bool,
}

impl Put {
    async fn run(self) -> Result<(), Failure> {
        let made = self.made.unwrap_or_else(output::now);
        let ownership = ThreadOwnership::new(self.thread, self.user, self.bot, made);
        let stored = on_existing(async |storage| {
            storage.upsert_thread_ownership(&ownership).await?;
            storage.get_thread_ownership(&ownership.thread_id).await
        });
        output::print_row(stored.await?, self.json, || missing(&ownership.thread_id))
    }
}

/// Delete the ownerships of old threads and print how many were deleted.
#[derive(Args)]
#[command(after_help = format!("\
Example:
  cofferdam thread cleanup --older-than 720h     older than 30 days

{EXIT_CODES}"))]
pub struct Cleanup {
    /// Minimum age of a thread, such as 720h
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    older_than: Duration,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Cleanup {
    async fn run(self) -> Result<(), Failure> {
        let removed = on_existing(async |storage| storage.cleanup_old_thread_ownerships(self.older_than).await).await?;
        // A storage without a spool stores.
        let removed = removed.stored().unwrap_or_default();
        match self.json {
            true => output::print_json(&json!({ "removed": removed })),
            false => output::print(&format!("{removed} ownerships removed")),
        }
    }
}
