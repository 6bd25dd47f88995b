use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::engine::Engine;
use super::output::{Output, Stream};
use crate::clock::Clock;
use crate::model::Limits;
use crate::wall::bridge::{SqlContext, SqlView};
use crate::wall::limits::{Allocations, Excess};
use crate::wall::meter::Meter;

/// The data of one instance's store.
pub(crate) struct HostState {
    table: ResourceTable,
    wasi: WasiCtx,
    pub(super) allocations: Allocations,
    pub(super) meter: Meter,
    pub(super) output: Arc<Output>,
    pub(super) sql: SqlContext,
}

impl HostState {
    /// A store in which a guest has a clock, random numbers and a bounded voice in the log, and nothing else: no
    /// folder, no environment, no argument, no socket.
    pub(super) fn store(
        engine: &Engine,
        limits: &Limits,
        backend: &Arc<str>,
        clock: Arc<dyn Clock>,
        memory: Arc<AtomicUsize>,
    ) -> Store<Self> {
        let output = Arc::new(Output::new(backend.clone(), limits.output));
        let wasi = WasiCtx::builder()
            .wall_clock(WallClock(clock))
            .stdout(Stream::new(output.clone()))
            .stderr(Stream::new(output.clone()))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources.saturating_add(limits.statements).saturating_add(limits.connections));
        let state = Self {
            table,
            wasi,
            allocations: Allocations::new(limits, memory),
            meter: Meter::new(engine.ticks(), limits.compute),
            output,
            sql: SqlContext::new(*limits),
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.allocations);
        store.set_hostcall_fuel(limits.result_bytes);
        store.epoch_deadline_callback(look_at_guest);
        store
    }

    pub(super) fn sql(&mut self) -> SqlView<'_> {
        SqlView { context: &mut self.sql, table: &mut self.table, meter: &mut self.meter }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Runs at every tick in a guest that computes: ends it when it has computed too long, and otherwise lets the
/// other tasks of the runtime go first, among them the one that watches the deadline.
fn look_at_guest(mut store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    if store.data_mut().meter.is_exhausted() {
        return Err(wasmtime::Error::from(ComputedTooLong));
    }
    Ok(UpdateDeadline::Yield(1))
}

#[derive(Debug, thiserror::Error)]
#[error("computed for too long")]
struct ComputedTooLong;

/// What a failed call ran into, if it was a limit.
pub(super) fn excess(error: &wasmtime::Error, state: &HostState) -> Option<Excess> {
    if error.is::<ComputedTooLong>() { Some(Excess::Compute) } else { state.allocations.refused() }
}

/// Why a call ended in an error of the engine's.
pub(super) fn reason(error: &wasmtime::Error, state: &HostState, limits: &Limits) -> String {
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

struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.now()
    }
}
