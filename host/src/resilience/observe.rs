//! Operations as their callers see them, with all that resilience adds: a span for each, and, with the feature `metrics`, a count
//! of what becomes of them and how long they take.

use tracing::field::Empty;
use tracing::{Instrument, Span};

#[cfg(feature = "metrics")]
pub(super) use self::counted::Operations;
#[cfg(feature = "metrics")]
pub use self::counted::{Observed, Outcome};
use super::Shared;
use crate::error::Result;
use crate::model::{Operation, Written};

/// Whether an answer says that the write waits in the spool.
pub(super) trait Answer {
    fn is_spooled(&self) -> bool {
        false
    }
}

impl Answer for () {}
impl<T> Answer for Option<T> {}
impl<T> Answer for Vec<T> {}
impl<T> Answer for Written<T> {
    fn is_spooled(&self) -> bool {
        Written::is_spooled(self)
    }
}

impl Shared {
    /// Runs an operation.
    pub(super) async fn observe<T: Answer>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let span = self.span(operation);
        #[cfg(feature = "metrics")]
        let timer = self.operations.begin(operation);
        let result = if span.is_disabled() {
            work.await
        } else {
            let result = work.instrument(span.clone()).await;
            record(&span, &result);
            result
        };
        #[cfg(feature = "metrics")]
        timer.end(&result);
        result
    }

    /// With the names of OpenTelemetry's conventions for clients of databases, which are stable.
    fn span(&self, operation: Operation) -> Span {
        tracing::debug_span!(
            "operation",
            otel.name = operation.title(),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.storage.config().database.engine().name(),
            db.operation.name = operation.name(),
            db.collection.name = operation.table(),
            db.response.status_code = Empty,
            "error.type" = Empty,
            spooled = Empty,
        )
    }
}

fn record<T: Answer>(span: &Span, result: &Result<T>) {
    match result {
        Ok(answer) if answer.is_spooled() => drop(span.record("spooled", true)),
        Ok(_) => {}
        Err(error) => {
            span.record("error.type", error.kind().name());
            span.record("otel.status_code", "error");
            if let Some(code) = error.code() {
                span.record("db.response.status_code", code);
            }
        }
    }
}

#[cfg(feature = "metrics")]
mod counted {
    use std::time::Instant;

    use super::Answer;
    use crate::error::{ErrorKind, Result};
    use crate::latency::{Histogram, Latencies};
    use crate::model::Operation;

    const KINDS: usize = ErrorKind::ALL.len();
    const OUTCOMES: usize = KINDS + 3;

    /// What became of an operation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Outcome {
        /// It was answered by the database.
        Ok,
        /// The write waits in the spool.
        Spooled,
        /// Its future was dropped.
        Cancelled,
        /// It failed.
        Failed(ErrorKind),
    }

    impl Outcome {
        fn all() -> impl Iterator<Item = Self> {
            [Self::Ok, Self::Spooled, Self::Cancelled].into_iter().chain(ErrorKind::ALL.map(Self::Failed))
        }

        /// The place in the order of [`all`](Self::all).
        fn index(self) -> usize {
            match self {
                Self::Ok => 0,
                Self::Spooled => 1,
                Self::Cancelled => 2,
                // In the order of the contract, as they are declared.
                Self::Failed(kind) => 3 + kind as usize,
            }
        }

        /// `ok`, `spooled`, `cancelled` or `failed`.
        pub fn name(self) -> &'static str {
            match self {
                Self::Ok => "ok",
                Self::Spooled => "spooled",
                Self::Cancelled => "cancelled",
                Self::Failed(_) => "failed",
            }
        }

        /// Why it failed, if it did.
        pub fn error(self) -> Option<ErrorKind> {
            match self {
                Self::Failed(kind) => Some(kind),
                _ => None,
            }
        }
    }

    /// How long operations of one kind with one outcome took since the storage was made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Observed {
        /// The operation.
        pub operation: Operation,
        /// What became of it.
        pub outcome: Outcome,
        /// How long it took, with waiting and retries.
        pub latencies: Latencies,
    }

    /// A histogram for each operation and outcome, of a size that is known from the start.
    pub struct Operations([[Histogram; OUTCOMES]; Operation::ALL.len()]);

    impl Operations {
        pub fn new() -> Box<Self> {
            Box::new(Self(std::array::from_fn(|_| std::array::from_fn(|_| Histogram::default()))))
        }

        /// As [`end`](Timer::end) a function of its own, so that a profile shows what counting costs.
        #[inline(never)]
        pub fn begin(&self, operation: Operation) -> Timer<'_> {
            Timer { outcomes: &self.0[operation as usize], began: Instant::now(), ended: false }
        }

        /// All that happened at least once.
        pub fn observed(&self) -> Vec<Observed> {
            let of = |operation: Operation| {
                let outcomes = &self.0[operation as usize];
                Outcome::all().map(move |outcome| Observed {
                    operation,
                    outcome,
                    latencies: outcomes[outcome.index()].latencies(),
                })
            };
            Operation::ALL.into_iter().flat_map(of).filter(|observed| observed.latencies.count() > 0).collect()
        }
    }

    pub struct Timer<'a> {
        outcomes: &'a [Histogram; OUTCOMES],
        began: Instant,
        ended: bool,
    }

    impl Timer<'_> {
        #[inline(never)]
        pub fn end<T: Answer>(mut self, result: &Result<T>) {
            self.ended = true;
            self.add(match result {
                Ok(answer) if answer.is_spooled() => Outcome::Spooled,
                Ok(_) => Outcome::Ok,
                Err(error) => Outcome::Failed(error.kind()),
            });
        }

        fn add(&self, outcome: Outcome) {
            self.outcomes[outcome.index()].add(self.began.elapsed());
        }
    }

    impl Drop for Timer<'_> {
        fn drop(&mut self) {
            if !self.ended {
                self.add(Outcome::Cancelled);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::error::Error;
        use crate::model::Written;

        #[test]
        fn every_operation_and_outcome_has_its_own_place() {
            for (at, operation) in Operation::ALL.into_iter().enumerate() {
                assert_eq!(operation as usize, at, "{operation:?}");
            }
            for (at, outcome) in Outcome::all().enumerate() {
                assert_eq!(outcome.index(), at, "{outcome:?}");
            }
            assert_eq!(Outcome::all().count(), OUTCOMES);
        }

        #[test]
        fn an_operation_is_counted_once_by_what_became_of_it() {
            let operations = Operations::new();
            let begin = || operations.begin(Operation::UpsertMessageState);
            begin().end(&Ok(Written::Stored(())));
            begin().end(&Ok(Written::<()>::Spooled));
            begin().end::<Written>(&Err(Error::new(ErrorKind::Internal, "a bug")));
            drop(begin());
            let observed = operations.observed();
            let outcomes: Vec<_> = observed.iter().map(|observed| observed.outcome).collect();
            assert_eq!(
                outcomes,
                [Outcome::Ok, Outcome::Spooled, Outcome::Cancelled, Outcome::Failed(ErrorKind::Internal)]
            );
            assert!(observed.iter().all(|observed| observed.latencies.count() == 1));
            assert!(observed.iter().all(|observed| observed.operation == Operation::UpsertMessageState));
        }
    }
}
