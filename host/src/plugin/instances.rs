use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::component;
use super::engine::{Engine, Reclaim};
use super::error::PluginError;
use super::inspect::Inspection;
use super::state::{HostState, excess};
use crate::clock::Clock;
use crate::config::Origin;
use crate::error::{Error, ErrorKind, Result};
use crate::limit;
use crate::model::{Description, Limits};
use crate::sql::Database;
use crate::threads::lock;
use crate::wall::bindings::{Plugin, PluginPre};
use crate::wall::limits::Excess;

/// Failures in a row after which a plugin is left alone for a while.
const FAILURES_BEFORE_PAUSE: u32 = 5;
/// The first pause; every further failure doubles it, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// By how much host functions end before the operation that called them, so that the guest can still say what
/// took so long. At most a tenth of the time left.
const GRACE: Duration = Duration::from_millis(20);

/// How long to wait for an instance of somebody else's to end.
const SLOT_PAUSE: Duration = Duration::from_millis(1);

/// The longest name or version that a plugin may give itself, in bytes: they are repeated in every line of the log.
const LABEL: usize = 64;

/// The instances of one component.
///
/// An instance serves one operation at a time and is kept for the next. One that trapped, was refused memory or a
/// statement, missed a deadline, was cancelled or kept what it should have given back is thrown away with its store.
pub(crate) struct Instances {
    engine: Engine,
    plugin: PluginPre<HostState>,
    inspection: Inspection,
    description: Description,
    limits: Limits,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    idle: Arc<Idle>,
    permits: Semaphore,
    discarded: AtomicU64,
    /// Whether there is anything in `failures`: spares a lock in every operation of a sound plugin.
    troubled: AtomicBool,
    failures: Mutex<Failures>,
}

/// Instances that nobody uses at the moment. Another who shares the engine may need their slots.
#[derive(Default)]
struct Idle {
    // Boxed, since an instance is moved several times in each operation and has a kilobyte of its exports.
    #[expect(clippy::vec_box, reason = "they are large, and go in and out")]
    instances: Mutex<Vec<Box<Instance>>>,
    /// With those that are in use.
    existing: AtomicUsize,
}

impl Idle {
    fn pop(&self) -> Option<Box<Instance>> {
        lock(&self.instances).pop()
    }

    fn push(&self, instance: Box<Instance>) {
        lock(&self.instances).push(instance);
    }
}

impl Reclaim for Idle {
    fn reclaim(&self) -> bool {
        let found = self.pop().is_some();
        if found {
            self.existing.fetch_sub(1, Ordering::Relaxed);
        }
        found
    }
}

struct Instance {
    plugin: Plugin,
    store: Store<HostState>,
}

/// Failures without a success between them.
#[derive(Default)]
struct Failures {
    in_a_row: u32,
    paused_until: Option<Instant>,
    last: String,
}

/// An operation's way into an instance.
pub(crate) struct Entry<'a> {
    pub(crate) plugin: &'a Plugin,
    pub(crate) store: &'a mut Store<HostState>,
}

