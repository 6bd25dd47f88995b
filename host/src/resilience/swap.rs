//! Swaps of the plugin: one after the other, each to its end, and one for all who ask for the same.

use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as Turns, watch};
use tokio::time::{Instant, timeout_at};

use super::{Phase, ResilientStorage, Shared};
use crate::config::Origin;
use crate::plugin::{Contents, Inspection};
use crate::storage::swap::{IfClosed, REHEARSAL, SwapError, SwapReport, SwapRequest, Swapped, Terms};
use crate::threads::{self, Ended, lock};

/// Swaps that may wait for their turn: each holds its component.
const WAITING: usize = 16;

type Answer = Result<SwapReport, SwapError>;

/// What is under way.
#[derive(Default)]
pub(super) struct Swaps {
    flights: Mutex<Vec<Flight>>,
    /// Held by the one whose turn it is.
    turn: Turns<()>,
    /// Held by the thread that reads a component, which goes on where that took too long for who waited.
    reading: Arc<Turns<()>>,
    /// The same of the thread that compiles.
    compiling: Arc<Turns<()>>,
}

impl Swaps {
    pub fn under_way(&self) -> usize {
        lock(&self.flights).len()
    }
}

/// A swap that was asked for and has not ended. Who asks for the same waits for its answer.
struct Flight {
    sha256: String,
    terms: Terms,
    answer: watch::Receiver<Option<Answer>>,
}

impl ResilientStorage {
    /// Lets another plugin answer from now on, while operations run, and says which answers now.
    ///
    /// Within 5 s the other plugin is read, compiled, and rehearsed on the live database, beside the one that answers. New
    /// operations then go to it, and those in flight end where they began. An error leaves the plugin before as it is. A plugin
    /// that fails in 3 of its first 100 operations is swapped back by itself: see [`Status`](super::Status). It is not tried
    /// again unless [forced](SwapRequest::force).
    ///
    /// Swaps run one after the other; who asks for the component of a swap that is under way gets its answer. Dropping the
    /// future does not stop the swap once the component was read.
    ///
    /// # Errors
    ///
    /// The component cannot be used, does not stand its rehearsal, or has another schema version than the database; the database
    /// is unavailable. [`SwapError::is_retryable`] says whether the same request may succeed later.
    pub async fn swap_plugin(&self, request: SwapRequest) -> Result<SwapReport, SwapError> {
        let began = Instant::now();
        let shared = &self.shared;
        let SwapRequest { source, sha256, terms } = request;
        let origin = shared.storage.locate(source.as_ref())?;
        let stopped = SwapError::Stopped { origin: origin.clone() };
        let storage = shared.storage.clone();
        let to = origin.clone();
        let read = move || storage.read_candidate(origin, sha256.as_deref());
        let contents = on_thread(&shared.swaps.reading, &to, "read", began + REHEARSAL, read).await;
        let contents = contents.inspect_err(|error| shared.refused(began, (to, None), error))?;
        let mut answer = shared.join_or_start(contents, terms, began)?;
        // The sender is gone without an answer where the runtime ends.
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answer.unwrap_or(Err(stopped))
    }
}

impl Shared {
    fn join_or_start(
        self: &Arc<Self>,
        contents: Contents,
        terms: Terms,
        began: Instant,
    ) -> Result<watch::Receiver<Option<Answer>>, SwapError> {
        let Inspection { origin, sha256, .. } = &contents.inspection;
        let mut flights = lock(&self.swaps.flights);
        if let Some(flight) = flights.iter().find(|flight| flight.sha256 == *sha256 && flight.terms == terms) {
            return Ok(flight.answer.clone());
        }
        if flights.len() >= WAITING {
            return Err(SwapError::Busy { origin: origin.clone(), reason: "too many other swaps wait" });
        }
        let (sender, answer) = watch::channel(None);
        flights.push(Flight { sha256: sha256.clone(), terms, answer: answer.clone() });
        // A runtime that is shutting down drops a task where it is spawned, and with it the landing, which takes the lock.
        drop(flights);
        let landing = Landing { shared: self.clone(), sha256: sha256.clone(), terms };
        tokio::spawn(async move {
            let answer = landing.shared.fly(contents, terms, began).await;
            // Before the answer, so that who asks after it begins anew.
            drop(landing);
            sender.send_replace(Some(answer));
        });
        Ok(answer)
    }

