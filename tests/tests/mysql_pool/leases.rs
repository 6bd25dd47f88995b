//! Leases that are dropped, and pools that are closed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::PoolConfig;
use cofferdam::sql::{Access, ErrorKind, PoolStatus, Value};
use cofferdam_tests::harness::wait::until;
use tokio::sync::Barrier;

use crate::{LIMITS, Rig, SETTLING, short, soon};

fn pool_of_4() -> PoolConfig {
    PoolConfig { max_open: 4, max_idle: 3, ..PoolConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_dropped_in_a_transaction_is_rolled_back() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    connection.begin(soon()).await.unwrap();
    let insert = "INSERT INTO t (b) VALUES ('x')";
    connection.execute(&short(insert), vec![], soon()).await.unwrap();
    drop(connection);
    until("the row can be written", SETTLING, async || rig.write(insert).await.is_ok()).await.unwrap();
    assert_eq!(rig.count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_lock_does_not_come_with_the_next_lease() {
    let rig = Rig::shared(PoolConfig::default()).await;
    // Its name is the server's, which other tests use too.
    assert_eq!(rig.integer("SELECT GET_LOCK(DATABASE(), 0)").await, 1);
    until("the lock is free", SETTLING, async || rig.integer("SELECT IS_FREE_LOCK(DATABASE())").await == 1)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_dropped_at_any_point_leaves_the_pool_whole() {
    let rig = Arc::new(Rig::shared(pool_of_4()).await);
    rig.write("INSERT INTO t (b) VALUES ('x')").await.unwrap();
    let tasks: Vec<_> = (0..200u64)
        .map(|i| {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                let work = async {
                    let mut connection = rig.lease(Access::Write).await;
                    connection.begin(soon()).await.unwrap();
                    let _ = connection.query(&short("SELECT SLEEP(0.001)"), vec![], LIMITS, soon()).await;
                    connection.commit(soon()).await.unwrap();
                };
                let _ = tokio::time::timeout(Duration::from_micros(i * 37 % 7000), work).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all_are_back = async || rig.pool.status().open == rig.pool.status().idle;
    until("all connections are back", SETTLING, all_are_back).await.unwrap();
    assert_eq!(rig.count().await, 1);
    assert!(rig.pool.status().open <= 4);
}

#[tokio::test]
async fn closing_leaves_no_connection_and_refuses_what_comes_after() {
    let rig = Rig::shared(pool_of_4()).await;
    drop((rig.lease(Access::Read).await, rig.lease(Access::Write).await));
    rig.pool.close(soon()).await;
    let PoolStatus { max, open, idle, waiting, opened, .. } = rig.pool.status();
    assert_eq!((max, open, idle, waiting, opened), (4, 0, 0, 0, 2));
    assert_eq!(rig.read("SELECT 1").await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_finds_the_connections_of_the_one_before_and_the_rest_are_closed_later() {
    let pool = PoolConfig { max_open: 8, max_idle: 2, ..PoolConfig::default() };
    let rig = Arc::new(Rig::shared(pool).await);
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let together = Arc::new(Barrier::new(8));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (rig, together) = (Arc::clone(&rig), Arc::clone(&together));
                tokio::spawn(async move {
                    let mut connection = rig.lease(Access::Read).await;
                    let statement = short("SELECT CONNECTION_ID()");
                    let rows = connection.query(&statement, vec![], LIMITS, soon()).await.unwrap();
                    together.wait().await;
                    match rows.values()[0][0] {
                        Value::Integer(id) => id,
                        ref other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        for task in tasks {
            seen.insert(task.await.unwrap());
        }
    }
    // Each burst would need six new ones.
    assert!(seen.len() <= 8, "{} connections for 20 bursts of 8", seen.len());
    let is_at_rest = async || {
        let PoolStatus { open, idle, waiting, .. } = rig.pool.status();
        (open, idle, waiting) == (2, 2, 0)
    };
    until("two are left", SETTLING, is_at_rest).await.unwrap();
}
