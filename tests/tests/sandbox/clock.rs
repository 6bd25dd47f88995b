//! The two guests that behave: the backends as they are, with a clock that a test sets in the database.

use std::sync::Arc;

use anyhow::{Context, Result};
use cofferdam::clock::SystemClock;
use cofferdam::{MessageState, Storage, StorageService};
use cofferdam_tests::harness::clocked::Clocked;
use cofferdam_tests::harness::storage::Home;

async fn goes_by_its_clock(home: Home) -> Result<()> {
    let clocked = Clocked::new(home, 5).await?;
    let storage = Storage::builder(clocked.config()).clock(Arc::new(SystemClock)).build()?;
    storage.initialize().await?;
    for seconds in [5, i64::MAX] {
        clocked.set(seconds).await?;
        storage.upsert_message_state(&MessageState::new("c", None, "m", 1)).await?;
        let state = storage.get_message_state("c", None).await?.context("the state")?;
        assert_eq!((state.created_at, state.updated_at), (5, seconds));
    }
    clocked.empty().await?;
    assert_eq!(storage.get_message_state("c", None).await?, None);
    storage.close().await?;
    Ok(())
}

pub mod clocked_sqlite {
    use super::*;

    #[tokio::test]
    async fn goes_by_the_clock_of_the_test() -> Result<()> {
        goes_by_its_clock(Home::sqlite()?).await
    }
}

pub mod clocked_mysql {
    use super::*;

    #[tokio::test]
    async fn goes_by_the_clock_of_the_test() -> Result<()> {
        goes_by_its_clock(Home::mysql().await?).await
    }
}
