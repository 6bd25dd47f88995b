//! On real files, on both kinds of runtime.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::*;
use crate::sql::{ColumnKind, ResultLimits, Rows, Statement, Value, Work};

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
        self.read("SELECT count(*) FROM t").await.unwrap().integers[0]
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

fn short(text: &str) -> Statement {
    Statement { text: text.into(), work: Work::Short }
}

fn long(text: &str) -> Statement {
    Statement { text: text.into(), work: Work::Long }
}

fn runtimes() -> [Runtime; 2] {
    let current = Builder::new_current_thread().enable_time().build().unwrap();
    [current, Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()]
}

#[test]
fn values_come_back_as_they_were_given() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.write("CREATE TABLE v (a, b, c, d, e)").await.unwrap();
            let given = vec![
                Value::Integer(i64::MIN),
                Value::Real(1.5),
                Value::Text("é\u{1f600}".to_owned()),
                Value::Blob(vec![0, 255]),
                Value::Null,
            ];
            let insert = short("INSERT INTO v VALUES (?, ?, ?, ?, ?)");
            assert_eq!(file.lease(Access::Write).await.execute(&insert, given, soon()).await, Ok(1));
            let rows = file.read("SELECT * FROM v").await.unwrap();
            use ColumnKind::*;
            assert_eq!(rows.columns, [Integer, Real, Text, Blob, Integer]);
            assert_eq!((rows.integers, rows.reals), (vec![i64::MIN, 0], vec![1.5]));
            assert_eq!((rows.text.as_str(), rows.bytes.as_slice(), rows.nulls), ("é\u{1f600}", &[0, 255][..], vec![4]));
            let server = file.database.server(soon()).await.unwrap();
            assert_eq!((server.engine, server.version.starts_with("3.")), (Engine::Sqlite, true));
        });
    }
}

#[test]
fn first_writes_of_64_tasks_share_commits_and_a_failing_one_fails_alone() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = Arc::new(file());
            file.table().await;
            let tasks: Vec<_> = (0..64)
                .map(|i| {
                    let file = Arc::clone(&file);
                    tokio::spawn(async move {
                        // Eight of them bring a text that another has.
                        let text = format!("INSERT INTO t (b) VALUES ('{}')", i % 56);
                        (i % 56, file.write(&text).await)
                    })
                })
                .collect();
            let mut failed = 0;
            let mut inserted = std::collections::BTreeSet::new();
            for task in tasks {
                match task.await.unwrap() {
                    (key, Ok(1)) => assert!(inserted.insert(key)),
                    (_, Err(error)) => {
                        assert_eq!(error.code.as_deref(), Some("SQLITE_CONSTRAINT_UNIQUE"), "{error}");
                        failed += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((inserted.len(), failed, file.count().await), (56, 8, 56));
            file.assert_whole();
        });
    }
}

#[test]
fn an_error_that_ends_the_groups_transaction_takes_no_other_write_along() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = Arc::new(file());
        file.table().await;
        let tasks: Vec<_> = (0..20)
            .map(|i| {
                let file = Arc::clone(&file);
                let verb = if i % 7 == 3 { "INSERT OR ROLLBACK" } else { "INSERT" };
                let key = if i % 7 == 3 { 0 } else { i };
                tokio::spawn(async move { file.write(&format!("{verb} INTO t (b) VALUES ('{key}')")).await })
            })
            .collect();
        let mut succeeded = 0;
        for task in tasks {
            succeeded += i64::from(task.await.unwrap().is_ok());
        }
        assert_eq!((succeeded, file.count().await), (17, 17));
    });
}

