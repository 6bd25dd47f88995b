//! What every storage must do, as one case for each sentence of the contract.
//!
//! A case gets a storage with an empty database of its own and never sleeps: it sets the storage's clock.
//! Errors are compared by kind. [`run_all`] runs every case on the storages of one [`Harness`].
//!
//! A new case is an `async fn` that is named in the `cases!` of its module; one that is not named there does not
//! compile.
#![deny(dead_code)]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::ensure;
use cofferdam::{ErrorKind, MessageState, Result, ThreadOwnership};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Harness, Subject, error_kind};

/// Registers the cases of a module.
macro_rules! cases {
    ($start:ident: $($name:ident),+ $(,)?) => {
        &[$($crate::conformance::Case {
            module: module_path!(),
            name: stringify!($name),
            start: $crate::conformance::Start::$start,
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

/// Where the clock of every harness stands at first: 2023-11-14, in seconds since the Unix epoch.
pub const NOW: i64 = 1_700_000_000;

/// How many cases run at a time, each on a storage of its own.
const PARALLEL: usize = 4;

/// The longest that one case may take before it counts as hanging.
const HANGING: Duration = Duration::from_secs(120);

/// What a case ends with; it may also panic.
pub type Outcome = anyhow::Result<()>;

/// What state a case wants its storage in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
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
    pub async fn run(&self, harness: &dyn Harness) -> Outcome {
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

/// Runs every case and prints how many passed.
///
/// # Errors
///
/// The names of all cases that failed, each with its reason.
pub async fn run_all(harness: Arc<dyn Harness + Send>) -> Outcome {
    let turns = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    for case in cases() {
        let (harness, turns) = (harness.clone(), turns.clone());
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            let outcome = tokio::spawn(async move { tokio::time::timeout(HANGING, case.run(&*harness)).await }).await;
            let failure = match outcome {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(format!("{error:#}")),
                Ok(Err(_)) => Some(format!("did not end within {HANGING:?}")),
                Err(error) => Some(match error.try_into_panic() {
                    Ok(panic) => panic_message(panic),
                    Err(error) => error.to_string(),
                }),
            };
            failure.map(|failure| format!("{}: {failure}", case.name()))
        });
    }
    let mut failures: Vec<String> = running.join_all().await.into_iter().flatten().collect();
    failures.sort();
    let (total, failed) = (cases().len(), failures.len());
    println!("{} conformance cases passed on {}", total - failed, harness.name());
    ensure!(
        failures.is_empty(),
        "{failed} of {total} conformance cases failed on {}:\n{}",
        harness.name(),
        failures.join("\n")
    );
    Ok(())
}

fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    let panic = AssertUnwindSafe(panic);
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "panicked".to_owned(),
    }
}

fn state(channel: &str, thread: Option<&str>, message: &str, seen: i64) -> MessageState {
    MessageState::new(channel, thread, message, seen)
}

fn ownership(thread: &str, creation_time: i64) -> ThreadOwnership {
    ThreadOwnership::new(thread, "a user", "the bot", creation_time)
}

async fn upsert_states(subject: &Subject, states: &[MessageState]) -> Result<()> {
    for state in states {
        subject.upsert_message_state(state).await?;
    }
    Ok(())
}

async fn upsert_ownerships(subject: &Subject, ownerships: &[ThreadOwnership]) -> Result<()> {
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
fn assert_kind<T>(result: &Result<T>, kind: ErrorKind) {
    assert_eq!(error_kind(result), Some(kind));
}

#[track_caller]
fn assert_invalid<T>(result: &Result<T>) {
    assert_kind(result, ErrorKind::InvalidInput);
}
