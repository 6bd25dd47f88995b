//! A fault under load, from the first write to the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::load::{Load, LoadOptions};
use super::look::Found;
use super::opened::Opened;
use super::verdict::{Expected, Recovery, Verdict};
use anyhow::Result;

/// The deadline of operations in most faults: short, so that runs are.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long to wait for service to be back before giving up: well beyond what is promised.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the load goes on once service is back.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// One fault, provoked once.
pub struct Scene<'a> {
    /// The fault's name.
    pub fault: &'a str,
    /// What it may do to callers.
    pub expected: Expected,
    /// The storage under load, initialised.
    pub opened: &'a Opened,
    /// The callers.
    pub load: LoadOptions,
}

impl<'a> Scene<'a> {
    /// Loads the storage, has `fault` begin and end a fault, and waits until service is back.
    ///
    /// # Errors
    ///
    /// The fault could not be provoked.
    pub async fn play(self, fault: impl AsyncFnOnce(&Load) -> Result<()>) -> Result<Played<'a>> {
        let load = Load::start(&self.opened.service, &self.load);
        load.warm().await?;
        fault(&load).await?;
        let recovery = recovery(&load).await;
        tokio::time::sleep(AFTERWARDS).await;
        let ledger = load.stop().await?;
        let drained = self.opened.drained().await?;
        Ok(Played { fault: self.fault, expected: self.expected, ledger, recovery, drained })
    }
}

/// What callers saw of a fault.
pub struct Played<'a> {
    fault: &'a str,
    expected: Expected,
    ledger: Arc<Ledger>,
    recovery: Recovery,
    drained: Option<(usize, Duration)>,
}

impl Played<'_> {
    /// The same, where service had to come back once more while the fault lasted.
    pub(super) fn recovered_also(self, recovery: Recovery) -> Self {
        Self { recovery: self.recovery.worse(recovery), ..self }
    }

    /// Compares what was acknowledged with what is in the database.
    pub fn judge(&self, found: &Found) -> Verdict {
        let mut verdict = Verdict::of(self.fault, &self.expected, &self.ledger, Some(self.recovery), found);
        if let Some((waiting @ 1.., took)) = self.drained {
            verdict.notes.push(format!("{waiting} writes were still in the spool when the load ended, for {took:.1?}"));
        }
        verdict
    }
}

/// Waits until every caller is answered again, from now on.
pub(super) async fn recovery(load: &Load) -> Recovery {
    let end = load.ledger().mark();
    loop {
        let (first, all) = load.ledger().answered_after_mark();
        if all.is_some() || end.elapsed() > PATIENCE {
            let after = |time: Instant| time.saturating_duration_since(end);
            return Recovery { first: first.map(after), all: all.map(after) };
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
