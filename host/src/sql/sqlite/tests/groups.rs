//! Writes of many that share commits, and what they wait for.

use super::*;

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
fn a_write_that_is_refused_at_the_commit_takes_no_other_write_along() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = Arc::new(file());
        file.table().await;
        file.write("CREATE TABLE child (t INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)").await.unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|i| {
                let file = Arc::clone(&file);
                let orphan = i % 7 == 3;
                let text = if orphan { "INSERT INTO child VALUES (-1)" } else { "INSERT INTO t DEFAULT VALUES" };
                tokio::spawn(async move { (orphan, file.write(text).await) })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (false, result) => assert_eq!(result, Ok(1)),
                (true, result) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.code.as_deref(), Some("SQLITE_CONSTRAINT_FOREIGNKEY"), "{error}");
                }
            }
        }
        assert_eq!(file.count().await, 17);
        file.assert_whole();
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
