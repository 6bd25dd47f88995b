use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{Sandbox, assert_error};

#[track_caller]
fn assert_permission_denied(report: &[String]) {
    for line in report {
        assert!(line.starts_with("permission-denied: the host does not let a backend"), "{line}");
    }
}

/// Statements that the guest tries. Where a file is to appear they name PATH.
pub mod statements {
    use super::*;

    const ATTACH: &[&str] = &[
        "ATTACH DATABASE 'PATH' AS other",
        "attach 'PATH' as other",
        "/* a comment */ ATTACH ':memory:' AS other -- 'PATH'",
        "DETACH DATABASE main",
    ];

    #[tokio::test]
    async fn that_attach_are_refused() -> Result<()> {
        assert_permission_denied(&Sandbox::new(guests::STATEMENTS).await?.refuses_a_path(ATTACH).await?);
        Ok(())
    }

    const VACUUM: &[&str] = &["VACUUM INTO 'PATH'", "/**/ vacuum main into 'PATH'", "VACUUM"];

    #[tokio::test]
    async fn that_vacuum_are_refused() -> Result<()> {
        assert_permission_denied(&Sandbox::new(guests::STATEMENTS).await?.refuses_a_path(VACUUM).await?);
        Ok(())
    }

    /// Load native code, and reach for what could.
    const NATIVE_CODE: &[&str] = &[
        "SELECT load_extension('PATH')",
        "SELECT LOAD_EXTENSION('PATH', 'sqlite3_init')",
        "SELECT fts3_tokenizer('simple', x'0000000000000000')",
        "SELECT writefile('PATH', 'x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT edit('x', 'touch PATH')",
        "CREATE VIRTUAL TABLE temp.leak USING csv(filename='/etc/passwd')",
        "CREATE VIRTUAL TABLE spans USING fts5(text)",
    ];

    #[tokio::test]
    async fn that_load_native_code_are_refused() -> Result<()> {
        Sandbox::new(guests::STATEMENTS).await?.refuses_a_path(NATIVE_CODE).await.map(drop)
    }

    /// Make the schema writable, and write to it.
    const SCHEMA: &[&str] = &[
        "PRAGMA writable_schema = ON",
        "PRAGMA writable_schema(1)",
        "/**/pragma main.writable_schema=1",
        "SELECT * FROM pragma_writable_schema(1)",
        "UPDATE sqlite_master SET sql = 'x' WHERE name = 'marks'",
        "UPDATE sqlite_schema SET name = 'gone'",
        "DELETE FROM sqlite_master",
        "INSERT INTO sqlite_master (type, name) VALUES ('table', 'forged')",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA journal_mode = OFF",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA trusted_schema = ON",
        "PRAGMA user_version = 99",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ];

    #[tokio::test]
    async fn that_write_the_schema_are_refused() -> Result<()> {
        let sandbox = Sandbox::new(guests::STATEMENTS).await?;
        let file = rusqlite::Connection::open(sandbox.folder.database())?;
        let schema = || -> Result<(String, String, i64)> {
            let text = "SELECT group_concat(type || name || tbl_name || rootpage || sql) FROM sqlite_master";
            let tables = file.query_row(text, [], |row| row.get(0))?;
            let journal = file.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            let version = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            Ok((tables, journal, version))
        };
        let before = schema()?;
        sandbox.refuses_all(SCHEMA).await?;
        assert_eq!(schema()?, before);
        assert_eq!(before.1, "wal");
        Ok(())
    }

    const SEVERAL: &[&str] = &[
        "SELECT 1; DROP TABLE marks",
        "SELECT 1; SELECT 2",
        "INSERT INTO marks (mark) VALUES ('first'); DELETE FROM marks",
        "SELECT 1; -- nothing\nDROP TABLE marks",
        ";",
        "",
        "-- only a comment",
    ];

    #[tokio::test]
    async fn several_in_one_text_are_refused_together() -> Result<()> {
        let sandbox = Sandbox::new(guests::STATEMENTS).await?;
        sandbox.refuses_all(SEVERAL).await?;
        assert!(!sandbox.marks()?.contains(&"first".to_owned()), "the first of two statements ran");
        Ok(())
    }

    const TRANSACTIONS: &[&str] = &[
        "BEGIN",
        "BEGIN IMMEDIATE",
        "begin exclusive",
        "/* */ BEGIN",
        "-- a line\nBEGIN",
        "COMMIT",
        "END",
        "END TRANSACTION",
        "ROLLBACK",
        "SAVEPOINT here",
        "RELEASE here",
        "ROLLBACK TO here",
    ];

    #[tokio::test]
    async fn that_steer_transactions_are_refused() -> Result<()> {
        assert_permission_denied(&Sandbox::new(guests::STATEMENTS).await?.refuses_all(TRANSACTIONS).await?);
        Ok(())
    }
}

pub mod transactions {
    use super::*;

    /// Lets a guest leave a transaction open in which it wrote `told`, and requires that it was rolled back.
    async fn leaves_nothing(told: &str, words: &[&str]) -> Result<()> {
        let sandbox = Sandbox::new(guests::TRANSACTIONS).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(told, None)).await?;
        assert_error(&outcome, ErrorKind::Internal, words);
        assert_eq!(discarded, 1);
        let marks = sandbox.marks()?;
        assert!(marks.iter().all(|mark| mark == "neighbour") && !marks.is_empty(), "{marks:?}");
        Ok(())
    }

    #[tokio::test]
    async fn are_rolled_back_by_a_trap() -> Result<()> {
        leaves_nothing("trap", &["it panicked"]).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn are_rolled_back_by_a_trap_on_several_threads() -> Result<()> {
        leaves_nothing("trap", &["it panicked"]).await
    }

    #[tokio::test]
    async fn are_rolled_back_with_their_connection() -> Result<()> {
        leaves_nothing("open", &["left a transaction open, which was rolled back"]).await
    }

    #[tokio::test]
    async fn are_rolled_back_where_the_connection_is_kept() -> Result<()> {
        leaves_nothing("kept", &["kept a connection, which was taken back"]).await
    }
}