impl Instances {
    /// Loads a component, makes a first instance of it and asks it what it is.
    pub(crate) fn load(
        origin: Origin,
        sha256: Option<&str>,
        cache: Option<&Path>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PluginError> {
        let engine = Engine::shared(&limits)?;
        let (inspection, plugin) = component::load(&engine, origin, sha256, cache)?;
        let name: Arc<str> = inspection.origin.name().into();
        let mut store = HostState::store(&engine, &limits, &name, clock.clone());
        let described = {
            let _active = engine.enter();
            store.set_epoch_deadline(1);
            block_on(async {
                let instance = plugin.instance_pre().instantiate_async(&mut store).await?;
                // Here, and not before, the engine compares the types of the exports.
                let plugin = match Plugin::new(&mut store, &instance) {
                    Ok(plugin) => plugin,
                    Err(error) => return Ok(Err(error)),
                };
                let description = plugin.cofferdam_storage_backend().call_describe(&mut store).await?;
                wasmtime::Result::Ok(Ok((plugin, Description::from(description))))
            })
        };
        store.data().output.flush();
        let fitting = described.map_err(|error| {
            if let Some(limit) = limit::of_text(&format!("{error:#}")) {
                return PluginError::Runtime { reason: limit.to_owned() };
            }
            let reason = reason(&error, store.data(), &limits);
            PluginError::Faulty { origin: inspection.origin.clone(), reason }
        })?;
        let (first, description) = fitting.map_err(|error| {
            let reason = format!("{error:#}").replace('\n', " ");
            PluginError::Incompatible { origin: inspection.origin.clone(), reason }
        })?;
        for (what, text) in [("name", &description.name), ("version", &description.version)] {
            if !is_label(text) {
                let reason = format!("its {what} is not 1 to {LABEL} printable characters of ASCII");
                return Err(PluginError::Faulty { origin: inspection.origin, reason });
            }
        }
        let idle = Arc::new(Idle::default());
        idle.push(Box::new(Instance { plugin: first, store }));
        idle.existing.store(1, Ordering::Relaxed);
        let user: Weak<Idle> = Arc::downgrade(&idle);
        engine.join(user);
        Ok(Self {
            permits: Semaphore::new(limits.instances.clamp(1, Semaphore::MAX_PERMITS)),
            idle,
            discarded: AtomicU64::new(0),
            troubled: AtomicBool::new(false),
            failures: Mutex::default(),
            engine,
            plugin,
            inspection,
            description,
            limits,
            name,
            clock,
        })
    }

    pub(crate) fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn existing(&self) -> usize {
        self.idle.existing.load(Ordering::Relaxed)
    }

    pub(crate) fn discarded(&self) -> u64 {
        self.discarded.load(Ordering::Relaxed)
    }

    /// Runs one operation on an instance, with everything that belongs to it, until `deadline`.
    pub(crate) async fn call<T>(
        &self,
        database: Option<Arc<dyn Database>>,
        deadline: Instant,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<T>,
    ) -> Result<T> {
        self.refuse_while_paused()?;
        let late = || {
            Error::new(ErrorKind::Timeout, "the operation's deadline passed; whether a write took effect is unknown")
        };
        timeout_at(deadline, async {
            let mut lease = self.lease().await?;
            let _active = self.engine.enter();
            let outcome = lease.run(database, deadline, operation).await;
            drop(lease);
            outcome
        })
        .await
        .unwrap_or_else(|_| Err(late()))
    }

    async fn lease(&self) -> Result<Lease<'_>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.map_err(|_| self.failed("its instances are closed".into()))?;
        let idle = self.idle.pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        Ok(Lease { instances: self, instance: Some(instance), reusable: false, _permit: permit })
    }

    async fn instantiate(&self) -> Result<Box<Instance>> {
        let _active = self.engine.enter();
        loop {
            let mut store = HostState::store(&self.engine, &self.limits, &self.name, self.clock.clone());
            store.set_epoch_deadline(1);
            match self.plugin.instantiate_async(&mut store).await {
                Ok(plugin) => {
                    self.idle.existing.fetch_add(1, Ordering::Relaxed);
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
                    None => return Err(self.failed(reason(&error, store.data(), &self.limits))),
                },
            }
        }
    }

    /// Waits until no operation runs, tells every instance to let go, and drops it.
    pub(crate) async fn close(&self, database: Option<Arc<dyn Database>>, deadline: Instant) -> Result<()> {
        let all = u32::try_from(self.limits.instances).unwrap_or(u32::MAX);
        let late = || Error::new(ErrorKind::Timeout, "operations were still running at the deadline of close");
        let permits = timeout_at(deadline, self.permits.acquire_many(all)).await.map_err(|_| late())?;
        loop {
            let Some(mut instance) = self.idle.pop() else { break };
            self.idle.existing.fetch_sub(1, Ordering::Relaxed);
            let _active = self.engine.enter();
            instance.begin(database.clone(), deadline);
            let closing = instance.plugin.cofferdam_storage_storage().call_close(&mut instance.store);
            if let Ok(Err(error)) = timeout_at(deadline, closing).await.unwrap_or(Ok(Ok(()))) {
                tracing::warn!(backend = &*self.name, message = error.message, "the plugin did not close cleanly");
            }
        }
        drop(permits);
        Ok(())
    }