#[test]
fn a_future_dropped_at_any_point_leaves_the_pool_whole() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = Arc::new(file_with(PoolConfig { max_open: 3, ..PoolConfig::default() }));
            file.table().await;
            let tasks: Vec<_> = (0..200u64)
                .map(|i| {
                    let file = Arc::clone(&file);
                    tokio::spawn(async move {
                        let work = async {
                            if i % 3 == 0 {
                                let mut lease = file.lease(Access::Write).await;
                                lease.begin(soon()).await.unwrap();
                                tokio::task::yield_now().await;
                                lease.execute(&short("INSERT INTO t (b) VALUES (NULL)"), vec![], soon()).await.unwrap();
                                tokio::task::yield_now().await;
                                lease.commit(soon()).await.unwrap();
                            } else if i % 3 == 1 {
                                let _ =
                                    file.lease(Access::Read).await.query(&long(ENDLESS), vec![], LIMITS, soon()).await;
                            } else {
                                file.write("INSERT INTO t (b) VALUES (NULL)").await.unwrap();
                            }
                        };
                        let _ = tokio::time::timeout(Duration::from_micros(i * 37 % 5000), work).await;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            file.write("INSERT INTO t (b) VALUES ('last')").await.unwrap();
            assert!(file.count().await > 0);
            // What was interrupted on another thread comes back by itself.
            while file.database.status().open != file.database.status().idle {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            file.database.close(soon()).await;
            assert_eq!(file.database.status(), PoolStatus { max: 3, ..PoolStatus::default() });
        });
    }
}

#[test]
fn a_lease_dropped_in_a_transaction_is_rolled_back() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            let mut lease = file.lease(Access::Write).await;
            lease.begin(soon()).await.unwrap();
            lease.execute(&short("INSERT INTO t (b) VALUES ('x')"), vec![], soon()).await.unwrap();
            drop(lease);
            assert_eq!(file.count().await, 0);
            let mut lease = file.lease(Access::Write).await;
            lease.begin(soon()).await.unwrap();
            lease.execute(&short("INSERT INTO t (b) VALUES ('x')"), vec![], soon()).await.unwrap();
            lease.commit(soon()).await.unwrap();
            drop(lease);
            assert_eq!(file.count().await, 1);
            file.assert_whole();
        });
    }
}

#[test]
fn an_endless_statement_ends_at_its_deadline_and_the_connection_lives_on() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            for statement in [short(ENDLESS), long(ENDLESS)] {
                for access in [Access::Read, Access::Write] {
                    let mut lease = file.lease(access).await;
                    let error = lease.query(&statement, vec![], LIMITS, at_once()).await.unwrap_err();
                    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
                    assert_eq!(lease.query(&short("SELECT 7"), vec![], LIMITS, soon()).await.unwrap().integers, [7]);
                }
            }
            file.assert_whole();
        });
    }
}

#[test]
fn a_deadline_in_a_transaction_rolls_it_back() {
    let [_, runtime] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut lease = file.lease(Access::Write).await;
        lease.begin(soon()).await.unwrap();
        lease.execute(&short("INSERT INTO t (b) VALUES ('x')"), vec![], soon()).await.unwrap();
        let endless = long(
            "INSERT INTO t (b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0",
        );
        assert_eq!(lease.execute(&endless, vec![], at_once()).await.unwrap_err().kind, ErrorKind::Timeout);
        // SQLite has ended the transaction: what follows must not be committed by itself.
        let insert = short("INSERT INTO t (b) VALUES ('y')");
        assert_eq!(lease.execute(&insert, vec![], soon()).await.unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(lease.commit(soon()).await.unwrap_err().kind, ErrorKind::Conflict);
        drop(lease);
        assert_eq!(file.count().await, 0);
    });
}

#[test]
fn a_dropped_long_statement_is_interrupted() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut lease = file.lease(Access::Write).await;
        lease.begin(soon()).await.unwrap();
        let endless = long(ENDLESS);
        let given_up = lease.query(&endless, vec![], LIMITS, soon());
        assert!(tokio::time::timeout(Duration::from_millis(20), given_up).await.is_err());
        let error = lease.query(&short("SELECT 1"), vec![], LIMITS, soon()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        drop(lease);
        file.write("INSERT INTO t (b) VALUES ('x')").await.unwrap();
    });
}

