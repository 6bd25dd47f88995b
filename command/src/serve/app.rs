//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cofferdam::resilience::Readiness;
use cofferdam::{Error, ErrorKind, ResilientStorage, Written};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::problem::{Kind, Problem};
use super::token::TokenFile;

/// Operations at work at once: more than a database has connections and the engine has instances, so that neither waits.
const OPERATIONS: usize = 256;

/// Lists at work at once. Each may hold all rows in memory.
const LISTS: usize = 4;

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);

/// The storage, and who may use how much of it.
pub struct App {
    pub storage: Arc<ResilientStorage>,
    pub token: Option<TokenFile>,
    /// How long a body may take to arrive.
    pub transfer_timeout: Duration,
    operations: Semaphore,
    lists: Semaphore,
}

impl App {
    pub fn new(storage: Arc<ResilientStorage>, token: Option<TokenFile>, transfer_timeout: Duration) -> Self {
        let (operations, lists) = (Semaphore::new(OPERATIONS), Semaphore::new(LISTS));
        Self { storage, token, transfer_timeout, operations, lists }
    }

    /// Waits for the turn of an operation on one row.
    pub async fn operation(&self) -> Result<SemaphorePermit<'_>, Problem> {
        turn(&self.operations).await
    }

    /// Waits for the turn of an operation on many rows.
    pub async fn list(&self) -> Result<SemaphorePermit<'_>, Problem> {
        turn(&self.lists).await
    }

    /// Runs a write, which goes to the spool while the client still waits, if the database does not take it.
    pub async fn write<T>(
        &self,
        deadline: Option<Deadline>,
        write: impl Future<Output = cofferdam::Result<Written<T>>>,
    ) -> Result<Written<T>, Problem> {
        let written = match deadline {
            Some(Deadline(deadline)) => self.storage.within(deadline, write).await,
            None => write.await,
        };
        written.map_err(|error| self.problem(error))
    }

    /// What the client is told of an error of the storage.
    pub fn problem(&self, error: Error) -> Problem {
        // It serves from `initialize` on, so that this comes after `close`. Another process takes its place in a moment, as a rule.
        if error.kind() == ErrorKind::NotInitialized {
            return Problem::new(
                Kind::Storage(ErrorKind::Unavailable),
                "the server is stopping: try again in a moment",
            );
        }
        Problem::of_storage(&error, error.is_retryable().then(|| self.next_probe()).flatten())
    }

    /// When the database is asked next, at the latest, where it is left alone.
    fn next_probe(&self) -> Option<Duration> {
        let status = self.storage.status();
        let interval = self.storage.storage().config().resilience.breaker.probe_interval;
        status.breaker.next_probe.or((status.readiness == Readiness::Degraded).then_some(interval))
    }
}

async fn turn(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    if let Ok(permit) = semaphore.try_acquire() {
        return Ok(permit);
    }
    match timeout(TURN, semaphore.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Problem::new(Kind::Busy, format!("too many requests are at work: none ended within {TURN:?}"))),
    }
}

/// When the client wants to have heard, from the header `Cofferdam-Timeout`.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// That of a request, if it has one.
    pub fn of(request: &Request) -> Option<Self> {
        request.extensions().get().copied()
    }
}

/// How a handler ends.
pub type Answer = Result<Response, Problem>;

/// A JSON document.
pub fn json(document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(bytes) => Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()),
        Err(error) => {
            Err(Problem::new(Kind::Storage(cofferdam::ErrorKind::Internal), format!("the answer is no JSON: {error}")))
        }
    }
}

/// A JSON document that says what is durable in the spool, and reaches the database later.
pub fn accepted(document: &impl Serialize) -> Answer {
    let mut answer = json(document)?;
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}
