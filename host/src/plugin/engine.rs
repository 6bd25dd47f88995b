use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle, Thread};

use wasmtime::component::Component;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::error::PluginError;
use crate::limit;
use crate::model::Limits;
use crate::threads::lock;
use crate::wall::meter::{TICK, Ticks};

/// Ticks without any call after which the ticker goes to sleep, so that an idle bot does not wake the machine.
const IDLE_TICKS: u32 = 100;

/// Components are lowered to a few core modules each; Rust's are three, with two tables.
const CORE_INSTANCES_PER_COMPONENT: u32 = 8;
const TABLES_PER_COMPONENT: u32 = 8;

/// Slots beyond those of all who share an engine, for instances that are being thrown away while their successor starts.
const SPARE_INSTANCES: usize = 8;

/// Two storages share an engine where rows move from one to the other, or a second one gets every write.
const SHARES: usize = 2;

/// Runs components: compiled code, the allocator of instances, and the clock that interrupts a guest which
/// computes for too long.
///
/// The only place that makes a `wasmtime::Engine`, so that the host, precompilation, tests and benches agree on
/// every option. All of a process that have the same limits share one: each reserves hundreds of gibibytes of addresses. Cloning is
/// cheap.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    ticker: Ticker,
    /// Those whose idle instances may go where there is no slot left.
    users: Mutex<Vec<Weak<dyn Reclaim>>>,
}

/// Who keeps instances for later.
pub(crate) trait Reclaim: Send + Sync {
    /// Drops one that nobody uses; `false` where there is none.
    fn reclaim(&self) -> bool;
}

/// How much of the machine compiling may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processors {
    All,
    /// Half of them, rounded down, and at least one: the others go on with what they do.
    Half,
}

