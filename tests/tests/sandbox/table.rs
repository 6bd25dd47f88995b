//! A guest that lets its table grow.

use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::plugins::GROWING_TABLE;

use crate::rig::{Sandbox, assert_error};

#[tokio::test]
async fn a_growing_table_ends_at_the_limit_on_its_elements() -> Result<()> {
    let sandbox = Sandbox::new(GROWING_TABLE).await?;
    let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
    assert_error(&outcome, ErrorKind::Internal, &["plugin growing_table", "a table of more than 2000 elements"]);
    assert_eq!(discarded, 1);
    Ok(())
}
