//! The cases, one for each sentence of the contract.
//!
//! A new case is an `async fn` that is named in the `cases!` of its module; one that is not named there does not
//! compile.
#![deny(dead_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use cofferdam::{ErrorKind, MessageState, ThreadOwnership};

use crate::{BoxError, Harness, NOW, Subject};

/// Registers the cases of a module.
macro_rules! cases {
    ($start:ident: $($name:ident),+ $(,)?) => {
        &[$($crate::cases::Case {
            module: module_path!(),
            name: stringify!($name),
            start: $crate::cases::Start::$start,
            run: |subject| Box::pin($name(subject)),
        }),+]
    };
}

mod cleanup;
mod ids;
mod lifecycle;
mod lists;
mod message_state;
mod ownership;
mod text;
mod timestamps;
mod transfer;
mod window;

/// What a case ends with; it may also panic.
type Outcome = Result<(), BoxError>;

/// What state a case wants its storage in.
#[derive(Clone, Copy)]
enum Start {
    /// `initialize` has not been called.
    Uninitialized,
    /// Ready for work.
    Initialized,
}

/// One sentence of the contract.
#[derive(Clone, Copy)]
pub struct Case {
    module: &'static str,
    name: &'static str,
    start: Start,
    run: for<'a> fn(&'a Subject) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>,
}

impl Case {
    /// The group and the sentence, such as `window::a_state_exactly_at_the_cutoff_is_within_the_window`.
    pub fn name(&self) -> String {
        let group = self.module.rsplit("::").next().unwrap_or(self.module);
        format!("{group}::{}", self.name)
    }

    /// Runs the case on a new storage.
    ///
    /// # Errors
    ///
    /// An operation failed that must not, or the storage could not be made.
    ///
    /// # Panics
    ///
    /// An operation answered what it must not.
    pub async fn run(&self, harness: &dyn Harness) -> Result<(), BoxError> {
        let subject = match self.start {
            Start::Uninitialized => harness.uninitialized().await?,
            Start::Initialized => harness.initialized().await?,
        };
        (self.run)(&subject).await?;
        subject.close().await?;
        Ok(())
    }
}

/// Every case.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [
            lifecycle::UNINITIALIZED,
            lifecycle::CASES,
            message_state::CASES,
            window::CASES,
            lists::CASES,
            ownership::CASES,
            cleanup::CASES,
            ids::CASES,
            text::CASES,
            timestamps::CASES,
            transfer::pages::CASES,
            transfer::imports::CASES,
        ]
        .concat()
    });
    &CASES
}

fn state(channel: &str, thread: Option<&str>, message: &str, seen: i64) -> MessageState {
    MessageState::new(channel, thread, message, seen)
}

fn ownership(thread: &str, creation_time: i64) -> ThreadOwnership {
    ThreadOwnership::new(thread, "a user", "the bot", creation_time)
}

async fn upsert_states(subject: &Subject, states: &[MessageState]) -> cofferdam::Result<()> {
    for state in states {
        subject.upsert_message_state(state).await?;
    }
    Ok(())
}

async fn upsert_ownerships(subject: &Subject, ownerships: &[ThreadOwnership]) -> cofferdam::Result<()> {
    for ownership in ownerships {
        subject.upsert_thread_ownership(ownership).await?;
    }
    Ok(())
}

fn keys(states: &[MessageState]) -> Vec<(&str, Option<&str>)> {
    states.iter().map(|state| (state.channel_id.as_str(), state.thread_id.as_deref())).collect()
}

fn threads(ownerships: &[ThreadOwnership]) -> Vec<&str> {
    ownerships.iter().map(|ownership| ownership.thread_id.as_str()).collect()
}

fn without_id(state: MessageState) -> MessageState {
    MessageState { id: 0, ..state }
}

#[track_caller]
fn assert_kind<T>(result: &cofferdam::Result<T>, kind: ErrorKind) {
    assert_eq!(result.as_ref().err().map(cofferdam::Error::kind), Some(kind));
}

#[track_caller]
fn assert_invalid<T>(result: &cofferdam::Result<T>) {
    assert_kind(result, ErrorKind::InvalidInput);
}
