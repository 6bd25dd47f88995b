//! On real files, on both kinds of runtime.

mod deadlines;
mod groups;
mod leases;
mod place;
mod refusals;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::*;
use crate::sql::{ResultLimits, Rows, Statement, Value, Work};

const LIMITS: ResultLimits = ResultLimits { rows: 100_000, bytes: 10_000_000 };
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

struct File {
    folder: TempDir,
    database: Arc<dyn Database>,
}

fn file_with(pool: PoolConfig) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("state.db");
    let database = open(&SqliteConfig { path }, &pool).unwrap();
    File { folder, database }
}

fn file() -> File {
    file_with(PoolConfig::default())
}

impl File {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("new").join("state.db")
    }

    /// As another process sees the file.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    async fn lease(&self, access: Access) -> Box<dyn Connection> {
        self.database.acquire(access, soon()).await.unwrap()
    }

    async fn write(&self, text: &str) -> Result<u64> {
        self.lease(Access::Write).await.execute(&short(text), vec![], soon()).await
    }

    async fn read(&self, text: &str) -> Result<Rows> {
        self.lease(Access::Read).await.query(&short(text), vec![], LIMITS, soon()).await
    }

    async fn table(&self) {
        self.write("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE)").await.unwrap();
    }

    async fn count(&self) -> i64 {
        integer(&self.read("SELECT count(*) FROM t").await.unwrap())
    }

    /// Everything that was leased is back.
    fn assert_whole(&self) {
        let status = self.database.status();
        assert_eq!((status.open, status.waiting), (status.idle, 0), "{status:?}");
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn at_once() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

/// The first cell.
fn integer(rows: &Rows) -> i64 {
    match rows.values()[0][0] {
        Value::Integer(integer) => integer,
        ref other => panic!("{other:?} is no integer"),
    }
}

fn short(text: &str) -> Statement {
    Statement::new(text, Work::Short)
}

fn long(text: &str) -> Statement {
    Statement::new(text, Work::Long)
}

fn runtimes() -> [Runtime; 2] {
    let current = Builder::new_current_thread().enable_time().build().unwrap();
    [current, Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()]
}
