use std::time::Duration;

use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::mysql::MysqlDatabase;
use cofferdam_tests::harness::plugins::guests;
use mysql_async::prelude::Queryable;

use crate::rig::{Sandbox, assert_absent, assert_error};

/// What is in `marks`, seen from outside.
async fn marks(database: &MysqlDatabase) -> Result<Vec<String>> {
    let mut connection = database.connect().await?;
    let marks = connection.query("SELECT mark FROM marks").await?;
    connection.disconnect().await?;
    Ok(marks)
}

pub mod mysql_transactions {
    use super::*;

    async fn leaves_nothing(told: &str, words: &[&str]) -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::MYSQL_TRANSACTIONS).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(told, None)).await?;
        assert_error(&outcome, ErrorKind::Internal, words);
        assert_eq!(discarded, 1);
        let marks = marks(&database).await?;
        assert!(marks.iter().all(|mark| mark == "neighbour") && !marks.is_empty(), "{marks:?}");
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn are_rolled_back_by_a_trap() -> Result<()> {
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

pub mod mysql_text_transaction_control {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::MYSQL_TEXT_TRANSACTION_CONTROL).await?;
        sandbox.refuses_all("c", 30).await?;
        let mut connection = database.connect().await?;
        let local_infile: Option<bool> = connection.query_first("SELECT @@GLOBAL.local_infile").await?;
        assert!(local_infile.is_some());
        connection.disconnect().await?;
        Ok(())
    }
}

pub mod load_data_infile {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        let (sandbox, database) = Sandbox::mysql(guests::LOAD_DATA_INFILE).await?;
        sandbox.refuses_all("c", 11).await?;
        let marks = marks(&database).await?;
        assert!(marks.iter().all(|mark| mark == "neighbour"), "{marks:?}");
        Ok(())
    }
}

pub mod into_outfile {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        let (sandbox, _database) = Sandbox::mysql(guests::INTO_OUTFILE).await?;
        // Where the server, which runs as another user perhaps, could write.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(sandbox.folder.path(), open)?;
        let marker = sandbox.marker();
        sandbox.refuses_all(&marker.to_string_lossy(), 17).await?;
        assert_absent(&marker);
        Ok(())
    }
}

pub mod sleeping_query {
    use super::*;

    #[tokio::test]
    async fn ends_by_its_deadline() -> Result<()> {
        let (sandbox, _database) = Sandbox::mysql(guests::SLEEPING_QUERY).await?;
        let window = Duration::from_secs(1);
        let (outcome, _) = sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await?;
        assert_error(&outcome, ErrorKind::Timeout, &["deadline passed"]);
        Ok(())
    }
}
