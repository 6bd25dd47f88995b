use std::borrow::Cow;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wasmtime::{PoolConcurrencyLimitError, Store};

use super::account::{Account, Fate};
use super::engine::Engine;
use super::error::PluginError;
use super::failures::{Failures, Verdict};
use super::idle::{Idle, Taken};
use super::inspect::{Contents, Inspection};
use super::load::{self, Loaded, Setup};
use super::state::{HostState, excess, reason};
use crate::clock::Clock;
use crate::config::format_duration;
use crate::error::{Error, ErrorKind, Result};
use crate::limit;
use crate::model::{Description, Limits};
use crate::sql::Database;
use crate::threads::{self, lock};
use crate::wall::bindings::{Plugin, PluginPre};

/// By how much host functions end before the operation that called them, so that the guest can still say what
/// took so long. At most a tenth of the time left.
const GRACE: Duration = Duration::from_millis(20);

/// How long to wait for an instance of somebody else's to end.
pub(super) const SLOT_PAUSE: Duration = Duration::from_millis(1);

/// The instances of one component.
///
/// An instance serves one operation at a time and is kept for the next. One that trapped, was refused memory or a
/// statement, missed a deadline, was cancelled or kept what it should have given back is thrown away with its store.
pub(crate) struct Instances {
    engine: Engine,
    plugin: PluginPre<HostState>,
    inspection: Arc<Inspection>,
    description: Arc<Description>,
    limits: Limits,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    idle: Arc<Idle>,
    permits: Semaphore,
    account: Arc<Account>,
    failures: Failures,
    /// The component, until somebody takes it.
    component: Mutex<Option<Cow<'static, [u8]>>>,
}

pub(super) struct Instance {
    pub plugin: Plugin,
    pub store: Store<HostState>,
}

/// Operations that are kept from beginning, for as long as this is held.
pub(crate) struct Drained<'a> {
    _permits: SemaphorePermit<'a>,
}

/// An operation's way into an instance.
pub(crate) struct Entry<'a> {
    pub(crate) plugin: &'a Plugin,
    pub(crate) store: &'a mut Store<HostState>,
}

impl Instances {
    /// Compiles a component, makes a first instance of it and asks it what it is. Blocks.
    pub(crate) fn load(contents: Contents, setup: Setup<'_>) -> Result<Self, PluginError> {
        let Loaded { engine, plugin, inspection, description, name, first, component } = load::load(contents, &setup)?;
        let Setup { limits, clock, account, .. } = setup;
        let idle = Arc::new(Idle::default());
        if let Some(first) = first {
            idle.made();
            idle.put(first);
        }
        let user: Weak<Idle> = Arc::downgrade(&idle);
        engine.join(user);
        Ok(Self {
            permits: Semaphore::new(places(&limits)),
            idle,
            account,
            failures: Failures::default(),
            engine,
            plugin,
            inspection: Arc::new(inspection),
            description: Arc::new(description),
            limits,
            name,
            clock,
            component: Mutex::new(component),
        })
    }

    pub(crate) fn inspection(&self) -> &Arc<Inspection> {
        &self.inspection
    }

    pub(crate) fn description(&self) -> &Arc<Description> {
        &self.description
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The component, if it was to be kept and was not taken yet.
    pub(crate) fn take_component(&self) -> Option<Cow<'static, [u8]>> {
        lock(&self.component).take()
    }

    pub(crate) fn existing(&self) -> usize {
        self.idle.existing()
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// For how long no operation is tried after failures, and the last of them.
    pub(crate) fn pause(&self) -> Option<(Duration, String)> {
        self.failures.pause()
    }

    /// Lets no further operation begin here, and frees the instances that wait for one. Those in use end with their operations.
    pub(crate) fn retire(&self) {
        let instances = self.idle.retire();
        if !instances.is_empty() {
            // Giving many megabytes back to the system takes a while; the slots are free with each one that is gone.
            drop(threads::spawn(move || drop(instances)));
        }
    }

    /// Takes operations, whatever was before: no failure is remembered. On trial, the first operations are counted.
    pub(crate) fn start_over(&self, on_trial: bool) {
        self.failures.start_over(on_trial);
        self.idle.reinstate();
    }

    /// How its trial stands, if it is on one.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.failures.verdict()
    }

    /// Ends its trial.
    pub(crate) fn acquit(&self) {
        self.failures.acquit();
    }

    /// Notes that the plugin broke the contract by what it answered, and makes it an error.
    pub(crate) fn blame(&self, reason: String) -> Error {
        self.failures.failed(&self.name, reason)
    }

    /// Counts a mistake that the plugin itself reports, where it is on trial: one of the database's has another kind.
    pub(crate) fn disappointed(&self, error: &Error) {
        self.failures.disappointed(&self.name, || format!("it reported a mistake of its own: {}", error.message()));
    }

