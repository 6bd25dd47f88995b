//! Errors of servers and files have the kind that a caller needs, and the server's own words.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::{Config, HostPort};
use cofferdam::resilience::spool::inspect;
use cofferdam::{ErrorKind, MessageState, ResilientStorage, Storage, StorageService, ThreadOwnership, Written};
use cofferdam_tests::harness::command::{on_mysql, run};
use cofferdam_tests::harness::forbidding::{Forbidden, ForbiddingProxy};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{mysql_config, mysql_storage, spool_in, sqlite_storage};
use cofferdam_tests::harness::wait::{SOON, until};
use mysql_async::prelude::Queryable;
use tokio::sync::Barrier;

fn state(channel: &str, message: &str) -> MessageState {
    MessageState::new(channel, None, message, 1)
}

/// A server of one's own, and a database on it.
async fn server(arguments: &[&str]) -> Result<(MysqlServer, MysqlDatabase)> {
    let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let server = MysqlServer::start(&arguments).await?;
    let database = server.create_database(DatabaseOptions::default()).await?;
    Ok((server, database))
}

async fn administer(server: &MysqlServer, database: &MysqlDatabase, statements: &[&str]) -> Result<()> {
    let mut connection = server.administrator().await?;
    connection.query_drop(format!("USE `{}`", database.config().database)).await?;
    for statement in statements {
        connection.query_drop(*statement).await.with_context(|| (*statement).to_owned())?;
    }
    Ok(connection.disconnect().await?)
}

async fn opened(database: &MysqlDatabase) -> Result<Storage> {
    let storage = mysql_storage(database.config(), Arc::new(SystemClock))?;
    storage.initialize().await?;
    Ok(storage)
}

