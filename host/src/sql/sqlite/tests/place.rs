//! Files that are removed, replaced, locked away or damaged while they are open.

use super::*;

impl File {
    fn beside(&self, suffix: &str) -> std::path::PathBuf {
        let mut path = self.path().into_os_string();
        path.push(suffix);
        path.into()
    }

    async fn insert(&self) -> Result<u64> {
        self.database.execute(&short("INSERT INTO t (b) VALUES (NULL)"), vec![], soon()).await
    }
}

/// Longer than readers trust a look at the path.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(120)).await;
}

#[test]
fn no_write_is_acknowledged_without_a_file_at_the_path() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            file.insert().await.unwrap();
            std::fs::rename(file.path(), file.beside(".away")).unwrap();
            for _ in 0..3 {
                let error = file.insert().await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
                assert!(error.message.contains("was removed while it was open"), "{error}");
            }
            let mut lease = file.lease(Access::Write).await;
            assert_eq!(lease.begin(soon()).await.unwrap_err().kind, ErrorKind::Unavailable);
            drop(lease);
            let Err(error) = file.database.acquire(Access::Read, soon()).await else { panic!("a reader of no file") };
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(!file.path().exists(), "a new file was made");
            assert_eq!(file.database.status().open, 0);
            // All that was acknowledged is in the file itself, wherever it is: the log is empty.
            let away = rusqlite::Connection::open(file.beside(".away")).unwrap();
            let count: i64 = away.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap();
            assert!((1..=2).contains(&count), "{count}");
            drop(away);
            std::fs::rename(file.beside(".away"), file.path()).unwrap();
            file.insert().await.unwrap();
            assert_eq!(file.count().await, count + 1);
            file.assert_whole();
        });
    }
}

#[test]
fn no_write_is_acknowledged_to_a_file_that_was_emptied() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            file.insert().await.unwrap();
            let emptied = || std::fs::OpenOptions::new().write(true).truncate(true).open(file.path()).map(drop);
            emptied().unwrap();
            let error = file.insert().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(error.message.contains("was emptied while it was open"), "{error}");
            // The log is all that is left, and stays.
            let log = std::fs::read(file.beside("-wal")).unwrap();
            assert!(!log.is_empty());
            for _ in 0..2 {
                let error = file.insert().await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::CorruptData, "{error}");
                assert!(std::fs::read(file.beside("-wal")).unwrap() == log, "the log was changed");
            }
        });
    }
}

#[test]
fn the_log_of_a_file_without_content_is_not_taken_for_a_forgotten_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("bot.db"), folder.path().join("bot.db-wal"));
    std::fs::write(&path, "").unwrap();
    std::fs::write(&log, "rows").unwrap();
    for _ in 0..2 {
        let error = unopened::judge(&path).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CorruptData);
        assert!(error.message.contains("bot.db-wal has 4 bytes"), "{error}");
        assert_eq!(std::fs::read(&log).unwrap(), b"rows");
    }
    std::fs::remove_file(&log).unwrap();
    unopened::judge(&path).unwrap();
}

#[test]
fn a_transaction_and_a_group_notice_a_replaced_file() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            for in_transaction in [true, false] {
                let before = file.count().await;
                file.other().execute("VACUUM INTO ?", (file.beside(".copy").to_str(),)).unwrap();
                std::fs::rename(file.beside(".copy"), file.path()).unwrap();
                let results = if in_transaction {
                    let mut lease = file.lease(Access::Write).await;
                    lease.begin(soon()).await.unwrap();
                    lease.execute(&short("INSERT INTO t (b) VALUES (1)"), vec![], soon()).await.unwrap();
                    vec![lease.commit(soon()).await.map(|()| 1)]
                } else {
                    // Those that share the first commit fail with it.
                    let (one, two, three) = tokio::join!(file.insert(), file.insert(), file.insert());
                    vec![one, two, three]
                };
                let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
                assert!(
                    !failed.is_empty() && failed.iter().all(|error| error.kind == ErrorKind::Unavailable),
                    "{failed:?}"
                );
                let stored = i64::try_from(results.len() - failed.len()).unwrap();
                assert_eq!(file.count().await, before + stored, "the copy was mixed with the log of the other");
                file.insert().await.unwrap();
                assert_eq!(file.count().await, before + stored + 1);
                let whole: String = file.other().query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
                assert_eq!(whole, "ok");
            }
        });
    }
}

#[test]
fn readers_notice_a_replaced_file_after_a_while() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        file.insert().await.unwrap();
        let other = file.beside(".other");
        rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a, b)").unwrap();
        std::fs::rename(other, file.path()).unwrap();
        a_while().await;
        assert_eq!(file.count().await, 0);
    });
}

#[test]
fn a_log_that_is_removed_takes_nothing_along() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            file.insert().await.unwrap();
            std::fs::remove_file(file.beside("-wal")).unwrap();
            assert_eq!(file.insert().await.unwrap_err().kind, ErrorKind::Unavailable);
            file.insert().await.unwrap();
            std::fs::remove_file(file.beside("-wal")).unwrap();
            a_while().await;
            assert_eq!(file.count().await, 3);
            assert_eq!(file.other().query_row("SELECT count(*) FROM t", (), |row| row.get(0)), Ok(3));
        });
    }
}

#[test]
fn a_reader_that_is_out_keeps_its_snapshot_until_it_comes_back() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let reader = file.lease(Access::Read).await;
        std::fs::remove_file(file.beside("-wal")).unwrap();
        assert_eq!(file.insert().await.unwrap_err().kind, ErrorKind::Unavailable);
        let late = file.database.execute(&short("INSERT INTO t (b) VALUES (1)"), vec![], at_once()).await;
        assert_eq!(late.unwrap_err().kind, ErrorKind::Timeout);
        drop(reader);
        file.insert().await.unwrap();
        file.assert_whole();
    });
}

#[test]
fn a_damaged_file_is_refused_and_works_again_once_it_is_restored() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.table().await;
            file.insert().await.unwrap();
            file.other().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
            let original = std::fs::read(file.path()).unwrap();
            std::fs::write(file.path(), vec![0xa5; original.len()]).unwrap();
            assert_eq!(file.insert().await.unwrap_err().kind, ErrorKind::CorruptData);
            for _ in 0..2 {
                let error = match file.database.acquire(Access::Read, soon()).await {
                    Ok(mut reader) => {
                        reader.query(&short("SELECT * FROM t"), vec![], LIMITS, soon()).await.unwrap_err()
                    }
                    Err(error) => error,
                };
                assert_eq!(error.kind, ErrorKind::CorruptData, "{error}");
            }
            std::fs::write(file.path(), original).unwrap();
            file.insert().await.unwrap();
            assert_eq!(file.count().await, 2);
            file.assert_whole();
        });
    }
}
