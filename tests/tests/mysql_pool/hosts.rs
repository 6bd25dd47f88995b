//! Several servers, of which some refuse, hang, or take no writes.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::{HostPolicy, HostPort, MysqlConfig, PoolConfig};
use cofferdam::sql::{Access, Database, ErrorKind, Value, mysql};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use mysql_async::prelude::Queryable;
use tokio::time::Instant;

use crate::{config, read, short, soon, write};

/// Two servers with a table `t` in a database of the same name.
struct Two {
    servers: [MysqlServer; 2],
    home: MysqlDatabase,
    ports: [u16; 2],
}

impl Two {
    async fn start() -> Self {
        let mut servers = [MysqlServer::start(&[]).await.unwrap(), MysqlServer::start(&[]).await.unwrap()];
        let home = servers[0].create_database(DatabaseOptions::default()).await.unwrap();
        for server in &servers {
            let mut administrator = server.administrator().await.unwrap();
            let name = home.config().database;
            administrator.query_drop(format!("CREATE DATABASE IF NOT EXISTS `{name}`")).await.unwrap();
            administrator.query_drop(format!("CREATE TABLE `{name}`.t (a INT)")).await.unwrap();
            administrator.disconnect().await.unwrap();
        }
        let ports = servers.each_mut().map(|server| server.process().unwrap().port());
        Self { servers, home, ports }
    }

    fn pool(&self, policy: HostPolicy, before: &[u16]) -> Arc<dyn Database> {
        let ports = before.iter().chain(&self.ports);
        let hosts = ports.map(|port| HostPort::new("127.0.0.1", *port)).collect();
        let config = MysqlConfig { hosts, host_policy: policy, connect_attempts: 1, ..config(&self.home) };
        mysql::open(&config, &PoolConfig::default()).unwrap()
    }

    async fn make_read_only(&self, index: usize, value: u8) {
        let mut administrator = self.servers[index].administrator().await.unwrap();
        administrator.query_drop(format!("SET GLOBAL read_only = {value}")).await.unwrap();
        administrator.disconnect().await.unwrap();
    }
}

async fn port(pool: &dyn Database) -> u16 {
    match read(pool, "SELECT @@port").await.unwrap().values()[0][0] {
        Value::Integer(port) => port.try_into().unwrap(),
        ref other => panic!("{other:?}"),
    }
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_first_server_is_taken_or_each_in_its_turn() {
    let two = Two::start().await;
    let ordered = two.pool(HostPolicy::Ordered, &[]);
    let spread = two.pool(HostPolicy::Spread, &[]);
    for (pool, servers) in [(ordered, 1), (spread, 2)] {
        let mut leases = Vec::new();
        let mut seen = HashSet::new();
        for _ in 0..4 {
            let mut lease = pool.acquire(Access::Read, soon()).await.unwrap();
            let rows = lease.query(&short("SELECT @@port"), vec![], crate::LIMITS, soon()).await.unwrap();
            seen.insert(format!("{:?}", rows.values()));
            leases.push(lease);
        }
        assert_eq!(seen.len(), servers);
    }
}

#[tokio::test]
async fn a_server_that_refuses_or_hangs_leaves_time_for_the_others() {
    let two = Two::start().await;
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let before = [closed_port(), silent.local_addr().unwrap().port()];
    let pool = two.pool(HostPolicy::Ordered, &before);
    let deadline = Instant::now() + Duration::from_secs(6);
    let rows = pool.query(Access::Read, &short("SELECT @@port"), vec![], crate::LIMITS, deadline).await.unwrap();
    assert_eq!(rows.values()[0][0], Value::Integer(two.ports[0].into()));
    // Those that failed are tried last for a while, so that nobody else waits for them.
    let _lease = pool.acquire(Access::Read, soon()).await.unwrap();
    let soon = Instant::now() + Duration::from_secs(1);
    pool.acquire(Access::Read, soon).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_read_only_is_passed_over_and_left() {
    let mut two = Two::start().await;
    two.make_read_only(0, 1).await;
    let pool = two.pool(HostPolicy::Ordered, &[]);
    assert_eq!(port(&*pool).await, two.ports[1]);
    write(&*pool, "INSERT INTO t VALUES (1)").await.unwrap();

    // A failover the other way round: the open connection is closed, and the next leads to the first.
    two.make_read_only(0, 0).await;
    two.make_read_only(1, 1).await;
    let error = write(&*pool, "INSERT INTO t VALUES (2)").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("1290")), "{error}");
    write(&*pool, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(port(&*pool).await, two.ports[0]);

    two.make_read_only(0, 1).await;
    write(&*pool, "INSERT INTO t VALUES (3)").await.unwrap_err();
    let error = write(&*pool, "INSERT INTO t VALUES (3)").await.unwrap_err();
    assert_eq!((error.kind, &error.code), (ErrorKind::Unavailable, &None), "{error}");
    for port in two.ports {
        assert!(error.message.contains(&format!("127.0.0.1:{port} is skipped: it is read-only")), "{error}");
    }
    two.servers[1].process().unwrap().stop().unwrap();
    let error = write(&*pool, "INSERT INTO t VALUES (3)").await.unwrap_err();
    assert!(error.message.contains("it is read-only") && error.message.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn a_single_server_that_is_read_only_can_still_be_read() {
    let two = Two::start().await;
    two.make_read_only(0, 1).await;
    let pool = mysql::open(&config(&two.home), &PoolConfig::default()).unwrap();
    assert_eq!(port(&*pool).await, two.ports[0]);
    assert_eq!(write(&*pool, "INSERT INTO t VALUES (1)").await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(port(&*pool).await, two.ports[0]);
    two.make_read_only(0, 0).await;
    write(&*pool, "INSERT INTO t VALUES (1)").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_is_replaced_by_the_next() {
    let mut two = Two::start().await;
    let pool = two.pool(HostPolicy::Ordered, &[]);
    write(&*pool, "INSERT INTO t VALUES (1)").await.unwrap();
    two.servers[0].process().unwrap().kill().unwrap();
    // Whether a write that was sent to it took effect is not known, so the first may fail.
    let _ = write(&*pool, "INSERT INTO t VALUES (2)").await;
    write(&*pool, "INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(port(&*pool).await, two.ports[1]);
}

#[tokio::test]
async fn a_wrong_password_is_tried_on_one_server_only() {
    let two = Two::start().await;
    let hosts = two.ports.map(|port| HostPort::new("127.0.0.1", port)).to_vec();
    let password = cofferdam::config::Secret::new("wrong-secret");
    let wrong = MysqlConfig { hosts, password, ..config(&two.home) };
    let pool = mysql::open(&wrong, &PoolConfig::default()).unwrap();
    let error = read(&*pool, "SELECT 1").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("1045"), "{error}");
    assert!(!error.message.contains(&two.ports[1].to_string()), "{error}");
}