#[test]
fn another_process_is_waited_for_until_the_deadline() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = Arc::new(file());
            file.table().await;
            let other = file.other();
            other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t (b) VALUES ('other')").unwrap();
            let insert = short("INSERT INTO t (b) VALUES ('mine')");
            let mut lease = file.lease(Access::Write).await;
            let write = lease.execute(&insert, vec![], at_once()).await.unwrap_err();
            let begin = lease.begin(at_once()).await.unwrap_err();
            for error in [write, begin] {
                assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Conflict, Some("SQLITE_BUSY")), "{error}");
            }
            // Several wait, and all get through when the other has finished.
            let waiting: Vec<_> = (0..5)
                .map(|i| {
                    let file = Arc::clone(&file);
                    tokio::spawn(async move { file.write(&format!("INSERT INTO t (b) VALUES ('{i}')")).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(20)).await;
            other.execute_batch("COMMIT").unwrap();
            for task in waiting {
                assert_eq!(task.await.unwrap(), Ok(1));
            }
            assert_eq!(file.count().await, 6);
            drop(lease);
            file.assert_whole();
        });
    }
}

#[test]
fn what_leaves_the_file_is_refused_while_it_is_prepared() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let outside = file.folder.path().join("copy.db");
        for text in [
            "ATTACH ':memory:' AS x",
            "DETACH main",
            "VACUUM",
            &format!("VACUUM INTO '{}'", outside.display()),
            "PRAGMA writable_schema = ON",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA user_version = 5",
            "PRAGMA query_only = OFF",
            "SELECT * FROM pragma_database_list",
            "BEGIN",
            "BEGIN IMMEDIATE",
            " COMMIT ",
            "ROLLBACK",
            "SAVEPOINT job",
            "SAVEPOINT other",
            "CREATE TEMP TABLE x (a)",
            "CREATE TABLE temp.x (a)",
            "CREATE VIEW temp.x AS SELECT 1",
            "CREATE TRIGGER temp.x AFTER INSERT ON t BEGIN SELECT 1; END",
            "CREATE TEMP VIEW x AS SELECT 1",
            "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
            "CREATE VIRTUAL TABLE x USING fts5(a)",
            "SELECT load_extension('x')",
        ] {
            let result = file.write(text).await;
            let Err(error) = result else { panic!("{text} was let through") };
            assert_eq!(error.kind, ErrorKind::PermissionDenied, "{text}: {error}");
            assert!(error.message.contains("the host does not let a backend"), "{text}: {error}");
        }
        assert!(!outside.exists());
        for text in ["UPDATE sqlite_schema SET sql = ''", "SELECT 1; SELECT 2", "SELEC 1", "SELECT ?"] {
            let result = file.write(text).await;
            assert!(
                result.as_ref().is_err_and(|error| error.kind == ErrorKind::InvalidStatement),
                "{text}: {result:?}"
            );
        }
        for text in ["PRAGMA table_info(t)", "PRAGMA user_version", "SELECT * FROM pragma_table_info('t')"] {
            file.read(text).await.unwrap();
        }
        assert_eq!(file.read("INSERT INTO t (b) VALUES (1)").await.unwrap_err().kind, ErrorKind::PermissionDenied);
    });
}

#[test]
fn a_result_beyond_the_limits_is_refused_and_writes_nothing() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut lease = file.lease(Access::Write).await;
        let insert = short("INSERT INTO t (b) VALUES ('x'), ('y') RETURNING a");
        let few = ResultLimits { rows: 1, ..LIMITS };
        assert_eq!(lease.query(&insert, vec![], few, soon()).await.unwrap_err().kind, ErrorKind::Other);
        assert_eq!(file.count().await, 0);
        assert_eq!(lease.query(&insert, vec![], LIMITS, soon()).await.unwrap().integers, [1, 2]);
        assert_eq!(file.count().await, 2);
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let error = lease.query(&short(endless), vec![], LIMITS, soon()).await.unwrap_err();
        assert!(error.message.contains("100000 rows"), "{error}");
    });
}

#[test]
fn affected_rows_are_those_of_the_statement_itself() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        assert_eq!(file.write("INSERT INTO t (b) VALUES ('x'), ('y')").await, Ok(2));
        assert_eq!(file.write("CREATE TABLE other (a)").await, Ok(0));
        assert_eq!(file.write("SELECT * FROM t").await, Ok(0));
        assert_eq!(file.write("UPDATE t SET b = b WHERE a > 5").await, Ok(0));
        assert_eq!(file.write("DELETE FROM t RETURNING a").await, Ok(2));
    });
}

