//! A bot on a Galera cluster of three real nodes.

mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::clock::SystemClock;
use cofferdam::config::{Config, PoolConfig};
use cofferdam::sql::{Access, Database, ErrorKind, ResultLimits, Statement, Value, Work, mysql};
use cofferdam::{MessageState, Storage, StorageService};
use cofferdam_tests::harness::galera::{Galera, NODES};
use cofferdam_tests::harness::storage::mysql_config;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use load::Load;

const DEADLINE: Duration = Duration::from_secs(3);

/// How soon a cluster that lost a node, or was put together again, serves every caller.
const SERVICE_BACK: Duration = Duration::from_secs(10);

/// How long something may take that happens by itself, so that a test ends.
const SETTLING: Duration = Duration::from_secs(120);

async fn storage(cluster: &Galera, database: &str, nodes: &[usize]) -> Arc<Storage> {
    let config = mysql_config(cluster.config(database, nodes));
    let mut timeouts = config.timeouts;
    timeouts.operation = DEADLINE;
    let storage = Storage::builder(Config { timeouts, ..config }).clock(Arc::new(SystemClock)).build().unwrap();
    storage.initialize().await.unwrap();
    Arc::new(storage)
}

/// Each caller's number on a node, read there.
async fn rows(cluster: &Galera, node: usize, database: &str) -> BTreeMap<String, u64> {
    let mut connection = cluster.administrator(node).await.unwrap();
    connection.query_drop("SET SESSION wsrep_sync_wait = 1").await.unwrap();
    let rows: Vec<(String, u64)> = connection
        .query(format!("SELECT channel_id, CAST(last_message_id AS UNSIGNED) FROM `{database}`.message_states"))
        .await
        .unwrap();
    connection.disconnect().await.unwrap();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "no caller has two rows");
    rows
}

fn report(what: &str, load: &Load, back: Duration) {
    let counts = load.take_counts();
    println!(
        "{what}: {} acknowledged, {:?}, longest {:.2} s, {} late, service back after {:.2} s {:?}",
        counts.acknowledged,
        counts.failed,
        counts.longest.as_secs_f64(),
        counts.late,
        back.as_secs_f64(),
        counts.examples,
    );
    assert_eq!(counts.late, 0, "{what}: operations ended too late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_write_is_lost_whatever_happens_to_nodes() {
    const DATABASE: &str = "cofferdam_load";
    let began = Instant::now();
    let mut cluster = Galera::start().await.unwrap();
    println!("the cluster was up after {:.1} s", began.elapsed().as_secs_f64());
    cluster.create_database(DATABASE).await.unwrap();
    let storage = storage(&cluster, DATABASE, &[0, 1, 2]).await;
    let load = Load::start(&storage, DEADLINE);
    let back = load.all_served(SERVICE_BACK).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    report("before", &load, back);

    cluster.node(0).kill().unwrap();
    let back = load.all_served(SERVICE_BACK).await;
    report("the first node is killed", &load, back);
    cluster.start_again(&[0]).await.unwrap();
    let back = load.all_served(SERVICE_BACK).await;
    report("it is back", &load, back);

    cluster.node(1).pause().unwrap();
    let back = load.all_served(SERVICE_BACK).await;
    report("the second node hangs", &load, back);
    cluster.node(1).resume().unwrap();
    cluster.wait_synced(1).await.unwrap();
    let back = load.all_served(SERVICE_BACK).await;
    report("it goes on", &load, back);

    // Shorter than the cluster takes to shut a node out, so that what hung is executed afterwards.
    for _ in 0..3 {
        for node in 0..NODES {
            cluster.node(node).pause().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        for node in 0..NODES {
            cluster.node(node).resume().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let back = load.all_served(SERVICE_BACK).await;
    report("all nodes hang for a moment", &load, back);

    cluster.node(1).kill().unwrap();
    cluster.node(2).kill().unwrap();
    until("the last node has lost the majority", SETTLING, async || {
        cluster.state(0).await.is_ok_and(|state| state.ends_with("non-Primary"))
    })
    .await
    .unwrap();
    load.take_counts();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let counts = load.take_counts();
    println!("the majority is lost: {counts:?}");
    assert_eq!((counts.acknowledged, counts.late), (0, 0));
    assert_eq!(counts.failed.keys().copied().collect::<Vec<_>>(), ["unavailable"]);
    cluster.start_again(&[1, 2]).await.unwrap();
    cluster.wait_synced(0).await.unwrap();
    let back = load.all_served(SERVICE_BACK).await;
    report("all nodes are back", &load, back);

    let ledger = load.stop().await;
    for node in 0..NODES {
        cluster.wait_synced(node).await.unwrap();
        ledger.check(node, &rows(&cluster, node, DATABASE).await);
    }
    storage.close().await.unwrap();
    println!("all of it took {:.1} s", began.elapsed().as_secs_f64());
}
