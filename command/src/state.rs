//! `cofferdam state`

use std::time::Duration;

use clap::{Args, Subcommand};
use cofferdam::{MessageState, StorageService};

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::open::{EXIT_CODES, on_existing};
use crate::output;

/// Read and write message states: the last message processed in a channel or thread.
#[derive(Subcommand)]
pub enum State {
    Get(Get),
    List(List),
    Put(Put),
}

impl State {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Get(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Put(command) => command.run().await,
        }
    }
}

/// Print the state of one channel or thread.
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  cofferdam state get 1300000000000000001
  cofferdam state get 1300000000000000002 1300000000000000002 --json

A bot stores a thread with the thread's id as both channel and thread.

{EXIT_CODES}"))]
pub struct Get {
    /// Channel id
    channel: String,
    /// Thread id; without it, the state of the channel itself
    thread: Option<String>,
    /// Print a JSON document; times are Unix seconds
    #[arg(long)]
    json: bool,
}

impl Get {
    async fn run(self) -> Result<(), Failure> {
        let Self { channel, thread, json } = &self;
        let found = on_existing(async |storage| storage.get_message_state(channel, thread.as_deref()).await).await?;
        output::print_row(found, *json, || missing(channel, thread.as_deref()))
    }
}

fn missing(channel: &str, thread: Option<&str>) -> String {
    let thread = thread.map_or_else(|| "no thread".into(), |thread| format!("thread {thread}"));
    format!("no state of channel {channel} and {thread}")
}

/// Print states, most recently seen first.
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  cofferdam state list --limit 20
  cofferdam state list --window 5m --json     what a bot would recover on start

{EXIT_CODES} (an empty list is success)"))]
pub struct List {
    /// Print only states seen within this time, such as 5m or 24h
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    window: Option<Duration>,
    /// Print at most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print a JSON document; times are Unix seconds
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let states = on_existing(async |storage| match self.window {
            Some(window) => storage.get_message_states_within_window(window).await,
            None => storage.get_all_message_states().await,
        });
        let states = states.await?;
        output::print_rows(&states, self.limit, self.json)
    }
}

/// Insert or update the state of one channel or thread.
#[derive(Args)]
#[command(after_help = format!("\
Examples:
  cofferdam state put 1300000000000000001 --message 1300000000000000077
  cofferdam state put 1300000000000000001 --message 1300000000000000078 --seen 2026-01-31T12:00:00Z

{EXIT_CODES}"))]
pub struct Put {
    /// Channel id
    channel: String,
    /// Thread id
    thread: Option<String>,
    /// Id of the last processed message
    #[arg(long, value_name = "ID")]
    message: String,
    /// Time at which it was processed: RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIMESTAMP", value_parser = output::parse_time, allow_hyphen_values = true)]
    seen: Option<i64>,
    /// Print the stored state as a JSON document
    #[arg(long)]
    json: bool,
}

impl Put {
    async fn run(self) -> Result<(), Failure> {
        let seen = self.seen.unwrap_or_else(output::now);
        let state = MessageState::new(self.channel, self.thread.as_deref(), self.message, seen);
        let (channel, thread) = (&*state.channel_id, state.thread_id.as_deref());
        let stored = on_existing(async |storage| {
            storage.upsert_message_state(&state).await?;
            storage.get_message_state(channel, thread).await
        });
        output::print_row(stored.await?, self.json, || missing(channel, thread))
    }
}
