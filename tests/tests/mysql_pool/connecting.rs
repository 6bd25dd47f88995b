//! Servers that refuse, hang, or close connections.

use std::collections::HashSet;
use std::path::PathBuf;

use cofferdam::config::{MysqlConfig, PoolConfig, Secret};
use cofferdam::sql::{Access, ErrorKind, mysql};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::wait::until;
use mysql_async::prelude::Queryable;

use crate::{LIMITS, Rig, SETTLING, at_once, config, read, short, soon};

#[tokio::test]
async fn a_statement_that_hangs_costs_its_deadline_and_its_socket() {
    let server = MysqlServer::start(&[]).await.unwrap();
    let rig = Rig::on(&server, PoolConfig::default()).await;
    let mut connection = rig.lease(Access::Write).await;
    assert_eq!(sockets(&rig), 1);
    let error = connection.query(&short("SELECT SLEEP(60)"), vec![], LIMITS, at_once()).await.unwrap_err();
    assert_eq!((error.kind, rig.pool.status().open), (ErrorKind::Timeout, 0), "{error}");
    assert_eq!(sockets(&rig), 0);
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_deadline_and_its_socket() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let rig = Rig::on(&server, PoolConfig::default()).await;
    let mut idle = rig.lease(Access::Write).await;
    assert_eq!(sockets(&rig), 1);
    server.process().unwrap().pause().unwrap();
    let error = idle.query(&short("SELECT 1"), vec![], LIMITS, at_once()).await.unwrap_err();
    assert_eq!((error.kind, rig.pool.status().open), (ErrorKind::Timeout, 0), "{error}");
    assert_eq!(sockets(&rig), 0);
    let Err(error) = rig.pool.acquire(Access::Read, at_once()).await else { panic!("a connection") };
    assert_eq!((error.kind, sockets(&rig)), (ErrorKind::Timeout, 0), "{error}");
    server.process().unwrap().resume().unwrap();
    assert_eq!(rig.integer("SELECT 1").await, 1);
}

/// How many TCP connections to the server this process holds. Its own descriptors decide: between fork and exec, a child
/// that another test starts has copies of them, which keep a socket in the table after it was closed here.
fn sockets(rig: &Rig) -> usize {
    let port = format!(":{:04X}", rig.home.config().hosts[0].port);
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let open = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_open = fields[2].ends_with(&port) && fields[3] == "01";
        is_open.then(|| PathBuf::from(format!("socket:[{}]", fields[9])))
    });
    let open: HashSet<_> = open.collect();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|to| open.contains(&to)))
        .count()
}

#[tokio::test]
async fn connections_that_died_while_idle_are_replaced_where_nothing_can_be_done_twice() {
    let rig = Rig::shared(PoolConfig::default()).await;
    const ID: &str = "SELECT CONNECTION_ID()";
    let id = rig.integer(ID).await;
    kill(&rig, id).await;
    let again = rig.integer(ID).await;
    assert_ne!(again, id);
    kill(&rig, again).await;
    let error = rig.write("INSERT INTO t (b) VALUES ('x')").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    kill(&rig, rig.integer(ID).await).await;
    let mut connection = rig.lease(Access::Write).await;
    connection.begin(soon()).await.unwrap();
    connection.commit(soon()).await.unwrap();
}

/// Has the server close a connection, and waits until it is gone.
async fn kill(rig: &Rig, id: i64) {
    let mut other = rig.home.connect().await.unwrap();
    other.query_drop(format!("KILL {id}")).await.unwrap();
    let gone = async || {
        let left: Option<i64> =
            other.exec_first("SELECT id FROM information_schema.processlist WHERE id = ?", (id,)).await.unwrap();
        left.is_none()
    };
    until("the connection is gone", SETTLING, gone).await.unwrap();
    other.disconnect().await.unwrap();
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_reported_at_once() {
    let rig = Rig::shared(PoolConfig::default()).await;
    let right = config(&rig.home);
    for (wrong, code) in [
        (MysqlConfig { password: Secret::new("wrong-secret"), ..right.clone() }, "1045"),
        (MysqlConfig { database: "cofferdam_missing".to_owned(), ..right.clone() }, "1049"),
    ] {
        let wrong = MysqlConfig { connect_attempts: 1_000_000, ..wrong };
        let error = read(&*mysql::open(&wrong, &PoolConfig::default()).unwrap(), "SELECT 1").await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::PermissionDenied, Some(code)), "{error}");
        assert!(
            error.message.contains(&right.hosts[0].port.to_string()) && !error.message.contains("secret"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_is_unavailable_after_the_last_attempt() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let twice = MysqlConfig { connect_attempts: 2, ..config(&home) };
    let pool = mysql::open(&twice, &PoolConfig::default()).unwrap();
    server.process().unwrap().stop().unwrap();
    let error = read(&*pool, "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("2002")), "{error}");
}
