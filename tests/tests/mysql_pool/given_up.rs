//! Statements that were given up, which may not be executed after what comes later; and connections that died with them.

use std::sync::Arc;
use std::time::Duration;

use cofferdam::clock::SystemClock;
use cofferdam::config::{Config, HostPort, MysqlConfig, PoolConfig};
use cofferdam::sql::{Access, ErrorKind, mysql};
use cofferdam::{MessageState, Storage, StorageService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::proxy::{Mode, Proxy};
use cofferdam_tests::harness::storage::mysql_config;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::{LIMITS, Rig, SETTLING, at_once, config, read, short, soon};

/// How often the race between a late statement and the next one is run.
const ROUNDS: usize = 40;

/// Callers that each give up a write in every round.
const CALLERS: usize = 8;

fn on(port: u16, config: MysqlConfig) -> MysqlConfig {
    MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", port)], ..config }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_a_hanging_server_executes_late_does_not_undo_a_newer_one() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = mysql_config(home.config());
    let patient = Storage::builder(config.clone()).clock(Arc::new(SystemClock)).build().unwrap();
    patient.initialize().await.unwrap();
    let mut timeouts = config.timeouts;
    timeouts.operation = Duration::from_millis(150);
    let storage = Storage::builder(Config { timeouts, ..config }).clock(Arc::new(SystemClock)).build().unwrap();
    storage.initialize().await.unwrap();
    let storage = Arc::new(storage);
    let mut given_up = 0;
    for round in 0..ROUNDS {
        let (old, new) = (format!("old {round}"), format!("new {round}"));
        all_write(&storage, &old, true).await;
        server.process().unwrap().pause().unwrap();
        given_up += all_write(&storage, &old, false).await;
        server.process().unwrap().resume().unwrap();
        all_write(&storage, &new, true).await;
        for moment in ["at once", "a little later"] {
            for caller in 0..CALLERS {
                let found = patient.get_message_state(&caller.to_string(), None).await.unwrap().unwrap();
                assert_eq!(found.last_message_id, new, "{moment}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("{given_up} writes were given up in {ROUNDS} rounds");
    assert!(given_up >= ROUNDS, "{given_up}");
    storage.close().await.unwrap();
    patient.close().await.unwrap();
}

/// Each caller writes the value; where it is to succeed, as often as that takes. Returns how many writes timed out.
async fn all_write(storage: &Arc<Storage>, value: &str, until_done: bool) -> usize {
    let writes: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (storage, value) = (Arc::clone(storage), value.to_owned());
            tokio::spawn(async move {
                let mut timed_out = 0;
                loop {
                    let state = MessageState::new(caller.to_string(), None, value.as_str(), 1);
                    match storage.upsert_message_state(&state).await {
                        Err(error) if error.kind() == cofferdam::ErrorKind::Timeout => timed_out += 1,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                        Ok(_) => return timed_out,
                    }
                    if !until_done {
                        return timed_out;
                    }
                }
            })
        })
        .collect();
    let mut timed_out = 0;
    for write in writes {
        timed_out += write.await.unwrap();
    }
    timed_out
}

#[tokio::test]
async fn a_write_that_arrives_late_is_not_executed() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let path = Proxy::start(server.process().unwrap().port()).unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let rig = Rig { pool: mysql::open(&on(path.port(), config(&home)), &PoolConfig::default()).unwrap(), home };
    rig.write("CREATE TABLE v (a INT)").await.unwrap();
    rig.write("INSERT INTO v VALUES (1)").await.unwrap();
    // By a statement of its own, by a commit, by a future that is dropped.
    for round in 0..3 {
        let update = short("UPDATE v SET a = 2");
        let mut connection = rig.lease(Access::Write).await;
        if round == 1 {
            connection.begin(soon()).await.unwrap();
            connection.execute(&update, vec![], soon()).await.unwrap();
        }
        path.hold();
        let error = match round {
            0 => connection.execute(&update, vec![], at_once()).await.unwrap_err(),
            1 => connection.commit(at_once()).await.unwrap_err(),
            _ => {
                let write = connection.execute(&update, vec![], soon());
                let cancelled = tokio::time::timeout(Duration::from_millis(50), write).await;
                assert!(cancelled.is_err());
                cofferdam::sql::SqlError::timeout("waiting")
            }
        };
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        drop(connection);
        rig.write("UPDATE v SET a = 3").await.unwrap();
        path.switch(Mode::Pass);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(rig.integer("SELECT a FROM v").await, 3, "round {round}");
    }
}

#[tokio::test]
async fn only_sessions_of_ones_own_that_are_still_there_are_ended() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let rig = Rig::on(&server, PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    let statement = short("INSERT INTO t (b) SELECT SLEEP(60)");
    connection.execute(&statement, vec![], at_once()).await.unwrap_err();
    server.process().unwrap().kill().unwrap();
    server.process().unwrap().start_again().await.unwrap();
    // Numbers begin anew: these have those that the given up connection and others had.
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(rig.home.connect().await.unwrap());
    }
    rig.write("INSERT INTO t (b) VALUES ('x')").await.unwrap();
    for mut other in others {
        assert_eq!(other.query_first::<u32, _>("SELECT 1").await.unwrap(), Some(1));
        other.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_waits_until_what_was_given_up_is_rolled_back() {
    let server = MysqlServer::start(&[]).await.unwrap();
    let rig = Rig::on(&server, PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    connection.execute(&short("INSERT INTO t (b) SELECT SLEEP(60)"), vec![], at_once()).await.unwrap_err();
    drop(connection);
    assert_eq!(rig.count().await, 0);
    let mut administrator = server.administrator().await.unwrap();
    let left =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%' AND info LIKE 'INSERT%'";
    assert_eq!(administrator.query_first::<u32, _>(left).await.unwrap(), Some(0));
    administrator.disconnect().await.unwrap();
}

#[tokio::test]
async fn after_one_connection_died_the_idle_ones_cost_nobody_a_deadline() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let path = Proxy::start(server.process().unwrap().port()).unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let pool = mysql::open(&on(path.port(), config(&home)), &PoolConfig::default()).unwrap();
    let mut leases = Vec::new();
    for _ in 0..5 {
        let mut lease = pool.acquire(Access::Write, soon()).await.unwrap();
        lease.query(&short("SELECT 1"), vec![], LIMITS, soon()).await.unwrap();
        leases.push(lease);
    }
    let mut out = pool.acquire(Access::Write, soon()).await.unwrap();
    out.query(&short("SELECT 1"), vec![], LIMITS, soon()).await.unwrap();
    drop(leases);
    assert_eq!(pool.status().idle, 5);
    path.hold();
    let error = pool.query(Access::Read, &short("SELECT 1"), vec![], LIMITS, at_once()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(pool.status().idle, 0);
    // One that was out is not kept either, unless it has answered since.
    drop(out);
    assert_eq!(pool.status().idle, 0);
    for _ in 0..5 {
        read(&*pool, "SELECT 1").await.unwrap();
    }
    assert_eq!((pool.status().open, pool.status().idle), (1, 1), "one new connection was enough");
}

#[tokio::test]
async fn a_password_file_is_read_again_for_each_new_connection() {
    let server = MysqlServer::start(&[]).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let mut administrator = server.administrator().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let right = home.config().password.expose().to_owned();
    std::fs::write(&file, format!("{right}\n")).unwrap();
    let with_file = MysqlConfig { password_file: Some(file.clone()), connect_attempts: 1_000_000, ..config(&home) };
    // Keeps no connection, so that each read opens one.
    let pool = mysql::open(&with_file, &PoolConfig { lifetime: Duration::ZERO, ..PoolConfig::default() }).unwrap();
    let user = &with_file.username;
    let mut change = async |password: &str| {
        let text = format!("SET PASSWORD FOR '{user}'@'%' = PASSWORD('{password}')");
        administrator.query_drop(text).await.unwrap();
    };
    read(&*pool, "SELECT 1").await.unwrap();
    change("second").await;
    let began = Instant::now();
    let error = read(&*pool, "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::PermissionDenied, Some("1045")), "{error}");
    assert!(began.elapsed() < SETTLING / 2, "a wrong password was tried again");
    std::fs::write(&file, "second").unwrap();
    read(&*pool, "SELECT 1").await.unwrap();
    // While it is being replaced the last one counts.
    std::fs::remove_file(&file).unwrap();
    read(&*pool, "SELECT 1").await.unwrap();
    std::fs::write(&file, "wrong").unwrap();
    read(&*pool, "SELECT 1").await.unwrap_err();
    change("wrong").await;
    until("the next operation works", SETTLING, async || read(&*pool, "SELECT 1").await.is_ok()).await.unwrap();
}
