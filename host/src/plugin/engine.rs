use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::error::PluginError;
use crate::model::Limits;
use crate::wall::meter::{TICK, Ticks};

/// Ticks without any call after which the ticker goes to sleep, so that an idle bot does not wake the machine.
const IDLE_TICKS: u32 = 100;

/// Components are lowered to a few core modules each; Rust's are three, with two tables.
const CORE_INSTANCES_PER_COMPONENT: u32 = 8;
const TABLES_PER_COMPONENT: u32 = 8;

/// Slots beyond the pool's own, for instances that are being thrown away while their successor starts.
const SPARE_INSTANCES: usize = 8;

/// Runs components: compiled code, the allocator of instances, and the clock that interrupts a guest which
/// computes for too long.
///
/// The only place that makes a `wasmtime::Engine`, so that the host, precompilation, tests and benches agree on
/// every option. Cloning is cheap and shares all of it.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: wasmtime::Engine,
    ticker: Arc<Ticker>,
}

impl Engine {
    pub(crate) fn new(limits: &Limits) -> Result<Self, PluginError> {
        let inner = wasmtime::Engine::new(&config(limits)).map_err(PluginError::engine)?;
        let ticker = Arc::new(Ticker::start(&inner).map_err(|error| PluginError::engine(error.into()))?);
        Ok(Self { inner, ticker })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    pub(crate) fn ticks(&self) -> Ticks {
        self.ticker.shared.ticks.clone()
    }

    /// Keeps the ticker awake while a call runs.
    pub(crate) fn enter(&self) -> Active<'_> {
        Active::new(&self.ticker)
    }
}

fn config(limits: &Limits) -> Config {
    let slots = u32::try_from(limits.instances.saturating_add(SPARE_INSTANCES)).unwrap_or(u32::MAX);
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
        // A returned slot keeps this much resident instead of giving every page back to the kernel.
        .linear_memory_keep_resident(256 << 10)
        .async_stack_keep_resident(32 << 10);

    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // On by default, and costs 2 microseconds a call for a feature that the contract does not use.
        .concurrency_support(false)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
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
