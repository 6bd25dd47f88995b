//! The pool of connections to a MySQL server, as the host uses it: on a database of each test's own, and on a server of
//! its own where the server is stopped, hangs, or has settings of its own.

mod connecting;
mod encryption;
mod given_up;
mod groups;
mod hosts;
mod leases;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::{MysqlConfig, PoolConfig, Tls, TlsMode};
use cofferdam::sql::{Access, Connection, Database, ResultLimits, Rows, SqlError, Statement, Value, Work, mysql};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use tokio::time::Instant;

const LIMITS: ResultLimits = ResultLimits { rows: 100_000, bytes: 10_000_000 };

/// How long something may take that happens by itself, so that a test ends.
const SETTLING: Duration = Duration::from_secs(60);

/// A pool on a database of its own, with an empty table `t`.
struct Rig {
    pool: Arc<dyn Database>,
    home: MysqlDatabase,
}

impl Rig {
    /// On the server that the tests share.
    async fn shared(pool: PoolConfig) -> Self {
        Self::on(MysqlServer::shared().await.unwrap(), pool).await
    }

    async fn on(server: &MysqlServer, pool: PoolConfig) -> Self {
        let home = server.create_database(DatabaseOptions::default()).await.unwrap();
        let rig = Self { pool: mysql::open(&config(&home), &pool).unwrap(), home };
        rig.write("CREATE TABLE t (a BIGINT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(20) UNIQUE)").await.unwrap();
        rig
    }

    async fn lease(&self, access: Access) -> Box<dyn Connection> {
        self.pool.acquire(access, soon()).await.unwrap()
    }

    async fn write(&self, text: &str) -> Result<u64, SqlError> {
        write(&*self.pool, text).await
    }

    async fn read(&self, text: &str) -> Result<Rows, SqlError> {
        read(&*self.pool, text).await
    }

    async fn integer(&self, text: &str) -> i64 {
        match self.read(text).await.unwrap().values()[0][0] {
            Value::Integer(integer) => integer,
            ref other => panic!("{text} is {other:?}"),
        }
    }

    async fn count(&self) -> i64 {
        self.integer("SELECT count(*) FROM t").await
    }
}

/// How a bot connects whose configuration says nothing of encryption.
fn config(home: &MysqlDatabase) -> MysqlConfig {
    MysqlConfig { tls: Tls { mode: TlsMode::Preferred, ca: None }, ..home.config() }
}

async fn write(pool: &dyn Database, text: &str) -> Result<u64, SqlError> {
    pool.acquire(Access::Write, soon()).await?.execute(&short(text), vec![], soon()).await
}

async fn read(pool: &dyn Database, text: &str) -> Result<Rows, SqlError> {
    pool.acquire(Access::Read, soon()).await?.query(&short(text), vec![], LIMITS, soon()).await
}

fn short(text: &str) -> Statement {
    Statement::new(text, Work::Short)
}

fn soon() -> Instant {
    Instant::now() + SETTLING
}

fn at_once() -> Instant {
    Instant::now() + Duration::from_millis(200)
}