fn assert_refusal(error: &cofferdam::Error, kind: ErrorKind, code: &str, words: &str) {
    assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{error}");
    assert!(error.message().contains(words), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_of_somebodys_own_refuses_in_the_servers_words() -> Result<()> {
    let (server, database) = server(&[]).await?;
    let storage = opened(&database).await?;
    let old = ThreadOwnership::new("t", "user", "bot", 5);
    storage.upsert_thread_ownership(&old).await?;
    administer(
        &server,
        &database,
        &[
            "CREATE TABLE notes (thread_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, \
             FOREIGN KEY (thread_id) REFERENCES thread_ownerships (thread_id))",
            "INSERT INTO notes VALUES ('t')",
        ],
    )
    .await?;
    let error = storage.cleanup_old_thread_ownerships(Duration::from_secs(60)).await.unwrap_err();
    assert_refusal(&error, ErrorKind::Refused, "1451", "foreign key constraint fails");
    assert!(error.message().contains("a foreign key of another table"), "{error}");
    assert!(storage.get_thread_ownership("t").await?.is_some());
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_and_a_trigger_of_somebodys_own_refuse_a_row() -> Result<()> {
    let (server, database) = server(&[]).await?;
    let storage = opened(&database).await?;
    let check = "ALTER TABLE message_states ADD CONSTRAINT digits CHECK (channel_id NOT LIKE 'x%')";
    administer(&server, &database, &[check]).await?;
    let error = storage.upsert_message_state(&state("x", "1")).await.unwrap_err();
    assert_refusal(&error, ErrorKind::Refused, "4025", "digits");
    storage.upsert_message_state(&state("y", "1")).await?;
    let trigger = "CREATE TRIGGER closed BEFORE INSERT ON thread_ownerships FOR EACH ROW SIGNAL SQLSTATE '45000' \
                   SET MESSAGE_TEXT = 'closed for maintenance'";
    administer(&server, &database, &[trigger]).await?;
    let error = storage.upsert_thread_ownership(&ThreadOwnership::new("t", "u", "b", 1)).await.unwrap_err();
    assert_refusal(&error, ErrorKind::Refused, "1644", "closed for maintenance");
    storage.close().await?;

    let folder = SqliteFolder::new()?;
    let storage = sqlite_storage(&folder.database(), Arc::new(SystemClock))?;
    storage.initialize().await?;
    rusqlite::Connection::open(folder.database())?.execute_batch(
        "CREATE TRIGGER closed BEFORE INSERT ON message_states WHEN new.channel_id = 'x' \
         BEGIN SELECT raise(ABORT, 'closed for maintenance'); END",
    )?;
    let error = storage.upsert_message_state(&state("x", "1")).await.unwrap_err();
    assert_refusal(&error, ErrorKind::Refused, "SQLITE_CONSTRAINT_TRIGGER", "closed for maintenance");
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_prepared_statements_is_away_for_now() -> Result<()> {
    let (server, database) = server(&[]).await?;
    let folder = SqliteFolder::new()?;
    let mut config = mysql_config(database.config());
    config.timeouts.operation = SOON;
    let storage = Storage::builder(config.clone()).build()?;
    storage.initialize().await?;
    config.resilience.spool = Some(spool_in(&folder));
    config.resilience.breaker.probe_interval = Duration::from_millis(100);
    let spooling = ResilientStorage::builder(config).build()?;
    spooling.initialize().await?;
    administer(&server, &database, &["SET GLOBAL max_prepared_stmt_count = 0"]).await?;
    let error = storage.upsert_message_state(&state("a", "1")).await.unwrap_err();
    assert_refusal(&error, ErrorKind::Unavailable, "1461", "max_prepared_stmt_count");
    assert_eq!(spooling.upsert_message_state(&state("b", "1")).await?, Written::Spooled);
    administer(&server, &database, &["SET GLOBAL max_prepared_stmt_count = 1000"]).await?;
    until("the spool is empty", SOON, async || depth(&spooling) == 0).await?;
    assert_eq!(storage.get_message_state("b", None).await?.map(|row| row.last_message_id).as_deref(), Some("1"));
    spooling.close().await?;
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_called_so_is_the_environments_mistake() -> Result<()> {
    let (_server, database) = server(&[]).await?;
    let mut config = database.config();
    config.database = format!("{} ", config.database);
    let error = opened_error(mysql_config(config)).await?;
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.code().is_some_and(|code| ["1044", "1049", "1102"].contains(&code)), "{error}");
    Ok(())
}

async fn opened_error(config: Config) -> Result<cofferdam::Error> {
    let storage = Storage::builder(config).build()?;
    storage.initialize().await.err().context("it was opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_the_servers_words() -> Result<()> {
    let (server, database) = server(&[]).await?;
    let storage = opened(&database).await?;
    administer(&server, &database, &["DROP TABLE thread_ownerships"]).await?;
    let error = storage.get_thread_ownership("t").await.unwrap_err();
    assert_refusal(&error, ErrorKind::SchemaMismatch, "1146", "thread_ownerships' doesn't exist");
    assert!(error.message().contains("; the database says: "), "{error}");
    Ok(storage.close().await?)
}

/// How many hosts start together.
const HOSTS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn hosts_upgrade_once_where_the_server_has_no_named_locks() -> Result<()> {
    let (server, _) = server(&["--general-log=ON", "--log-output=TABLE"]).await?;
    for (code, sqlstate, message) in [
        (1105, "HY000", "Percona-XtraDB-Cluster prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING"),
        (1235, "42000", "This version of MariaDB doesn't yet support 'GET_LOCK in cluster (WSREP_ON=ON)'"),
        (1305, "42000", "FUNCTION d.GET_LOCK does not exist"),
        (1149, "42000", "You have an error in your SQL syntax"),
    ] {
        let database = server.create_database(DatabaseOptions::default()).await?;
        let forbidden = Forbidden { word: "GET_LOCK", code, sqlstate, message };
        let mut config = database.config();
        let proxy = ForbiddingProxy::start(config.hosts[0].port, forbidden).await?;
        config.hosts = vec![HostPort::new("127.0.0.1", proxy.port())];
        let start = Arc::new(Barrier::new(HOSTS));
        let mut hosts = Vec::new();
        for host in 0..HOSTS {
            let storage = mysql_storage(config.clone(), Arc::new(SystemClock))?;
            let start = start.clone();
            hosts.push(tokio::spawn(async move {
                start.wait().await;
                storage.initialize().await?;
                storage.upsert_message_state(&state("all", &format!("host {host}"))).await?;
                storage.close().await
            }));
        }
        for host in hosts {
            host.await?.with_context(|| format!("a host that started where GET_LOCK is {code}"))?;
        }
        ensure!(proxy.refusals() > 0, "nobody asked for a named lock");
        let mut connection = server.administrator().await?;
        for change in ["CREATE UNIQUE INDEX uq_message_states_channel", "CREATE INDEX idx_message_states_timestamp"] {
            let ran: Option<u64> = connection
                .exec_first(
                    "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Execute' AND argument LIKE ?",
                    (format!("{change}%"),),
                )
                .await?;
            ensure!(ran.is_some_and(|ran| ran <= 1), "{change} ran {ran:?} times where GET_LOCK is {code}");
            if change.contains("UNIQUE") {
                ensure!(ran == Some(1), "{change} was not seen in the server's log");
            }
        }
        connection.query_drop("TRUNCATE mysql.general_log").await?;
        connection.disconnect().await?;
    }
    Ok(())
}

fn depth(storage: &ResilientStorage) -> usize {
    storage.status().spool.map_or(0, |spool| spool.depth)
}

fn rejected(storage: &ResilientStorage) -> usize {
    storage.status().spool.map_or(0, |spool| spool.rejected)
}

/// A host that has ended with writes in its spool, accepted while the server was away, which is there again.
struct Outage {
    server: MysqlServer,
    database: MysqlDatabase,
    folder: SqliteFolder,
    storage: ResilientStorage,
}

impl Outage {
    async fn with(stored: &[&str], spooled: &[&str]) -> Result<Self> {
        let (server, database) = server(&[]).await?;
        let folder = SqliteFolder::new()?;
        let mut config = mysql_config(database.config());
        if let cofferdam::config::DatabaseConfig::Mysql(mysql) = &mut config.database {
            mysql.connect_attempts = 1;
        }
        // The server refuses at once, and the spool waits for the disk.
        config.timeouts.operation = SOON;
        config.resilience.spool = Some(spool_in(&folder));
        config.resilience.breaker.failures = 2;
        config.resilience.breaker.probe_interval = Duration::from_millis(100);
        config.resilience.retry.attempts = 2;
        let storage = ResilientStorage::builder(config).build()?;
        storage.initialize().await?;
        for channel in stored {
            storage.upsert_message_state(&state(channel, "stored")).await?;
        }
        let mut outage = Self { server, database, folder, storage };
        outage.server.process().context("a server of one's own")?.kill()?;
        for channel in spooled {
            assert_eq!(outage.storage.upsert_message_state(&state(channel, "spooled")).await?, Written::Spooled);
        }
        outage.storage.close().await?;
        outage.server.process().context("a server of one's own")?.start_again().await?;
        Ok(outage)
    }

    async fn administer(&self, statements: &[&str]) -> Result<()> {
        administer(&self.server, &self.database, statements).await
    }

    /// Starts the host again.
    async fn goes_on(&self) -> Result<()> {
        Ok(self.storage.initialize().await?)
    }

    async fn message(&self, channel: &str) -> Result<Option<String>> {
        let mut connection = self.database.connect().await?;
        let query = "SELECT last_message_id FROM message_states WHERE channel_id = ? AND thread_id IS NULL";
        let message = connection.exec_first(query, (channel,)).await?;
        connection.disconnect().await?;
        Ok(message)
    }
}

/// Refuses what was spooled of every row whose channel matches, until it is dropped.
fn refuse(pattern: &str) -> String {
    format!(
        "ALTER TABLE message_states ADD CONSTRAINT refusal CHECK (last_message_id <> 'spooled' OR channel_id NOT LIKE \
         '{pattern}')"
    )
}

const ACCEPT: &str = "ALTER TABLE message_states DROP CONSTRAINT refusal";

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_whole_server_costs_no_write_of_the_spool() -> Result<()> {
    let channels: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
    let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
    let outage = Outage::with(&["c0", "c1"], &channels).await?;
    outage.administer(&[&refuse("%")]).await?;
    outage.goes_on().await?;
    until("replay meets the refusal", SOON, async || {
        outage.storage.status().last_error.is_some_and(|last| last.error.kind() == ErrorKind::Refused)
    })
    .await?;
    // Long enough for several tries.
    let before = outage.storage.status();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spool = outage.storage.status().spool.context("a spool")?;
    assert_eq!((spool.depth, spool.rejected, spool.replayed), (30, 0, 0), "{before:?}");
    let error = outage.storage.status().last_error.context("an error")?.error;
    assert_refusal(&error, ErrorKind::Refused, "4025", "the database accepts no other row at the moment");
    outage.administer(&[ACCEPT]).await?;
    until("the spool is empty", SOON, async || depth(&outage.storage) == 0).await?;
    assert_eq!(rejected(&outage.storage), 0);
    for channel in channels {
        assert_eq!(outage.message(channel).await?.as_deref(), Some("spooled"), "{channel}");
    }
    Ok(outage.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_while_others_go_through_is_put_aside_and_can_be_tried_again() -> Result<()> {
    let outage = Outage::with(&["bad1"], &["a", "bad1", "b", "bad2", "bad3", "c"]).await?;
    outage.administer(&[&refuse("bad%")]).await?;
    outage.goes_on().await?;
    until("the spool is empty", SOON, async || depth(&outage.storage) == 0).await?;
    assert_eq!(rejected(&outage.storage), 3);
    for channel in ["a", "b", "c"] {
        assert_eq!(outage.message(channel).await?.as_deref(), Some("spooled"), "{channel}");
    }
    // A later write of the same row is what counts.
    assert_eq!(outage.storage.upsert_message_state(&state("bad2", "later")).await?, Written::Stored(()));
    assert_eq!(rejected(&outage.storage), 2);
    outage.storage.close().await?;

    let spool = outage.folder.path().join("spool");
    let reasons: Vec<_> = inspect(&spool)?.rejected.into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("refusal")), "{reasons:?}");
    let command = |arguments: &[&str]| {
        let mut command = on_mysql(&outage.database.config(), arguments);
        command.env("COFFERDAM_SPOOL", &spool);
        command
    };
    let (text, _) = run(&mut command(&["spool", "status"]), 0);
    assert!(text.contains("rejected  2") && text.contains("refusal"), "{text}");
    let (text, _) = run(&mut command(&["spool", "status", "--json"]), 0);
    let status: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(status["refusals"].as_array().map(Vec::len), Some(2), "{status}");
    // Without the option they stay where they are.
    let (text, _) = run(&mut command(&["spool", "replay"]), 0);
    assert!(text.starts_with("0 stored"), "{text}");
    outage.administer(&[ACCEPT]).await?;
    let (text, _) = run(&mut command(&["spool", "replay", "--refused", "--json"]), 0);
    let replayed: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!((&replayed["stored"], &replayed["rejected"], &replayed["waiting"]), (&2.into(), &0.into(), &0.into()));
    assert_eq!(outage.message("bad1").await?.as_deref(), Some("spooled"));
    assert_eq!(outage.message("bad2").await?.as_deref(), Some("later"));
    assert_eq!(outage.message("bad3").await?.as_deref(), Some("spooled"));
    assert!(inspect(&spool)?.rejected.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_again_stays_refused_and_the_command_says_so() -> Result<()> {
    let outage = Outage::with(&[], &["a", "bad"]).await?;
    outage.administer(&[&refuse("bad%")]).await?;
    outage.goes_on().await?;
    until("the spool is empty", SOON, async || depth(&outage.storage) == 0).await?;
    assert_eq!(rejected(&outage.storage), 1);
    outage.storage.close().await?;
    // A row that has rested is the witness now.
    outage.administer(&["UPDATE message_states SET updated_at = updated_at - 3600"]).await?;
    let mut command = on_mysql(&outage.database.config(), &["spool", "replay", "--refused"]);
    let (text, stderr) = run(command.env("COFFERDAM_SPOOL", outage.folder.path().join("spool")), 1);
    assert!(text.contains("1 refused, 0 waiting") && stderr.contains("spool replay --refused"), "{text}{stderr}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_row_that_is_refused_waits_for_a_witness() -> Result<()> {
    let outage = Outage::with(&[], &["bad"]).await?;
    outage.administer(&[&refuse("bad%")]).await?;
    outage.goes_on().await?;
    until("replay meets the refusal", SOON, async || {
        outage.storage.status().last_error.is_some_and(|last| last.error.kind() == ErrorKind::Refused)
    })
    .await?;
    assert_eq!((depth(&outage.storage), rejected(&outage.storage)), (1, 0));
    // What somebody else has written, some time ago.
    outage
        .administer(&[
            "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
                       VALUES ('other', 'm', 1, 1, 1)",
        ])
        .await?;
    until("the row is put aside", SOON, async || rejected(&outage.storage) == 1).await?;
    assert_eq!((depth(&outage.storage), outage.message("other").await?.as_deref()), (0, Some("m")));
    Ok(outage.storage.close().await?)
}
