//! A message is begun until it has been dealt with, a limited number of times in all lives of the bot.

use std::time::Duration;

use super::{Desk, notice_nonce};
use crate::api::{ApiError, Draft};
use crate::asked::Asked;
use crate::channels::Kind;
use crate::figures::Outcome;
use crate::ids;
use crate::journal::{Entry, Journal, JournalError, Unrecorded};
use crate::responder::ResponderError;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Between attempts to write into a journal that cannot be written.
const JOURNAL_PAUSE: Duration = Duration::from_millis(500);

/// What a user sees of a failure.
const NOTICE: &str = "Sorry, I could not answer this.";

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dealt {
    /// It is not for the bot.
    NotAsked,
    /// It has been dealt with.
    Done(Outcome),
    /// The bot stops. The message is to be sent or found again.
    Interrupted,
}

/// Why an attempt has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the responder failed: {0}")]
    Responder(#[from] ResponderError),
    /// The journal cannot be written, and the bot stops.
    #[error(transparent)]
    Journal(JournalError),
}

impl Failed {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Api(error) => error.is_retryable(),
            Self::Responder(error) => error.is_retryable,
            Self::Journal(_) => true,
        }
    }

    /// Whether it says something of the message. An attempt that could not reach Discord is not one.
    fn counts(&self) -> bool {
        !matches!(self, Self::Api(error) if error.is_unseen())
    }
}

impl Desk {
    /// Deals with a message when it is its turn: the messages of a channel come here in order, whether they are new or were
    /// missed.
    pub async fn deal_with(&self, asked: Asked) -> Dealt {
        let _turn = self.turns.take(asked.channel).await;
        // Only now: the message before may have made the thread that this one is in.
        if !asked.is_mention && !self.memory.owns(asked.channel) {
            return Dealt::NotAsked;
        }
        let Some(asked) = self.changes.applied(asked) else { return self.count(Outcome::Gone) };
        let mut failures = 0;
        let (kind, mut entry) = loop {
            match self.begin(&asked).await {
                Ok(begun) => break begun,
                Err(Failed::Api(error)) if error.is_gone() => return self.count(Outcome::Gone),
                Err(Failed::Api(error)) if error.is_forbidden() => return self.count(Outcome::Forbidden),
                Err(Failed::Journal(_)) => return Dealt::Interrupted,
                Err(error) => {
                    tracing::warn!(message = %asked.id, "cannot be begun: {error}");
                    if !self.pause(failures).await {
                        return Dealt::Interrupted;
                    }
                    failures += 1;
                }
            }
        };
        let outcome = loop {
            if entry.ended {
                // In another life, which did not get to record it.
                self.record(&asked, kind).await;
                return Dealt::Done(Outcome::Answered);
            }
            if entry.attempts > self.settings.attempts {
                break self.give_up(&asked, &format!("begun {} times before", entry.attempts - 1)).await;
            }
            match self.attempt(&asked, kind, &mut entry).await {
                Ok(outcome) => break outcome,
                Err(Failed::Api(error)) if error.is_gone() => break Outcome::Gone,
                Err(Failed::Api(error)) if error.is_forbidden() => {
                    tracing::warn!(channel = %asked.channel, message = %asked.id, "may not be answered: {error}");
                    break Outcome::Forbidden;
                }
                Err(Failed::Api(ApiError::Token) | Failed::Journal(_)) => return Dealt::Interrupted,
                Err(error) if !error.is_retryable() => break self.give_up(&asked, &error.to_string()).await,
                Err(error) => {
                    tracing::warn!(message = %asked.id, attempt = entry.attempts, "failed: {error}");
                    self.figures.retries.inc();
                    if error.counts() && entry.attempts >= self.settings.attempts {
                        break self.give_up(&asked, &error.to_string()).await;
                    }
                    if !self.pause(failures).await {
                        return Dealt::Interrupted;
                    }
                    failures += 1;
                    if error.counts()
                        && let Ok((_, begun)) = self.begin(&asked).await
                    {
                        entry = begun;
                    }
                }
            }
        };
        // Answered first and recorded afterwards: the other order would lose what a crash interrupts.
        if self.keep(|journal| journal.end(asked.id)).await.is_err() {
            return Dealt::Interrupted;
        }
        self.record(&asked, kind).await;
        self.count(outcome)
    }

    /// Takes over what another life has dealt with and not recorded.
    pub async fn catch_up(&self, unrecorded: &[Unrecorded]) {
        for row in unrecorded {
            if let Some(thread) = row.thread {
                let made = ids::time_ms(row.id.get()) / 1000;
                self.memory.own(thread, made);
                self.recorder.ownership(thread, row.author, made).await;
            }
            let last = self.memory.advance(row.channel, row.id);
            self.recorder.state(row.channel, row.in_thread, last).await;
        }
    }

    async fn begin(&self, asked: &Asked) -> Result<(Kind, Entry), Failed> {
        let kind = self.channels.kind(asked.channel, &self.api).await?;
        let in_thread = kind == Kind::Thread;
        let entry = self.keep(|journal| journal.begin(asked.id, asked.channel, in_thread, asked.author)).await?;
        Ok((kind, entry))
    }

    /// Writes into the journal, and waits as long as that is not possible: what it does not know would be done twice after a
    /// crash.
    pub(super) async fn keep<T>(&self, write: impl Fn(&Journal) -> Result<T, JournalError>) -> Result<T, Failed> {
        loop {
            match write(&self.journal) {
                Ok(kept) => return Ok(kept),
                Err(error) => {
                    let pause = tokio::time::sleep(JOURNAL_PAUSE);
                    self.stop.run_until_cancelled(pause).await.ok_or(Failed::Journal(error))?;
                }
            }
        }
    }

    async fn record(&self, asked: &Asked, kind: Kind) {
        // One that arrived late leaves the state as it is.
        let last = self.memory.advance(asked.channel, asked.id);
        self.recorder.state(asked.channel, kind == Kind::Thread, last).await;
    }

    fn count(&self, outcome: Outcome) -> Dealt {
        self.figures.answer(outcome);
        Dealt::Done(outcome)
    }

    async fn give_up(&self, asked: &Asked, why: &str) -> Outcome {
        tracing::error!(channel = %asked.channel, message = %asked.id, "gave up a message: {why}");
        self.figures.gave_up(asked.channel, asked.id, why);
        self.begun.add(asked.id);
        let draft =
            Draft { channel: asked.channel, content: NOTICE, reply_to: Some(asked.id), nonce: &notice_nonce(asked.id) };
        if let Err(error) = self.api.create_message(draft).await {
            tracing::warn!(message = %asked.id, "the notice of failure failed too: {error}");
        }
        Outcome::GivenUp
    }

    /// Waits before another attempt. False if the bot stops.
    async fn pause(&self, failures: u32) -> bool {
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}