impl Processors {
    /// As rayon counts them, for which 0 stands for all.
    fn threads(self) -> usize {
        match self {
            Self::All => 0,
            Self::Half => (thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
        }
    }
}

/// The engines of this process that are in use.
static ENGINES: Mutex<Vec<(Limits, Weak<Inner>)>> = Mutex::new(Vec::new());

impl Engine {
    /// The engine for these limits, which is made where nobody has it.
    pub(crate) fn shared(limits: &Limits) -> Result<Self, PluginError> {
        let mut engines = lock(&ENGINES);
        engines.retain(|(_, engine)| engine.strong_count() > 0);
        let known = engines.iter().find(|(known, _)| known == limits).and_then(|(_, engine)| engine.upgrade());
        if let Some(inner) = known {
            return Ok(Self(inner));
        }
        let wasmtime = make(limits)?;
        let ticker =
            Ticker::start(&wasmtime).map_err(|error| PluginError::Runtime { reason: limit::explain(&error) })?;
        let inner = Arc::new(Inner { wasmtime, ticker, users: Mutex::default() });
        engines.push((*limits, Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    pub(crate) fn ticks(&self) -> Ticks {
        self.0.ticker.shared.ticks.clone()
    }

    /// Keeps the ticker awake while a call runs.
    pub(crate) fn enter(&self) -> Active<'_> {
        Active::new(&self.0.ticker)
    }

    /// From now on `user` is asked for instances where there is no slot left.
    pub(crate) fn join(&self, user: Weak<dyn Reclaim>) {
        let mut users = lock(&self.0.users);
        users.retain(|user| user.strong_count() > 0);
        users.push(user);
    }

    /// Makes room for an instance where somebody keeps one for later.
    pub(crate) fn reclaim(&self) -> bool {
        let users: Vec<_> = {
            let users = lock(&self.0.users);
            users.iter().filter_map(Weak::upgrade).collect()
        };
        users.iter().any(|user| user.reclaim())
    }

    /// Compiles a component: on several processors where there are threads for that.
    pub(crate) fn compile(&self, bytes: &[u8], processors: Processors) -> wasmtime::Result<Component> {
        // Threads of its own, which end afterwards: those that are made at the first use for all of a process panic where they
        // cannot be made.
        if let Ok(threads) = rayon::ThreadPoolBuilder::new().num_threads(processors.threads()).build() {
            return threads.install(|| Component::from_binary(self.wasmtime(), bytes));
        }
        let mut config = Config::new();
        common(&mut config);
        if self.has_small_memories() {
            small_memories(&mut config);
        }
        config.parallel_compilation(false);
        let code = wasmtime::Engine::new(&config)?.precompile_component(bytes)?;
        // SAFETY: `deserialize` must be given what an engine with the same options has compiled. These bytes come from one a line
        // above, and options that change what code is compiled to are set by the same two functions for both.
        unsafe { Component::deserialize(self.wasmtime(), code) }
    }

    fn has_small_memories(&self) -> bool {
        self.wasmtime().get_memory_reservation() == 0
    }
}

/// An engine that reserves addresses for all instances at once, as long as the machine has as many; else one whose instances
/// take what they need, and check each access.
fn make(limits: &Limits) -> Result<wasmtime::Engine, PluginError> {
    let mut refused = None;
    for shares in (1..=SHARES).rev() {
        match wasmtime::Engine::new(&pooling(limits, shares)) {
            Ok(engine) => return Ok(engine),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let mut config = Config::new();
    common(&mut config);
    small_memories(&mut config);
    let engine = wasmtime::Engine::new(&config).map_err(PluginError::engine)?;
    if let Some(reason) = refused {
        tracing::debug!(reason = format!("{reason:#}"), "the address space is limited: instances reserve none");
    }
    Ok(engine)
}

fn pooling(limits: &Limits, shares: usize) -> Config {
    let slots = limits.instances.saturating_mul(shares).saturating_add(SPARE_INSTANCES);
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .total_memories(slots)
        .max_memories_per_component(1)
        .max_memory_size(limits.memory)
        .total_tables(slots.saturating_mul(TABLES_PER_COMPONENT))
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .table_elements(limits.table_elements)
        .total_stacks(slots)
        // One that was used goes before one that never was, also for other code: each swap brings such, and would otherwise use
        // another slot until all of them are resident.
        .max_unused_warm_slots(0)
        // Each call may take another stack, which keeps what it will need again. An instance is kept by those who have it, so that
        // a memory which is returned gives its pages back: they would be resident until as many instances exist again as ever.
        .async_stack_keep_resident(32 << 10);
    let mut config = Config::new();
    common(&mut config);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn common(config: &mut Config) {
    config
        .wasm_component_model(true)
        // On by default, and costs 2 microseconds a call for a feature that the contract does not use.
        .concurrency_support(false)
        .epoch_interruption(true);
}

fn small_memories(config: &mut Config) {
    config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(1 << 20);
}

struct Shared {
    ticks: Ticks,
    active: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            ticks: Ticks::default(),
            active: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let handle = thread::Builder::new().name("cofferdam-epoch".into()).spawn({
            let (shared, engine) = (shared.clone(), engine.clone());
            move || tick(&shared, &engine)
        })?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }
}

fn tick(shared: &Shared, engine: &wasmtime::Engine) {
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        thread::park_timeout(TICK);
        shared.ticks.pass();
        engine.increment_epoch();
        idle = if shared.active.load(Ordering::Relaxed) == 0 { idle + 1 } else { 0 };
        if idle < IDLE_TICKS {
            continue;
        }
        idle = 0;
        // The order matters: `Active::new` counts itself before it looks at `asleep`, so one of the two sees
        // the other.
        shared.asleep.store(true, Ordering::SeqCst);
        while shared.active.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread ends within one tick and cannot panic; there is nothing to learn from its result.
            let _ = handle.join();
        }
    }
}

/// A call that is running.
pub(crate) struct Active<'a>(&'a Shared);

impl<'a> Active<'a> {
    fn new(ticker: &'a Ticker) -> Self {
        ticker.shared.active.fetch_add(1, Ordering::SeqCst);
        if ticker.shared.asleep.load(Ordering::SeqCst) {
            ticker.thread.unpark();
        }
        Self(&ticker.shared)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}
