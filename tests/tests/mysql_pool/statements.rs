//! What statements give and return, and the sessions that they run in.

use std::sync::Arc;

use cofferdam::config::PoolConfig;
use cofferdam::sql::{Access, Engine, ErrorKind, Value};
use cofferdam_tests::harness::mysql::MysqlServer;
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;

use crate::{LIMITS, Rig, SETTLING, short, soon};

#[tokio::test]
async fn a_pool_says_which_server_is_behind_it() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let mut other = rig.home.connect().await.unwrap();
    let version: Option<String> = other.query_first("SELECT VERSION()").await.unwrap();
    other.disconnect().await.unwrap();
    let server = rig.pool.server(soon()).await.unwrap();
    assert_eq!((server.engine, Some(server.version)), (Engine::Mysql, version));
}

#[tokio::test]
async fn values_come_back_as_they_were_given() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let types = "CREATE TABLE v (a BIGINT, b DOUBLE, c TEXT CHARACTER SET utf8mb4, d BLOB, e INT, f DECIMAL(10,2), \
                 g DATETIME, h BIGINT UNSIGNED, i FLOAT)";
    rig.write(types).await.unwrap();
    let given = vec![
        Value::Integer(i64::MIN),
        Value::Real(1.5),
        Value::Text("é\u{1f600}".to_owned()),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    let insert = short("INSERT INTO v VALUES (?, ?, ?, ?, ?, 1.50, '2026-01-02 03:04:05', 18446744073709551615, 0.5)");
    assert_eq!(rig.lease(Access::Write).await.execute(&insert, given.clone(), soon()).await, Ok(1));
    let rows = rig.read("SELECT a, b, c, d, e, f, g, i FROM v").await.unwrap();
    let found = [
        given.as_slice(),
        &[Value::Text("1.50".to_owned()), Value::Text("2026-01-02 03:04:05".to_owned()), Value::Real(0.5)],
    ];
    assert_eq!(rows.values(), [found.concat()]);
    assert_eq!(rig.read("SELECT h FROM v").await.unwrap_err().kind, ErrorKind::CorruptData);
}

#[tokio::test]
async fn a_session_means_the_same_on_every_server() {
    let rig = Rig::shared(PoolConfig::default()).await;
    // MySQL 8 knows the new name alone, MariaDB before 11.1 the old one.
    let is_mariadb = rig.pool.server(soon()).await.unwrap().version.contains("MariaDB");
    let isolation = if is_mariadb { "tx_isolation" } else { "transaction_isolation" };
    let session = format!("SELECT @@{isolation}, @@time_zone, @@character_set_client, @@sql_mode");
    let values = rig.read(&session).await.unwrap().text;
    assert_eq!(values, "READ-COMMITTED+00:00utf8mb4STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION");
}

#[tokio::test]
async fn a_statement_that_fails_leaves_the_connection_as_it_was() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    let id = short("SELECT CONNECTION_ID()");
    let before = connection.query(&id, vec![], LIMITS, soon()).await.unwrap().values();
    let error = connection.query(&short("SELECT 1"), vec![Value::Null], LIMITS, soon()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidStatement, "{error}");
    let error = connection.execute(&short("DELETE FROM missing"), vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::InvalidStatement, Some("1146")));
    let twice = short("INSERT INTO t (b) VALUES ('secret'), ('secret')");
    let error = connection.execute(&twice, vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.sqlstate.as_deref()), (ErrorKind::Constraint, Some("23000")));
    assert!(!error.message.contains("secret"), "{error}");
    assert_eq!(connection.query(&id, vec![], LIMITS, soon()).await.unwrap().values(), before);
}

#[tokio::test]
async fn a_result_beyond_the_limits_is_refused_and_closes_the_connection() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    let million = short(
        "WITH n AS (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
                    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)
         SELECT n1.i FROM n AS n1, n AS n2, n AS n3, n AS n4, n AS n5, n AS n6",
    );
    let error = connection.query(&million, vec![], LIMITS, soon()).await.unwrap_err();
    assert_eq!((error.kind, rig.pool.status().open), (ErrorKind::Other, 0), "{error}");
}

#[tokio::test]
async fn a_lease_for_reading_refuses_to_write() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Read).await;
    let error = connection.execute(&short("INSERT INTO t (b) VALUES ('y')"), vec![], soon()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_writes_of_64_tasks_that_deadlock_all_succeed() {
    let rig = Arc::new(Rig::shared(PoolConfig { max_open: 4, max_idle: 3, ..PoolConfig::default() }).await);
    let tasks: Vec<_> = (0..64)
        .map(|i| {
            let rig = Arc::clone(&rig);
            let text = format!("INSERT INTO t (b) VALUES ('{}') ON DUPLICATE KEY UPDATE b = VALUES(b)", i % 8);
            tokio::spawn(async move { rig.write(&text).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(rig.count().await, 8);
}

#[tokio::test]
async fn a_lock_is_waited_for_and_a_lost_transaction_is_not_continued() {
    let server = MysqlServer::start(&["--innodb-lock-wait-timeout=1".to_owned()]).await.unwrap();
    let rig = Arc::new(Rig::on(&server, PoolConfig::default()).await);
    rig.write("INSERT INTO t (b) VALUES ('x'), ('y')").await.unwrap();
    let mut holder = rig.lease(Access::Write).await;
    holder.begin(soon()).await.unwrap();
    holder.execute(&short("UPDATE t SET b = 'z' WHERE a = 1"), vec![], soon()).await.unwrap();

    let mut loser = rig.lease(Access::Write).await;
    loser.begin(soon()).await.unwrap();
    let error = loser.execute(&short("UPDATE t SET b = 'w' WHERE a = 1"), vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Conflict, Some("1205")));
    let insert = short("INSERT INTO t (b) VALUES ('v')");
    assert_eq!(loser.execute(&insert, vec![], soon()).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(loser.commit(soon()).await.unwrap_err().kind, ErrorKind::Conflict);

    // Outside a transaction the wait goes on beyond the server's: until it has begun a second time.
    let mut administrator = server.administrator().await.unwrap();
    let mut waits = async || -> u64 {
        let row = administrator.query_first("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'").await.unwrap();
        let (_, number): (String, u64) = row.unwrap();
        number
    };
    let before = waits().await;
    let waiter = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.write("UPDATE t SET b = 'w' WHERE a = 1").await }
    });
    until("a second wait", SETTLING, async || waits().await >= before + 2).await.unwrap();
    holder.commit(soon()).await.unwrap();
    assert_eq!(waiter.await.unwrap(), Ok(1));
}
