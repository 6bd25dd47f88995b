//! Another plugin takes the place of the one that answers, while operations run.
//!
//! A plugin passes these stations, each a type of which the next is made: `Contents`, read and inspected; [`Candidate`],
//! compiled, described and for the right kind of database; `Fit`, rehearsed on the live database. Only a `Fit` one is installed.

mod error;
mod history;
mod rehearsal;
mod request;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use self::error::SwapError;
pub(super) use self::history::History;
pub use self::history::{LastSwap, PluginIdentity, PluginStatus, SwapOutcome, SwapsStatus};
pub(crate) use self::rehearsal::Candidate;
pub(super) use self::rehearsal::schema_version;
use self::rehearsal::{Change, Fit, run};
pub(crate) use self::request::Terms;
pub use self::request::{SwapReport, SwapRequest, Upgraded};
use super::{Storage, check_engine};
use crate::clock::Clock;
use crate::config::{Origin, PluginSource};
use crate::plugin::{Contents, Entry, Inspection, Instances, Pace, PluginError, Setup, TRIAL, Verdict};
use crate::sql::Database;

/// What a rehearsal has in all, with reading and compiling.
pub(crate) const REHEARSAL: Duration = Duration::from_secs(5);

/// What is left of that for the database at the least: a plugin with less would be blamed for being slow.
const ON_DATABASE: Duration = Duration::from_millis(500);

/// What becomes of a candidate where the storage is not open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfClosed {
    /// It is swapped in: nobody works, and `initialize` looks at the database, as at a start.
    SwapIn,
    /// The database is connected to for the rehearsal: somebody waits for it.
    Connect,
}

/// Seconds since the Unix epoch.
pub(super) fn seconds(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.now().as_secs()).unwrap_or(i64::MAX)
}

impl Storage {
    pub(super) fn plugin_status(&self) -> PluginStatus {
        let (instances, since, on_trial) = self.serving.now();
        let stands_in = self.last_good.reason(&instances);
        PluginStatus { plugin: PluginIdentity::of(&instances), since, on_trial, stands_in }
    }

    fn seconds(&self) -> i64 {
        seconds(&**self.serving.instances().clock())
    }

    /// Where the component is that a request means.
    pub(crate) fn locate(&self, source: Option<&PluginSource>) -> Result<Origin, SwapError> {
        let source = source.unwrap_or(&self.config.plugin);
        Ok(source.resolve(self.config.database.engine()).map_err(PluginError::from)?)
    }

    /// Reads and inspects a component, and compares its SHA-256. Blocks.
    pub(crate) fn read_candidate(&self, origin: Origin, sha256: Option<&str>) -> Result<Contents, SwapError> {
        // A pipe would keep its reader for ever.
        if let Origin::File(path) = &origin
            && fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
        {
            return Err(SwapError::NotAFile { origin });
        }
        let contents = Contents::read(origin)?;
        let Inspection { origin, sha256: actual, .. } = &contents.inspection;
        match sha256 {
            Some(expected) if !contents.has(expected) => Err(SwapError::Checksum {
                origin: origin.clone(),
                expected: expected.to_owned(),
                actual: actual.clone(),
            }),
            None if self.config.plugin_sha256.is_some() => Err(SwapError::Pinned { origin: origin.clone() }),
            _ => Ok(contents),
        }
    }

    /// Whether a component is worth loading; `false` where it is the one that answers.
    pub(crate) fn is_wanted(&self, contents: &Contents, terms: Terms) -> Result<bool, SwapError> {
        let Inspection { origin, sha256, .. } = &contents.inspection;
        if terms.force {
            return Ok(true);
        }
        if self.serving.instances().inspection().sha256 == *sha256 {
            return Ok(false);
        }
        match self.history.distrust(sha256) {
            Some(reason) => Err(SwapError::SwappedBack { origin: origin.clone(), reason }),
            None => Ok(true),
        }
    }

    /// Compiles a component beside the one that answers. Blocks.
    pub(crate) fn load_candidate(&self, contents: Contents) -> Result<Candidate, SwapError> {
        let running = self.serving.instances();
        let setup = Setup {
            cache: self.config.cache.as_deref(),
            limits: *running.limits(),
            clock: running.clock().clone(),
            account: running.account().clone(),
            pace: Pace::BesideWork,
            keep: self.last_good.is_wanted(),
        };
        let instances = Instances::load(contents, setup)?;
        check_engine(&instances, &self.config)?;
        Ok(Candidate(Arc::new(instances)))
    }

