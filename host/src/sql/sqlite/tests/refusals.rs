//! Statements and paths that are refused.

use super::*;

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
            "PRAGMA encoding = 'UTF-16'",
            "PRAGMA foreign_keys = ON",
            "PRAGMA defer_foreign_keys = ON",
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
        for text in [
            "PRAGMA table_info(t)",
            "PRAGMA user_version",
            "SELECT * FROM pragma_table_info('t')",
            "SELECT encoding FROM pragma_encoding",
            "SELECT * FROM pragma_foreign_key_list('t')",
        ] {
            file.read(text).await.unwrap();
        }
        assert_eq!(file.read("INSERT INTO t (b) VALUES (1)").await.unwrap_err().kind, ErrorKind::PermissionDenied);
    });
}

#[test]
fn foreign_keys_are_enforced_until_a_backend_has_them_not_enforced() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        file.write("CREATE TABLE child (t INTEGER REFERENCES t)").await.unwrap();
        let orphan = "INSERT INTO child VALUES (-1)";
        assert_eq!(file.write(orphan).await.unwrap_err().kind, ErrorKind::Constraint);
        file.database.execute(&long("PRAGMA foreign_keys = OFF"), vec![], soon()).await.unwrap();
        assert_eq!(file.write(orphan).await.unwrap(), 1);
    });
}

#[test]
fn an_explanation_does_not_outlive_the_tables_that_it_is_of() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        for _ in 0..20 {
            file.write("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE COLLATE NOCASE)").await.unwrap();
            for _ in 0..2 {
                for text in ["EXPLAIN INSERT INTO t (b) VALUES (1)", "-- \n explain SELECT b FROM t ORDER BY b"] {
                    let rows = file.database.query(Access::Read, &long(text), vec![], LIMITS, soon()).await.unwrap();
                    assert!(!rows.values().is_empty());
                }
            }
            file.write("DROP TABLE t").await.unwrap();
        }
    });
}

#[test]
fn paths_that_are_no_database_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database at all, but it is longer than a hundred bytes ".repeat(20)).unwrap();
    let under_a_file = garbage.join("state.db");
    for (path, kind, says) in [
        (":memory:".into(), ErrorKind::Other, "in memory"),
        ("".into(), ErrorKind::Other, "is empty"),
        ("file:x?mode=memory".into(), ErrorKind::Other, "in memory"),
        (folder.path().to_owned(), ErrorKind::Other, "is a folder"),
        (garbage, ErrorKind::CorruptData, "garbage.db is not a SQLite database"),
        (under_a_file, ErrorKind::Unavailable, "garbage.db"),
    ] {
        let Err(error) = open(&SqliteConfig { path }, &PoolConfig::default()) else { panic!("{says}") };
        assert!(error.kind == kind && error.message.contains(says), "{error:?}");
    }
}
