//! Random faults for half a minute, in a process of its own: its memory and its file descriptors do not grow.

use anyhow::{Context, Result, ensure};
use cofferdam_tests::faults::{Fault, Run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_lose_nothing_and_nothing_grows() -> Result<()> {
    let verdict = Fault::named("mysql/soak+spool").context("the fault")?.provoke(Run::short()?).await?;
    println!("{}\n{}", verdict.sentence(), verdict.notes.join("\n"));
    ensure!(verdict.is_kept(), "{}", verdict.broken.join("\n"));
    Ok(())
}
