//! Statements that are given up: at a deadline, or because their future is dropped.

use super::*;

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
            let PoolStatus { open, idle, waiting, .. } = file.database.status();
            assert_eq!((open, idle, waiting), (0, 0, 0));
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
                    assert_eq!(integer(&lease.query(&short("SELECT 7"), vec![], LIMITS, soon()).await.unwrap()), 7);
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