    /// Rehearses a candidate on the database until `deadline`, upgrades the schema if that is needed and asked for, and swaps the
    /// candidate in. Where this fails, the plugin before answers as ever. Is to run to its end.
    pub(crate) async fn swap(
        &self,
        candidate: Candidate,
        terms: Terms,
        if_closed: IfClosed,
        began: Instant,
        deadline: Instant,
    ) -> Result<Swapped, SwapError> {
        let origin = candidate.0.inspection().origin.clone();
        if deadline.saturating_duration_since(Instant::now()) < ON_DATABASE {
            return Err(SwapError::Timeout { origin, doing: "compiled", limit: REHEARSAL });
        }
        let Ok(_opening) = timeout_at(deadline, self.opening.lock()).await else {
            return Err(SwapError::Busy { origin, reason: "the storage is being opened or closed" });
        };
        let running = self.serving.instances();
        let fit = match (self.serving.database(), if_closed) {
            (Ok(database), _) => {
                let fit = candidate.rehearse(&running, &database, terms, deadline).await?;
                if let Change::Upgrade(from) = fit.change() {
                    return self.upgrade(fit, &database, from, began).await;
                }
                fit
            }
            (Err(_), IfClosed::SwapIn) => candidate.unrehearsed(),
            (Err(_), IfClosed::Connect) => {
                let unavailable = |error| SwapError::Unavailable { origin: origin.clone(), error };
                let database = self.connect(deadline).await.map_err(unavailable)?;
                // The plugin that waits for the database would upgrade it too.
                let same = candidate.0.description().schema_version == running.description().schema_version;
                let terms = Terms { upgrade_schema: terms.upgrade_schema || same, ..terms };
                let rehearsed = candidate.rehearse(&running, &database, terms, deadline).await;
                database.close(Instant::now() + self.config.timeouts.close).await;
                rehearsed?
            }
        };
        let rehearsed = fit.change() != Change::Later;
        let on_trial = fit.change() == Change::Nothing;
        self.install(fit, on_trial, began);
        Ok(Swapped { upgraded: None, rehearsed })
    }

    fn install(&self, fit: Fit, on_trial: bool, began: Instant) {
        let (next, now) = (fit.into_instances(), self.seconds());
        let from = PluginIdentity::of(&self.serving.instances());
        let (to, took) = (next.inspection().clone(), began.elapsed());
        tracing::info!(from = %from.origin, to = %to.origin, sha256 = to.sha256, ?took, "another plugin answers");
        // Before its first operation, which may end its trial.
        self.history.swapped(now, took, from, &to);
        self.serving.install(next, now, on_trial);
    }

    /// Upgrades the schema while no operation runs, and swaps in the plugin that needs it. The plugin before does not know the new
    /// schema, so there is no trial.
    async fn upgrade(
        &self,
        fit: Fit,
        database: &Arc<dyn Database>,
        from: Option<u32>,
        began: Instant,
    ) -> Result<Swapped, SwapError> {
        let origin = fit.instances().inspection().origin.clone();
        let to = fit.instances().description().schema_version;
        let _shut = self.serving.shut(database);
        let everyone = self.serving.everyone();
        let limit = self.config.timeouts.list.max(self.config.timeouts.operation);
        let deadline = Instant::now() + limit;
        let mut drained = Vec::new();
        for instances in &everyone {
            match instances.drain(deadline).await {
                Some(permits) => drained.push(permits),
                None => return Err(SwapError::Undrained { origin, limit }),
            }
        }
        tracing::info!(plugin = %origin, ?from, to, "upgrading the schema for another plugin: operations wait");
        let deadline = Instant::now() + self.config.timeouts.initialize;
        let initialize = async {
            self.check_obstacles(&**database, deadline).await?;
            self.check_before_upgrade(database, async { from.is_some() }, deadline).await?;
            run(fit.instances(), database, deadline, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_storage().call_initialize(store).await
            })
            .await
        };
        if let Err(error) = initialize.await {
            // Whether the answer or the upgrade is missing.
            let deadline = Instant::now() + self.config.timeouts.operation;
            let database = run(fit.instances(), database, deadline, schema_version).await.ok().flatten();
            if database != Some(to) {
                return Err(SwapError::Upgrade { origin, error, database });
            }
            tracing::warn!(plugin = %origin, %error, "the schema is upgraded, although the plugin did not say so");
        }
        let upgraded = fit.instances().clone();
        self.install(fit, false, began);
        drop(drained);
        self.remember(&upgraded);
        Ok(Swapped { upgraded: Some(Upgraded { from, to }), rehearsed: true })
    }

    /// Notes that a plugin was refused, of which the SHA-256 is known where it could be read.
    pub(crate) fn note_refused(&self, took: Duration, to: (Origin, Option<String>), error: &SwapError) {
        let from = PluginIdentity::of(&self.serving.instances());
        self.history.refused(self.seconds(), took, from, to, error.clone());
    }

    /// Acts on how the trial of a plugin stands.
    pub(super) fn judge(&self, instances: &Arc<Instances>, verdict: Verdict) {
        match verdict {
            Verdict::Open => {}
            Verdict::Passed => {
                if self.serving.confirm(instances) {
                    let plugin = &instances.inspection().origin;
                    tracing::info!(%plugin, "the plugin worked in its first {TRIAL} operations");
                    self.remember(instances);
                }
            }
            Verdict::Failed(reason) => {
                let now = self.seconds();
                // Many operations may find this out; one acts on it.
                let Some(before) = self.serving.take_back(instances, now) else { return };
                let (failed, back) = (instances.inspection(), before.inspection());
                tracing::error!(plugin = %failed.origin, sha256 = failed.sha256, reason, back_to = %back.origin,
                    "the plugin is swapped back");
                self.history.swapped_back(now, PluginIdentity::of(&before), failed, reason);
            }
        }
    }
}

/// A swap that was made.
pub(crate) struct Swapped {
    pub(crate) upgraded: Option<Upgraded>,
    pub(crate) rehearsed: bool,
}
