use anyhow::Result;
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{Sandbox, assert_absent};

/// Lets a guest try statements that it is told a path for, and requires that nothing appears there.
async fn refuses_a_path(guest: &str, statements: usize) -> Result<Vec<String>> {
    let sandbox = Sandbox::new(guest).await?;
    let marker = sandbox.marker();
    let report = sandbox.refuses_all(&marker.to_string_lossy(), statements).await?;
    assert_absent(&marker);
    Ok(report)
}

#[track_caller]
fn assert_permission_denied(report: &[String]) {
    for line in report {
        assert!(line.starts_with("permission-denied: the host does not let a backend"), "{line}");
    }
}

pub mod attach {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        assert_permission_denied(&refuses_a_path(guests::ATTACH, 4).await?);
        Ok(())
    }
}

pub mod vacuum_into {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        assert_permission_denied(&refuses_a_path(guests::VACUUM_INTO, 3).await?);
        Ok(())
    }
}

pub mod load_extension {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        refuses_a_path(guests::LOAD_EXTENSION, 8).await.map(drop)
    }
}

pub mod writable_schema {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        let sandbox = Sandbox::new(guests::WRITABLE_SCHEMA).await?;
        let file = rusqlite::Connection::open(sandbox.folder.database())?;
        let schema = || -> Result<(String, String, i64)> {
            let text = "SELECT group_concat(type || name || tbl_name || rootpage || sql) FROM sqlite_master";
            let tables = file.query_row(text, [], |row| row.get(0))?;
            let journal = file.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            let version = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            Ok((tables, journal, version))
        };
        let before = schema()?;
        sandbox.refuses_all("c", 14).await?;
        assert_eq!(schema()?, before);
        assert_eq!(before.1, "wal");
        Ok(())
    }
}

pub mod two_statements {
    use super::*;

    #[tokio::test]
    async fn are_refused_together() -> Result<()> {
        let sandbox = Sandbox::new(guests::TWO_STATEMENTS).await?;
        sandbox.refuses_all("c", 7).await?;
        assert!(!sandbox.marks()?.contains(&"first".to_owned()), "the first of two statements ran");
        Ok(())
    }
}