    /// One swap, from its turn to its end.
    async fn fly(&self, contents: Contents, terms: Terms, began: Instant) -> Answer {
        let read = began.elapsed();
        // An upgrade may take its time.
        let patience = Instant::now() + self.timeouts().initialize;
        let Ok(_turn) = timeout_at(patience, self.swaps.turn.lock()).await else {
            let origin = contents.inspection.origin;
            return Err(SwapError::Busy { origin, reason: "another swap is still under way" });
        };
        let Inspection { origin, sha256, .. } = &contents.inspection;
        let to = (origin.clone(), Some(sha256.clone()));
        let swapped = self.attempt(contents, terms, began, Instant::now() + REHEARSAL.saturating_sub(read)).await;
        let took = began.elapsed();
        let swapped = swapped.inspect_err(|error| self.refused(began, to, error))?;
        let plugin = self.storage.status().plugin;
        let (upgraded, rehearsed) = swapped.as_ref().map_or((None, false), |swap| (swap.upgraded, swap.rehearsed));
        Ok(SwapReport { plugin, swapped: swapped.is_some(), took, upgraded, rehearsed })
    }

    fn refused(&self, began: Instant, to: (Origin, Option<String>), error: &SwapError) {
        tracing::error!(%error, "the plugin is not swapped");
        self.storage.note_refused(began.elapsed(), to, error);
    }

    /// Loads a component and swaps it in, unless it is the one that answers.
    async fn attempt(
        &self,
        contents: Contents,
        terms: Terms,
        began: Instant,
        deadline: Instant,
    ) -> Result<Option<Swapped>, SwapError> {
        if !self.storage.is_wanted(&contents, terms)? {
            return Ok(None);
        }
        let origin = contents.inspection.origin.clone();
        let storage = self.storage.clone();
        let load = move || storage.load_candidate(contents);
        let candidate = on_thread(&self.swaps.compiling, &origin, "compiled", deadline, load).await?;
        let if_closed = match self.standing().phase {
            Phase::Closed => IfClosed::SwapIn,
            Phase::Degraded(_) | Phase::Ready => IfClosed::Connect,
        };
        let swapped = self.storage.swap(candidate, terms, if_closed, began, deadline).await?;
        if swapped.rehearsed {
            // It was asked, and answered.
            self.breaker.succeeded();
            self.wake.notify_one();
        }
        Ok(Some(swapped))
    }
}

/// Does work on another thread. It is given up after the deadline, and delays only others of its kind then.
async fn on_thread<T: Send + 'static>(
    alone: &Arc<Turns<()>>,
    origin: &Origin,
    doing: &'static str,
    deadline: Instant,
    work: impl FnOnce() -> Result<T, SwapError> + Send + 'static,
) -> Result<T, SwapError> {
    let begin = async {
        let alone = alone.clone().lock_owned().await;
        threads::spawn(move || {
            let result = work();
            drop(alone);
            result
        })
        .await
    };
    match timeout_at(deadline, begin).await {
        Ok(Ok(result)) => result,
        Ok(Err(Ended)) => Err(SwapError::Stopped { origin: origin.clone() }),
        Err(_) => Err(SwapError::Timeout { origin: origin.clone(), doing, limit: REHEARSAL }),
    }
}

/// Takes a swap off the list of those under way, whatever ends it.
struct Landing {
    shared: Arc<Shared>,
    sha256: String,
    terms: Terms,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = lock(&self.shared.swaps.flights);
        flights.retain(|flight| flight.sha256 != self.sha256 || flight.terms != self.terms);
    }
}
