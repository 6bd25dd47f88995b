//! Leases, and the pool that gives them out.

use super::*;

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
fn a_reader_may_hold_a_snapshot() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut reader = file.lease(Access::Read).await;
        let count = short("SELECT count(*) FROM t");
        reader.begin(soon()).await.unwrap();
        assert_eq!(integer(&reader.query(&count, vec![], LIMITS, soon()).await.unwrap()), 0);
        file.write("INSERT INTO t (b) VALUES (1)").await.unwrap();
        assert_eq!(integer(&reader.query(&count, vec![], LIMITS, soon()).await.unwrap()), 0);
        reader.rollback(soon()).await.unwrap();
        assert_eq!(integer(&reader.query(&count, vec![], LIMITS, soon()).await.unwrap()), 1);
        assert_eq!(reader.commit(soon()).await.unwrap_err().kind, ErrorKind::InvalidStatement);
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
        let PoolStatus { max, open, idle, opened, acquired, .. } = file.database.status();
        assert_eq!((max, open, idle, opened), (3, 3, 1, 3));
        assert_eq!(acquired.count(), 4);
        assert!(acquired.total() >= Duration::from_millis(20), "{acquired:?}");
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
fn a_list_waits_for_another_process_that_locks_the_whole_file() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            // Without a write-ahead log readers have to wait.
            let other = file.other();
            other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (7)").unwrap();
            assert_eq!(file.count().await, 1);
            other.execute_batch("BEGIN EXCLUSIVE").unwrap();
            let list = long("SELECT a FROM t");
            let reading = file.database.query(Access::Read, &list, vec![], LIMITS, soon());
            let unlocking = async {
                // Long after the time for which a list is tried on this thread.
                tokio::time::sleep(Duration::from_millis(50)).await;
                other.execute_batch("COMMIT").unwrap();
            };
            let (rows, ()) = tokio::join!(reading, unlocking);
            assert_eq!(integer(&rows.unwrap()), 7);
        });
    }
}
