//! A bot on a Galera cluster of three real nodes: the faults of `cargo xtask faults` in their shortened form, and what else
//! several nodes can do to a write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::{MysqlConfig, PoolConfig};
use cofferdam::sql::{self, Statement, Value, Work, mysql};
use cofferdam::{ErrorKind, MessageState, Storage, StorageService};
use cofferdam_tests::faults::load::{Load, LoadOptions};
use cofferdam_tests::faults::verdict::{Expected, Verdict};
use cofferdam_tests::faults::{FAULTS, Fault, Run, galera};
use cofferdam_tests::harness::command::{on_mysql, run};
use cofferdam_tests::harness::galera::{Galera, NODES};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::proxy::{Mode, Proxy};
use cofferdam_tests::harness::storage::{Home, mysql_config};
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

/// Shorter than the cluster takes to shut a node out.
const HASTY: Duration = Duration::from_millis(500);

/// How long something may take that happens by itself, so that a test ends.
const SETTLING: Duration = Duration::from_secs(120);

/// A storage that repeats nothing and keeps on asking.
async fn hasty(cluster: &Galera, database: &str) -> Arc<dyn StorageService> {
    let config = MysqlConfig { connect_attempts: 2, ..cluster.config(database, &[0, 1, 2]) };
    let mut config = mysql_config(config);
    config.timeouts.operation = HASTY;
    let storage = Storage::builder(config).clock(Arc::new(SystemClock)).build().unwrap();
    storage.initialize().await.unwrap();
    Arc::new(storage)
}

async fn provoke(name: &str) -> Result<()> {
    let verdict =
        Fault::named(name).with_context(|| format!("there is no fault {name}"))?.provoke(Run::short()?).await?;
    println!("{}\n{}", verdict.sentence(), verdict.notes.join("\n"));
    ensure!(verdict.is_kept(), "{}", verdict.broken.join("\n"));
    Ok(())
}

macro_rules! faults {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() -> Result<()> {
                provoke($name).await
            }
        )*

        #[test]
        fn every_fault_has_a_test() {
            let tested = [$($name.trim_end_matches("+spool")),*];
            let names = FAULTS.iter().map(|fault| fault.name).filter(|name| name.starts_with("galera/"));
            let untested: Vec<_> = names.filter(|name| !tested.contains(&name.trim_end_matches("+spool"))).collect();
            assert!(untested.is_empty(), "{untested:?}");
        }
    };
}

// A cluster takes ten seconds for each: without a spool or with one, and `cargo xtask faults` has both.
faults! {
    node_killed: "galera/node-killed",
    node_hung: "galera/node-hung+spool",
    quorum_lost: "galera/quorum-lost+spool",
}

/// Statements that were given up on a node may be executed when it goes on, while newer ones were answered by others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_given_up_on_one_node_undoes_nothing_that_another_answered() {
    const DATABASE: &str = "cofferdam_hasty";
    let mut cluster = Galera::shared().await.unwrap();
    cluster.create_database(DATABASE).await.unwrap();
    let storage = hasty(&cluster, DATABASE).await;
    let load = Load::start(&storage, &LoadOptions::new(HASTY));
    load.warm().await.unwrap();
    for round in 0..4 {
        // The node that most connections lead to, and another.
        let node = round % 2;
        cluster.node(node).pause().unwrap();
        tokio::time::sleep(Duration::from_millis(900)).await;
        cluster.node(node).resume().unwrap();
        let before = load.ledger().tally().acknowledged;
        until("callers are served again", SETTLING, async || {
            load.ledger().tally().acknowledged > before + load.ledger().rows().len() as u64
        })
        .await
        .unwrap();
    }
    let ledger = load.stop().await.unwrap();
    let expected = Expected::errors(&[ErrorKind::Unavailable, ErrorKind::Timeout]);
    cluster.wait_whole().await.unwrap();
    for node in 0..NODES {
        let found = galera::look(&cluster, node, DATABASE).await.unwrap();
        let verdict = Verdict::of(&format!("node {node}"), &expected, &ledger, None, &found);
        println!("{}", verdict.sentence());
        assert!(verdict.is_kept(), "{}", verdict.broken.join("\n"));
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
    let path = Proxy::start(cluster.node(0).port()).unwrap();
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
        assert_eq!(error.kind, sql::ErrorKind::Timeout, "{error}");
        // The node that did not answer is tried last, so that this one goes to the other.
        write(new, SETTLING).await.unwrap();
        path.switch(Mode::Pass);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let found: Option<i64> =
            administrator.query_first(format!("SELECT a FROM `{DATABASE}`.v WHERE id = 1")).await.unwrap();
        assert_eq!(found, Some(new), "round {round}");
        pool.close(Instant::now() + SETTLING).await;
    }
    administrator.disconnect().await.unwrap();
}

/// The indexes that a run into another server leaves for its end: all nodes would stand still while they are created.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_leaves_the_indexes_of_a_cluster_alone() -> Result<()> {
    const DATABASE: &str = "cofferdam_moved";
    let (cluster, from, folder) = (Galera::shared().await?, Home::sqlite()?, tempfile::tempdir()?);
    cluster.create_database(DATABASE).await?;
    from.open().await?.close().await?;
    let Home::Sqlite(file) = &from else { unreachable!("it is a file") };
    rusqlite::Connection::open(file.database())?.execute_batch(
        "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
         VALUES (hex(zeroblob(128)), 'too long a channel', 1, 1, 1); \
         INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) \
         SELECT printf('channel %05d', i), 'message', i, 1, 1 FROM n",
    )?;
    let config = cluster.config(DATABASE, &[0]);
    let to = format!("mysql://{}@{}/{DATABASE}", config.username, config.hosts[0]);
    let migrate = |more: &[&str]| {
        let mut command = on_mysql(&config, &["migrate", "--execute", "--from", &from.spec(), "--to", &to]);
        let plugins = Path::new(plugins::SQLITE).parent().expect("components lie in a folder");
        command.args(more).current_dir(folder.path()).env("COFFERDAM_PLUGINS", plugins);
        run(&mut command, 6);
    };
    let mut connection = cluster.administrator(0).await?;
    // Stopped before its first page, and then at its end.
    for more in [&["--stop-on-reject"][..], &[]] {
        migrate(more);
        let indexes: Vec<String> = connection
            .exec(
                "SELECT DISTINCT index_name FROM information_schema.statistics \
                 WHERE table_schema = ? AND index_name LIKE 'idx%' ORDER BY index_name",
                (DATABASE,),
            )
            .await?;
        assert_eq!(indexes, ["idx_message_states_timestamp", "idx_thread_ownerships_creation_time"]);
    }
    connection.disconnect().await?;
    Ok(())
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
