//! A Discord bot that answers what it missed, once: the reference for embedding [`cofferdam`].
//!
//! A mention in a channel is answered in a new thread, in which the bot then answers every message. What it has answered
//! and which threads it owns is in the storage, so it goes on after a crash where it was: each message is answered once, in
//! the order of its channel. What answers is a [`Responder`](responder::Responder), which is all that a bot of yours needs:
//!
//! ```no_run
//! use async_trait::async_trait;
//! use cofferdam::config::Secret;
//! use cofferdam::{Config, ResilientStorage};
//! use cofferdam_bot::responder::{Question, Responder, ResponderError};
//! use cofferdam_bot::{Bot, Settings};
//!
//! struct Shout;
//!
//! #[async_trait]
//! impl Responder for Shout {
//!     async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
//!         Ok(question.content.to_uppercase())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     cofferdam_bot::install_tls();
//!     let config = Config::from_env()?;
//!     let settings = Settings::new(Secret::new(std::env::var("DISCORD_TOKEN")?), &config);
//!     let storage = ResilientStorage::builder(config).build()?;
//!     let stop = tokio_util::sync::CancellationToken::new();
//!     Bot::new(settings, storage, Shout).run(stop).await?;
//!     Ok(())
//! }
//! ```
//!
//! How it works, from the outside in: [`Bot`] starts and stops everything. A `Gateway` for each shard receives events and puts
//! messages into `Lanes`, one for each channel. A lane reads the history that was missed, and then what is new, and takes
//! each message to the `Desk`, which asks the responder, writes the answer by the `Api`, and has the `Recorder` write the state. The
//! `Journal` is what survives a crash beside the storage.
#![warn(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod address;
mod api;
mod asked;
mod bot;
mod changes;
mod channels;
mod clock;
mod desk;
mod error;
mod figures;
mod gateway;
mod ids;
mod journal;
mod lanes;
mod memory;
mod record;
pub mod responder;
mod sequence;
pub mod settings;
pub mod split;
mod status;
mod turns;

pub use bot::{Bot, Summary};
pub use error::BotError;
pub use journal::JournalError;
pub use settings::Settings;

/// Chooses ring for TLS, for the whole process, unless something has been chosen. To be called before a bot is made.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