#[test]
fn readers_are_bounded_and_waiting_for_one_ends() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let pool = PoolConfig { max_open: 3, acquire_timeout: Duration::from_millis(20), ..PoolConfig::default() };
        let file = file_with(pool);
        let (one, two) = (file.lease(Access::Read).await, file.lease(Access::Read).await);
        let Err(error) = file.database.acquire(Access::Read, soon()).await else { panic!("a third reader") };
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        let Err(error) = file.database.acquire(Access::Read, Instant::now()).await else { panic!("a third reader") };
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        assert_eq!(file.database.status(), PoolStatus { max: 3, open: 3, idle: 1, waiting: 0 });
        drop((one, two));
        file.lease(Access::Read).await;
    });
}

#[test]
fn readers_that_are_old_or_too_many_are_closed() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let old = file_with(PoolConfig { lifetime: Duration::ZERO, ..PoolConfig::default() });
        drop(old.lease(Access::Read).await);
        assert_eq!(old.database.status().open, 1);
        let few = file_with(PoolConfig { max_idle: 1, ..PoolConfig::default() });
        drop((few.lease(Access::Read).await, few.lease(Access::Read).await));
        assert_eq!(few.database.status().open, 2);
    });
}

#[test]
fn the_log_is_copied_into_the_file_without_a_commit_waiting_for_it() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            let before = std::fs::metadata(file.path()).unwrap().len();
            let insert =
                "INSERT INTO t (b) SELECT hex(randomblob(2000)) FROM pragma_table_info('t'), pragma_table_info('t')";
            // Each adds some pages; a checkpoint makes the file itself grow.
            while std::fs::metadata(file.path()).unwrap().len() < before + 100 * 4096 {
                file.write(insert).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
}

#[test]
fn closing_leaves_one_file_and_refuses_what_comes_after() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            let mut out = file.lease(Access::Write).await;
            let _reader = file.read("SELECT * FROM t").await.unwrap();
            file.database.close(at_once()).await;
            for access in [Access::Read, Access::Write] {
                let Err(error) = file.database.acquire(access, soon()).await else { panic!("a lease") };
                assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            }
            let late = out.execute(&short("INSERT INTO t (b) VALUES (1)"), vec![], soon()).await;
            assert_eq!(late.unwrap_err().kind, ErrorKind::Unavailable);
            drop(out);
            file.database.close(soon()).await;
            let files: Vec<_> = std::fs::read_dir(file.path().parent().unwrap()).unwrap().collect();
            assert_eq!(files.len(), 1, "{files:?}");
        });
    }
}

#[test]
fn paths_that_are_no_database_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database at all, but it is longer than a hundred bytes ".repeat(20)).unwrap();
    let under_a_file = garbage.join("state.db");
    for (path, kind, says) in [
        (":memory:".into(), ErrorKind::Other, "DATABASE_PATH"),
        ("".into(), ErrorKind::Other, "DATABASE_PATH"),
        ("file:x?mode=memory".into(), ErrorKind::Other, "DATABASE_PATH"),
        (folder.path().to_owned(), ErrorKind::Other, "is a folder"),
        (garbage, ErrorKind::CorruptData, "garbage.db is not a SQLite database"),
        (under_a_file, ErrorKind::Unavailable, "garbage.db"),
    ] {
        let Err(error) = open(&SqliteConfig { path }, &PoolConfig::default()) else { panic!("{says}") };
        assert!(error.kind == kind && error.message.contains(says), "{error:?}");
    }
}

#[test]
fn a_reader_may_hold_a_snapshot() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut reader = file.lease(Access::Read).await;
        let count = short("SELECT count(*) FROM t");
        reader.begin(soon()).await.unwrap();
        assert_eq!(reader.query(&count, vec![], LIMITS, soon()).await.unwrap().integers, [0]);
        file.write("INSERT INTO t (b) VALUES (1)").await.unwrap();
        assert_eq!(reader.query(&count, vec![], LIMITS, soon()).await.unwrap().integers, [0]);
        reader.rollback(soon()).await.unwrap();
        assert_eq!(reader.query(&count, vec![], LIMITS, soon()).await.unwrap().integers, [1]);
        assert_eq!(reader.commit(soon()).await.unwrap_err().kind, ErrorKind::InvalidStatement);
    });
}