    fn refuse_while_paused(&self) -> Result<()> {
        if !self.troubled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let failures = lock(&self.failures);
        let Some(until) = failures.paused_until else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let Failures { in_a_row, last, .. } = &*failures;
        let message = format!(
            "plugin {} failed {in_a_row} times in a row, the last time because {last}; the next attempt is in {} ms",
            self.name,
            left.as_millis().max(1)
        );
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Counts a failure of the plugin itself and makes it an error.
    fn failed(&self, reason: String) -> Error {
        let mut failures = lock(&self.failures);
        failures.in_a_row = failures.in_a_row.saturating_add(1);
        self.troubled.store(true, Ordering::Relaxed);
        if let Some(beyond) = failures.in_a_row.checked_sub(FAILURES_BEFORE_PAUSE) {
            let pause = FIRST_PAUSE.saturating_mul(1 << beyond.min(16)).min(LONGEST_PAUSE);
            failures.paused_until = Some(Instant::now() + pause);
        }
        tracing::error!(backend = &*self.name, in_a_row = failures.in_a_row, reason, "the plugin failed");
        let error = Error::new(ErrorKind::Internal, format!("plugin {} failed: {reason}", self.name));
        failures.last = reason;
        error
    }

    fn succeeded(&self) {
        if self.troubled.load(Ordering::Relaxed) {
            let mut failures = lock(&self.failures);
            *failures = Failures::default();
            self.troubled.store(false, Ordering::Relaxed);
        }
    }
}

impl Instance {
    fn begin(&mut self, database: Option<Arc<dyn Database>>, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline = deadline - GRACE.min(left / 10);
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        state.meter.restart();
        state.sql.begin(database, deadline);
    }
}

/// An instance on lease to one operation. Unless the operation ends well the instance goes with it.
struct Lease<'a> {
    instances: &'a Instances,
    instance: Option<Box<Instance>>,
    reusable: bool,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    async fn run<T>(
        &mut self,
        database: Option<Arc<dyn Database>>,
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
                self.reusable = state.allocations.refused().is_none() && !state.sql.is_full();
                self.instances.succeeded();
                Ok(result)
            }
            (Ok(_), Some(left_behind)) => Err(self.instances.failed(left_behind.into())),
            (Err(error), _) => Err(self.instances.failed(reason(&error, state, &self.instances.limits))),
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        if self.reusable {
            self.instances.idle.push(instance);
        } else {
            self.instances.idle.existing.fetch_sub(1, Ordering::Relaxed);
            self.instances.discarded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a text may stand for a plugin in logs and on a terminal.
fn is_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Why a call ended in an error of the engine's.
fn reason(error: &wasmtime::Error, state: &HostState, limits: &Limits) -> String {
    match excess(error, state) {
        Some(Excess::Compute) => format!("it computed for more than {} ms", limits.compute.as_millis()),
        Some(Excess::Memory) => format!("it needed more than {} MiB of memory", limits.memory >> 20),
        Some(Excess::Table) => format!("it needed a table of more than {} elements", limits.table_elements),
        None => match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "it recursed too deeply".into(),
            Some(Trap::UnreachableCodeReached) => "it panicked".into(),
            Some(trap) => format!("it trapped: {trap}"),
            None => format!("it broke the rules of the contract: {}", error.root_cause()),
        },
    }
}

/// Runs a future on this thread. For a guest that is asked for its description, which waits for nothing but the
/// next tick; the caller may be inside a runtime, where blocking on another is not possible.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
