//! Running all cases.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Case, Harness, cases};

/// How many cases run at a time, each on a storage of its own.
const PARALLEL: usize = 4;

/// The longest that one case may take before it counts as hanging.
const HANGING: Duration = Duration::from_secs(120);

/// What became of all cases on the storages of one harness. `Display` says it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The harness's name.
    pub harness: String,
    /// How many cases passed.
    pub passed: usize,
    /// The cases that did not, by name.
    pub failures: Vec<Failure>,
}

/// A case that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case's [name](crate::Case::name).
    pub case: String,
    /// What was wrong: an operation's error, a failed assertion, or that it did not end.
    pub reason: String,
}

/// A storage does not conform. Another try helps only where a reason says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub Report);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { harness, passed, failures } = self;
        if failures.is_empty() {
            return write!(f, "{passed} conformance cases passed on {harness}");
        }
        let total = passed + failures.len();
        write!(f, "{} of {total} conformance cases failed on {harness}:", failures.len())?;
        for Failure { case, reason } in failures {
            write!(f, "\n{case}: {reason}")?;
        }
        Ok(())
    }
}

/// Runs every case, several at a time, on the tokio runtime of the caller, whose timer has to be enabled.
///
/// A failed assertion is a panic, which is caught, and which the panic hook prints before.
///
/// # Errors
///
/// The report, where a case failed.
pub async fn run_all(harness: Arc<dyn Harness>) -> Result<Report, Failed> {
    run_some(harness, |_| true).await
}

/// As [`run_all`], but only those of the cases that are wanted: for what does less than a whole storage.
///
/// # Errors
///
/// As [`run_all`].
pub async fn run_some(harness: Arc<dyn Harness>, wanted: impl Fn(&Case) -> bool) -> Result<Report, Failed> {
    let turns = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    let wanted: Vec<_> = cases().iter().filter(|case| wanted(case)).collect();
    let count = wanted.len();
    for case in wanted {
        let (harness, turns) = (harness.clone(), turns.clone());
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            let outcome = tokio::spawn(async move { tokio::time::timeout(HANGING, case.run(&*harness)).await }).await;
            let reason = match outcome {
                Ok(Ok(Ok(()))) => return None,
                Ok(Ok(Err(error))) => in_full(&*error),
                Ok(Err(_)) => format!("did not end within {HANGING:?}"),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => panic_message(&*panic),
                    Err(error) => error.to_string(),
                },
            };
            Some(Failure { case: case.name(), reason })
        });
    }
    let mut failures: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    failures.sort_by(|one, other| one.case.cmp(&other.case));
    let report = Report { harness: harness.name().to_owned(), passed: count - failures.len(), failures };
    if report.failures.is_empty() { Ok(report) } else { Err(Failed(report)) }
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "panicked".to_owned(),
    }
}
