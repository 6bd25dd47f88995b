//! The plugins beside the bare drivers: one operation at a time, in one run, on the same 10,000 rows.

use std::cell::Cell;
use std::hint::black_box;

use cofferdam::{ErrorKind, StorageService};
use cofferdam_benches::{MysqlAsync, Rusqlite, get, mysql_plugin, next, sqlite_plugin, state};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

/// Everything here fails loudly: a figure of a run that went wrong is worth nothing.
fn done<T>(result: anyhow::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Each iteration takes another row.
struct Rows(Cell<usize>);

impl Rows {
    fn next(&self) -> cofferdam::MessageState {
        self.0.set(next(self.0.get()));
        state(self.0.get())
    }
}

fn rows() -> Rows {
    Rows(Cell::new(0))
}

fn sqlite(criterion: &mut Criterion) {
    let runtime = done(Runtime::new().map_err(Into::into));
    let folder = done(SqliteFolder::new());
    let storage = done(runtime.block_on(sqlite_plugin(&folder)));
    let driver = done(Rusqlite::open(&folder.database()));

    // What the wall costs by itself: a call that the backend answers without its database.
    criterion.bench_function("wall/call", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let error = storage.get_message_state("", None).await.expect_err("an empty channel is refused");
            assert_eq!(black_box(error).kind(), ErrorKind::InvalidInput);
        });
    });

    let mut group = criterion.benchmark_group("sqlite/get");
    let keys = rows();
    group.bench_function("rusqlite", |bencher| bencher.iter(|| done(driver.get(&keys.next()))));
    group.bench_function("plugin", |bencher| {
        bencher.to_async(&runtime).iter(async || done(get(&storage, &keys.next()).await));
    });
    group.finish();

    let mut group = criterion.benchmark_group("sqlite/upsert");
    group.bench_function("rusqlite", |bencher| bencher.iter(|| done(driver.upsert(&keys.next()))));
    group.bench_function("plugin", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(async || done(storage.upsert_message_state(&keys.next()).await.map_err(Into::into)));
    });
    group.finish();
    done(runtime.block_on(storage.close()).map_err(Into::into));
}

fn mysql(criterion: &mut Criterion) {
    let runtime = done(Runtime::new().map_err(Into::into));
    let (storage, database) = done(runtime.block_on(mysql_plugin()));
    let driver = done(runtime.block_on(MysqlAsync::connect(&database)));
    let driver = tokio::sync::Mutex::new(driver);
    let keys = rows();

    let mut group = criterion.benchmark_group("mysql/get");
    group.bench_function("mysql_async", |bencher| {
        bencher.to_async(&runtime).iter(async || done(driver.lock().await.get(&keys.next()).await));
    });
    group.bench_function("plugin", |bencher| {
        bencher.to_async(&runtime).iter(async || done(get(&storage, &keys.next()).await));
    });
    group.finish();

    let mut group = criterion.benchmark_group("mysql/upsert");
    group.bench_function("mysql_async", |bencher| {
        bencher.to_async(&runtime).iter(async || done(driver.lock().await.upsert(&keys.next()).await));
    });
    group.bench_function("plugin", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(async || done(storage.upsert_message_state(&keys.next()).await.map_err(Into::into)));
    });
    group.finish();
    done(runtime.block_on(storage.close()).map_err(Into::into));
    drop(database);
}

criterion_group!(benches, sqlite, mysql);
criterion_main!(benches);
