use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{Sandbox, assert_error};

/// Lets a guest leave a transaction open in which it wrote `told`, and requires that it was rolled back.
async fn leaves_nothing(guest: &str, told: &str, words: &[&str]) -> Result<()> {
    let sandbox = Sandbox::new(guest).await?;
    let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(told, None)).await?;
    assert_error(&outcome, ErrorKind::Internal, words);
    assert_eq!(discarded, 1);
    let marks = sandbox.marks()?;
    assert!(marks.iter().all(|mark| mark == "neighbour") && !marks.is_empty(), "{marks:?}");
    Ok(())
}

pub mod trap_in_transaction {
    use super::*;

    #[tokio::test]
    async fn rolls_it_back() -> Result<()> {
        leaves_nothing(guests::TRAP_IN_TRANSACTION, "trap", &["it panicked"]).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rolls_it_back_on_several_threads() -> Result<()> {
        leaves_nothing(guests::TRAP_IN_TRANSACTION, "trap", &["it panicked"]).await
    }
}

pub mod open_transaction {
    use super::*;

    #[tokio::test]
    async fn is_rolled_back_with_its_connection() -> Result<()> {
        leaves_nothing(guests::OPEN_TRANSACTION, "open", &["left a transaction open, which was rolled back"]).await
    }

    #[tokio::test]
    async fn is_rolled_back_where_the_connection_is_kept() -> Result<()> {
        leaves_nothing(guests::OPEN_TRANSACTION, "kept", &["kept a connection, which was taken back"]).await
    }
}

pub mod text_transaction_control {
    use super::*;

    #[tokio::test]
    async fn is_refused() -> Result<()> {
        let sandbox = Sandbox::new(guests::TEXT_TRANSACTION_CONTROL).await?;
        for line in sandbox.refuses_all("c", 12).await? {
            assert!(line.starts_with("permission-denied: the host does not let a backend"), "{line}");
        }
        Ok(())
    }
}