    /// Waits until no operation runs; none begins until the answer is dropped. `None` where some still ran at the deadline.
    pub(crate) async fn drain(&self, deadline: Instant) -> Option<Drained<'_>> {
        // The semaphore is never closed.
        let all = u32::try_from(places(&self.limits)).unwrap_or(u32::MAX);
        let permits = timeout_at(deadline, self.permits.acquire_many(all)).await.ok()?.ok()?;
        Some(Drained { _permits: permits })
    }

    /// Runs one operation on an instance, with everything that belongs to it, until `deadline`. Gives the operation back where
    /// another plugin has taken the place of this one before it began.
    pub(crate) async fn call<T, F>(
        &self,
        database: Arc<dyn Database>,
        deadline: Instant,
        operation: F,
    ) -> Result<Result<T>, F>
    where
        F: AsyncFnOnce(Entry<'_>) -> wasmtime::Result<T>,
    {
        if let Err(error) = self.failures.check(&self.name) {
            return Ok(Err(error));
        }
        let late = || {
            Error::new(ErrorKind::Timeout, "the operation's deadline passed; whether a write took effect is unknown")
        };
        timeout_at(deadline, async {
            let mut lease = match self.lease().await {
                Ok(Some(lease)) => lease,
                Ok(None) => return Err(operation),
                Err(error) => return Ok(Err(error)),
            };
            let _active = self.engine.enter();
            let outcome = lease.run(database, deadline, operation).await;
            drop(lease);
            Ok(outcome)
        })
        .await
        .unwrap_or_else(|_| Ok(Err(late())))
    }

    /// An instance; `None` where no further operation begins here.
    async fn lease(&self) -> Result<Option<Lease<'_>>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.map_err(|_| self.blame("its instances are closed".into()))?;
        let instance = match self.idle.take() {
            Taken::Instance(instance) => instance,
            Taken::Nothing => self.instantiate().await?,
            Taken::Retired => return Ok(None),
        };
        Ok(Some(Lease { instances: self, instance: Some(instance), fate: Fate::GivenUp, _permit: permit }))
    }

    async fn instantiate(&self) -> Result<Box<Instance>> {
        let _active = self.engine.enter();
        loop {
            let mut store = HostState::store(
                &self.engine,
                &self.limits,
                &self.name,
                self.clock.clone(),
                self.account.memory().clone(),
            );
            store.set_epoch_deadline(1);
            match self.plugin.instantiate_async(&mut store).await {
                Ok(plugin) => {
                    self.idle.made();
                    return Ok(Box::new(Instance { plugin, store }));
                }
                // Others have all slots of the engine. Whoever does not use one gives it up; else one will be free in a moment.
                Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                    drop(store);
                    if !self.engine.reclaim() {
                        tokio::time::sleep(SLOT_PAUSE).await;
                    }
                }
                // Nor is that the plugin's fault.
                Err(error) => match limit::of_text(&format!("{error:#}")) {
                    Some(limit) => {
                        let message = format!("no instance of plugin {} can be created: {limit}", self.name);
                        return Err(Error::new(ErrorKind::Unavailable, message));
                    }
                    None => return Err(self.blame(reason(&error, store.data(), &self.limits))),
                },
            }
        }
    }

    /// Waits until no operation runs, tells every instance to let go, and drops it.
    pub(crate) async fn close(&self, database: &Arc<dyn Database>, deadline: Instant) -> Result<()> {
        let late = || Error::new(ErrorKind::Timeout, "operations were still running at the deadline of close");
        let drained = self.drain(deadline).await.ok_or_else(late)?;
        while let Taken::Instance(mut instance) = self.idle.take() {
            self.idle.gone();
            let _active = self.engine.enter();
            instance.begin(database.clone(), deadline);
            let closing = instance.plugin.cofferdam_storage_storage().call_close(&mut instance.store);
            if let Ok(Err(error)) = timeout_at(deadline, closing).await.unwrap_or(Ok(Ok(()))) {
                tracing::warn!(backend = &*self.name, message = error.message, "the plugin did not close cleanly");
            }
        }
        drop(drained);
        Ok(())
    }
}

impl Instance {
    fn begin(&mut self, database: Arc<dyn Database>, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline = deadline - GRACE.min(left / 10);
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.meter.restart();
        state.sql.begin(Some(database), deadline);
    }
}

/// An instance on lease to one operation. Unless the operation ends well the instance goes with it.
struct Lease<'a> {
    instances: &'a Instances,
    instance: Option<Box<Instance>>,
    fate: Fate,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    async fn run<T>(
        &mut self,
        database: Arc<dyn Database>,
        deadline: Instant,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<T>,
    ) -> Result<T> {
        let Some(instance) = &mut self.instance else {
            return Err(Error::new(ErrorKind::Internal, "an operation was run on an instance that is gone"));
        };
        instance.begin(database, deadline);
        let outcome = operation(Entry { plugin: &instance.plugin, store: &mut instance.store }).await;
        let state = instance.store.data_mut();
        let left_behind = state.sql.end();
        state.output.flush();
        match (outcome, left_behind) {
            (Ok(result), None) => {
                self.fate = match state.allocations.refused().is_none() && !state.sql.is_full() {
                    true => Fate::Kept,
                    false => Fate::AtLimit,
                };
                self.instances.failures.succeeded();
                Ok(result)
            }
            (Ok(_), Some(left_behind)) => {
                self.fate = Fate::LeftBehind;
                Err(self.instances.blame(left_behind.into()))
            }
            (Err(error), _) => {
                self.fate = if excess(&error, state).is_some() { Fate::AtLimit } else { Fate::Trapped };
                Err(self.instances.blame(reason(&error, state, &self.instances.limits)))
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        if self.fate == Fate::Kept {
            self.instances.idle.put(instance);
        } else {
            if self.fate == Fate::GivenUp
                && let Some(lasted) = instance.store.data().meter.hung()
            {
                let reason = || format!("it hung for {}", format_duration(lasted));
                self.instances.failures.disappointed(&self.instances.name, reason);
            }
            self.instances.idle.gone();
            self.instances.account.add(self.fate);
        }
    }
}

/// How many operations can run at a time.
fn places(limits: &Limits) -> usize {
    limits.instances.clamp(1, Semaphore::MAX_PERMITS)
}
