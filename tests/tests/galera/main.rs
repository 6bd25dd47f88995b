//! A bot on a Galera cluster of three real nodes.

mod load;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::clock::SystemClock;
use cofferdam::config::{Config, MysqlConfig, PoolConfig};
use cofferdam::sql::{ErrorKind, Statement, Value, Work, mysql};
use cofferdam::{MessageState, Storage, StorageService};
use cofferdam_tests::harness::galera::{Galera, NODES};
use cofferdam_tests::harness::path::NetworkPath;
use cofferdam_tests::harness::storage::mysql_config;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use load::Load;

const DEADLINE: Duration = Duration::from_secs(3);

/// Shorter than the cluster takes to shut a node out.
const HASTY: Duration = Duration::from_millis(500);

/// How soon a cluster that lost a node, or was put together again, serves every caller.
const SERVICE_BACK: Duration = Duration::from_secs(10);

/// How long something may take that happens by itself, so that a test ends.
const SETTLING: Duration = Duration::from_secs(120);

async fn storage(cluster: &Galera, database: &str, nodes: &[usize], deadline: Duration) -> Arc<Storage> {
    // Five attempts end at about the deadline of these tests, and what callers then see would be a matter of milliseconds.
    let config = MysqlConfig { connect_attempts: 2, ..cluster.config(database, nodes) };
    let config = mysql_config(config);
    let mut timeouts = config.timeouts;
    timeouts.operation = deadline;
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
        "{what}: {} acknowledged, failed {:?}, longest {:.2} s (machine away for {:.2} s), service back after {:.2} s {:?}",
        counts.acknowledged,
        counts.failed,
        counts.longest.as_secs_f64(),
        counts.starved.as_secs_f64(),
        back.as_secs_f64(),
        counts.examples,
    );
    assert!(!load.is_late(&counts), "{what}: an operation ended too late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_write_is_lost_whatever_happens_to_nodes() {
    const DATABASE: &str = "cofferdam_load";
    let began = Instant::now();
    let mut cluster = Galera::shared().await.unwrap();
    println!("the cluster was up after {:.1} s", began.elapsed().as_secs_f64());
    cluster.create_database(DATABASE).await.unwrap();
    let storage = storage(&cluster, DATABASE, &[0, 1, 2], DEADLINE).await;
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

    cluster.node(1).kill().unwrap();
    cluster.node(2).kill().unwrap();
    until("the last node has lost the majority", SETTLING, async || {
        cluster.state(0).await.is_ok_and(|state| state.ends_with("non-Primary"))
    })
    .await
    .unwrap();
    // What was on its way when the majority was lost ends by its deadline.
    tokio::time::sleep(DEADLINE).await;
    load.take_counts();
    tokio::time::sleep(DEADLINE).await;
    let counts = load.take_counts();
    println!("the majority is lost: {counts:?}");
    assert!(counts.acknowledged == 0 && !load.is_late(&counts));
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

/// Statements that were given up on a node may be executed when it goes on, while newer ones were answered by others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_given_up_on_one_node_undoes_nothing_that_another_answered() {
    const DATABASE: &str = "cofferdam_hasty";
    let mut cluster = Galera::shared().await.unwrap();
    cluster.create_database(DATABASE).await.unwrap();
    let storage = storage(&cluster, DATABASE, &[0, 1, 2], HASTY).await;
    let load = Load::start(&storage, HASTY);
    load.all_served(SERVICE_BACK).await;
    for round in 0..4 {
        // The node that most connections lead to, and another.
        let node = round % 2;
        cluster.node(node).pause().unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
        cluster.node(node).resume().unwrap();
        let back = load.all_served(SERVICE_BACK).await;
        report(&format!("node {node} hangs for a moment"), &load, back);
    }
    let ledger = load.stop().await;
    for node in 0..NODES {
        cluster.wait_synced(node).await.unwrap();
        ledger.check(node, &rows(&cluster, node, DATABASE).await);
    }
    storage.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_arrives_late_at_one_node_does_not_undo_a_newer_one_on_another() {
    const DATABASE: &str = "cofferdam_late";
    let mut cluster = Galera::shared().await.unwrap();
    cluster.create_database(DATABASE).await.unwrap();
    let mut administrator = cluster.administrator(0).await.unwrap();
    administrator.query_drop(format!("CREATE TABLE `{DATABASE}`.v (id INT PRIMARY KEY, a INT)")).await.unwrap();
    administrator.query_drop(format!("INSERT INTO `{DATABASE}`.v VALUES (1, 0)")).await.unwrap();
    let path = NetworkPath::to(cluster.node(0).port()).await.unwrap();
    let mut config = cluster.config(DATABASE, &[0, 1]);
    config.hosts[0].port = path.port();
    for round in 0..3_i64 {
        let pool = mysql::open(&config, &PoolConfig::default()).unwrap();
        let write = async |value: i64, patience: Duration| {
            let statement = Statement::new("UPDATE v SET a = ? WHERE id = 1", Work::Short);
            pool.execute(&statement, vec![Value::Integer(value)], Instant::now() + patience).await
        };
        let (old, new) = (2 * round + 1, 2 * round + 2);
        write(old, SETTLING).await.unwrap();
        path.hold();
        let error = write(old, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        // The node that did not answer is tried last, so that this one goes to the other.
        write(new, SETTLING).await.unwrap();
        path.release();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let found: Option<i64> =
            administrator.query_first(format!("SELECT a FROM `{DATABASE}`.v WHERE id = 1")).await.unwrap();
        assert_eq!(found, Some(new), "round {round}");
        pool.close(Instant::now() + SETTLING).await;
    }
    administrator.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hosts_on_different_nodes_start_together_and_see_each_others_writes() {
    const DATABASE: &str = "cofferdam_start";
    let cluster = Galera::shared().await.unwrap();
    cluster.create_database(DATABASE).await.unwrap();
    for round in 0..5 {
        let mut connection = cluster.administrator(0).await.unwrap();
        connection
            .query_drop(format!("DROP DATABASE `{DATABASE}`; CREATE DATABASE `{DATABASE}`; USE `{DATABASE}`"))
            .await
            .unwrap();
        if round > 0 {
            // What the original bot leaves behind, with several rows of channels without a thread.
            connection.query_drop(LEGACY).await.unwrap();
            for row in 0..60 {
                let insert = "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, \
                              updated_at) VALUES (?, ?, 1, 1, ?)";
                connection.exec_drop(insert, (format!("channel {}", row % 20), row.to_string(), row)).await.unwrap();
            }
        }
        cluster.settle().await.unwrap();
        // Named locks are each node's own: what keeps these apart is that each step can be run again from any point.
        let opening = (0..NODES).map(|node| {
            let config = cluster.config(DATABASE, &[node]);
            tokio::spawn(async move {
                let storage = Storage::builder(mysql_config(config)).clock(Arc::new(SystemClock)).build().unwrap();
                storage.initialize().await.unwrap();
                storage
            })
        });
        let opening: Vec<_> = opening.collect();
        let mut storages = Vec::new();
        for opened in opening {
            storages.push(opened.await.unwrap());
        }
        for storage in &storages {
            assert_eq!(storage.schema_version().await.unwrap(), Some(2), "round {round}");
            let states = storage.get_all_message_states().await.unwrap();
            assert_eq!(states.len(), if round > 0 { 20 } else { 0 }, "round {round}");
            for state in states {
                let newest = 40 + state.channel_id["channel ".len()..].parse::<i64>().unwrap();
                assert_eq!((state.last_message_id, state.updated_at), (newest.to_string(), newest));
            }
        }
        if round > 0 {
            let archived: Option<u32> =
                connection.query_first("SELECT COUNT(*) FROM message_states_archive").await.unwrap();
            assert_eq!(archived, Some(40), "round {round}");
        }
        connection.disconnect().await.unwrap();
        for number in 0..100 {
            let (writer, reader) = (&storages[number % NODES], &storages[(number + 1) % NODES]);
            let state = MessageState::new("shared", None, number.to_string(), 1);
            writer.upsert_message_state(&state).await.unwrap();
            let found = reader.get_message_state("shared", None).await.unwrap().map(|state| state.last_message_id);
            assert_eq!(found, Some(number.to_string()), "another node's write was not seen");
        }
        for storage in storages {
            storage.close().await.unwrap();
        }
    }
}

const LEGACY: &str = "
    CREATE TABLE schema_versions (version INT PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_versions (version) VALUES (1);
    CREATE TABLE message_states (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, channel_id VARCHAR(255) NOT NULL, thread_id VARCHAR(255) NULL,
        last_message_id VARCHAR(255) NOT NULL, last_seen_timestamp BIGINT NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, UNIQUE KEY unique_channel_thread (channel_id, thread_id),
        INDEX idx_message_states_channel_thread (channel_id, thread_id)
    ) DEFAULT CHARSET latin1;
    CREATE TABLE thread_ownerships (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, thread_id VARCHAR(255) NOT NULL UNIQUE,
        original_user_id VARCHAR(255) NOT NULL, created_by VARCHAR(255) NOT NULL, creation_time BIGINT NOT NULL,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL
    ) DEFAULT CHARSET latin1";
