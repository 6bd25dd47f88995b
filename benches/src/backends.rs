//! The plugins beside the bare drivers and beside sqlx, in one run, on the same rows.
//!
//! A benchmark is `{engine}/{operation}/{callers}/{contestant}`; its times are those of one operation. With 64 callers
//! that is the wall time of all operations divided by their number.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::{ErrorKind, Storage, StorageService};
use criterion::{Criterion, SamplingMode};
use tokio::runtime::Runtime;

use crate::arena::{Arena, CONTESTANTS};
use crate::contestant::{MANY, SOME};
use crate::scratch::{self, Durability, Scratch};
use crate::shared::operation::Operation;

/// The variable that says for how many seconds each benchmark is measured.
const SECONDS_VARIABLE: &str = "COFFERDAM_BENCH_SECONDS";

/// Without that variable.
const SECONDS: f64 = 3.0;

/// The variable that says how many places the order of the contestants is turned. What one leaves behind, such as
/// pages that a server has yet to write, meets the next: over as many rounds as contestants each has every place once.
const TURN_VARIABLE: &str = "COFFERDAM_BENCH_TURN";

/// Samples of a benchmark: the fewest that criterion takes, since lists for many callers take long.
const SAMPLES: usize = 10;

/// Everything here fails loudly: a figure of a run that went wrong is worth nothing.
fn done<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs the benchmarks whose names contain a text, or all.
pub fn run(filter: Option<&str>) -> Result<()> {
    let measurement = seconds()?;
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(measurement.mul_f64(0.2))
        .measurement_time(measurement)
        .without_plots();
    if let Some(filter) = filter {
        criterion = criterion.with_filter(filter);
    }
    wall(&mut criterion);
    for engine in &ENGINES {
        engine.run(&mut criterion);
    }
    criterion.final_summary();
    Ok(())
}

fn seconds() -> Result<Duration> {
    let seconds = match std::env::var(SECONDS_VARIABLE) {
        Ok(text) => text.parse().with_context(|| format!("{SECONDS_VARIABLE} is no number of seconds"))?,
        Err(_) => SECONDS,
    };
    ensure!(seconds > 0.0 && seconds < 3600.0, "{SECONDS_VARIABLE} is not between 0 and 3600");
    Ok(Duration::from_secs_f64(seconds))
}

fn turn() -> Result<usize> {
    match std::env::var(TURN_VARIABLE) {
        Ok(text) => {
            let turn: usize = text.parse().with_context(|| format!("{TURN_VARIABLE} is no number"))?;
            Ok(turn % CONTESTANTS.len())
        }
        Err(_) => Ok(0),
    }
}

/// What the wall costs by itself: a call that the backend answers without its database.
fn wall(criterion: &mut Criterion) {
    let mut opened = None;
    criterion.bench_function("wall/call", |bencher| {
        let (runtime, storage, _) = opened.get_or_insert_with(|| {
            let runtime = done(Runtime::new().map_err(Into::into));
            let folder = done(runtime.block_on(scratch::sqlite()));
            let storage = done(runtime.block_on(async {
                let storage: Arc<dyn StorageService> = Arc::new(Storage::builder(folder.config()).build()?);
                storage.initialize().await?;
                Ok(storage)
            }));
            (runtime, storage, folder)
        });
        bencher.to_async(&*runtime).iter(async || {
            let error = storage.get_message_state("", None).await.expect_err("an empty channel is refused");
            assert_eq!(black_box(error).kind(), ErrorKind::InvalidInput);
        });
    });
    if let Some((runtime, storage, _)) = opened {
        done(runtime.block_on(storage.close()).map_err(Into::into));
    }
}

/// A database, and what is measured on it.
struct Engine {
    name: &'static str,
    open: fn() -> Result<Arena>,
    operations: &'static [(Operation, &'static [usize])],
}

use Operation::{
    All, AllSorted, Cleanup, Get, OwnershipGet, OwnershipUpsert, UpsertBurst, UpsertExisting, UpsertNew, Window,
    WindowSorted,
};

/// What is measured on a server that is far away.
const FAR: &[(Operation, &[usize])] = &[(Get, &[1, SOME, MANY]), (UpsertExisting, &[1, SOME, MANY])];

const ENGINES: [Engine; 5] = [
    Engine {
        name: "sqlite",
        open: Arena::sqlite,
        operations: &[
            (Get, &[1, MANY]),
            (UpsertExisting, &[1, MANY]),
            (UpsertNew, &[1, MANY]),
            (Window, &[1, MANY]),
            (All, &[1, MANY]),
            (WindowSorted, &[1]),
            (AllSorted, &[1]),
            (OwnershipGet, &[1, MANY]),
            (OwnershipUpsert, &[1, MANY]),
            (Cleanup, &[1, MANY]),
        ],
    },
    Engine {
        name: "mysql",
        open: || Arena::mysql(Durability::Default, Duration::ZERO),
        operations: &[
            (Get, &[1, SOME, MANY]),
            (UpsertExisting, &[1, SOME, MANY]),
            (UpsertNew, &[1, SOME, MANY]),
            (UpsertBurst, &[MANY]),
            (Window, &[1, MANY]),
            (All, &[1, MANY]),
            (OwnershipGet, &[1, MANY]),
            (OwnershipUpsert, &[1, MANY]),
            (Cleanup, &[1, MANY]),
        ],
    },
    Engine {
        name: "mysql-relaxed",
        open: || Arena::mysql(Durability::Relaxed, Duration::ZERO),
        operations: &[(UpsertExisting, &[1, SOME, MANY]), (UpsertNew, &[1, MANY]), (OwnershipUpsert, &[1, MANY])],
    },
    Engine {
        name: "mysql-0.5ms",
        open: || Arena::mysql(Durability::Default, Duration::from_micros(500)),
        operations: FAR,
    },
    Engine { name: "mysql-2ms", open: || Arena::mysql(Durability::Default, Duration::from_millis(2)), operations: FAR },
];

impl Engine {
    /// All benchmarks. The databases are made when the first of them runs.
    fn run(&self, criterion: &mut Criterion) {
        let mut arena = None;
        let mut contestants = CONTESTANTS;
        contestants.rotate_left(done(turn()));
        for (operation, callers) in self.operations {
            for callers in *callers {
                let mut group = criterion.benchmark_group(format!("{}/{}/{callers}", self.name, operation.name()));
                group.sampling_mode(SamplingMode::Flat);
                for contestant in contestants {
                    group.bench_function(contestant, |bencher| {
                        let arena = arena.get_or_insert_with(|| done((self.open)()));
                        bencher.iter_custom(|count| done(arena.measure(contestant, *operation, *callers, count)));
                    });
                }
                group.finish();
            }
        }
    }
}
