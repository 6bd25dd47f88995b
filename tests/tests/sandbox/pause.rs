pub mod panics {
    use anyhow::Result;
    use cofferdam::{Error, ErrorKind, StorageService};
    use cofferdam_tests::harness::plugins::guests;
    use cofferdam_tests::harness::wait::until;

    use crate::rig::{PATIENCE, Sandbox, assert_error};

    #[tokio::test]
    async fn costs_an_instance_and_no_more() -> Result<()> {
        let sandbox = Sandbox::new(guests::PANICS).await?;
        for _ in 0..20 {
            let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
            assert_error(&outcome, ErrorKind::Internal, &["plugin panics failed", "it panicked"]);
            assert_eq!(discarded, 1);
        }
        Ok(())
    }

    /// Fails until the host has enough, and returns what it says then.
    async fn until_paused(sandbox: &Sandbox) -> Error {
        let mut failures = 0;
        loop {
            let error = sandbox.storage.get_message_state("c", None).await.expect_err("it panics");
            if error.kind() == ErrorKind::Unavailable {
                assert!(failures >= 5, "paused after {failures} failures");
                return error;
            }
            assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
            failures += 1;
            assert!(failures < 50, "never paused");
        }
    }

    #[tokio::test]
    async fn again_and_again_pauses_the_plugin_and_it_recovers_by_itself() -> Result<()> {
        let sandbox = Sandbox::new(guests::PANICS).await?;
        let error = until_paused(&sandbox).await;
        assert!(error.is_retryable());
        for word in ["plugin panics", "times in a row", "it panicked", "the next attempt is in", " ms"] {
            assert!(error.message().contains(word), "{word:?} is not in: {error}");
        }
        let working = async || sandbox.storage.health_check().await.is_ok();
        until("the plugin works again", PATIENCE, working).await?;

        // The one success was enough: it takes as many failures as at first.
        assert_error(&sandbox.storage.get_message_state("c", None).await, ErrorKind::Internal, &["it panicked"]);
        sandbox.storage.health_check().await?;
        until_paused(&sandbox).await;
        until("the plugin works again", PATIENCE, working).await?;
        sandbox.is_whole().await
    }
}

pub mod traps_at_random {
    use anyhow::{Context, Result, ensure};
    use cofferdam_tests::faults::{Fault, Run};

    #[tokio::test(flavor = "multi_thread")]
    async fn loses_nothing_under_load() -> Result<()> {
        let verdict = Fault::named("sqlite/traps").context("the fault")?.provoke(Run::short()?).await?;
        ensure!(verdict.is_kept(), "{}", verdict.broken.join("\n"));
        Ok(())
    }
}

pub mod traps_on_writes {
    use anyhow::Result;
    use cofferdam::{ErrorKind, MessageState, StorageService};
    use cofferdam_tests::harness::plugins::guests;

    use crate::rig::{Sandbox, assert_error};

    #[tokio::test]
    async fn stores_nothing_and_reads_on() -> Result<()> {
        let sandbox = Sandbox::new(guests::TRAPS_ON_WRITES).await?;
        let state = MessageState::new("c", None, "m", 1);
        // Those beside it read only.
        let outcome = sandbox.storage.upsert_message_state(&state).await;
        assert_error(&outcome, ErrorKind::Internal, &["plugin traps_on_writes failed", "it panicked"]);
        sandbox.storage.health_check().await?;
        sandbox.is_whole().await?;
        assert_eq!(sandbox.marks()?, Vec::<String>::new());
        Ok(())
    }
}

pub mod fails_when_told {
    use anyhow::Result;
    use cofferdam::{ErrorKind, MessageState, StorageService};
    use cofferdam_tests::harness::plugins::guests;

    use crate::rig::{Sandbox, assert_error};

    /// Outside a trial the plugin's own mistakes are answers like others.
    #[tokio::test]
    async fn is_not_paused_for_what_it_reports() -> Result<()> {
        let sandbox = Sandbox::new(guests::FAILS_WHEN_TOLD).await?;
        for _ in 0..10 {
            let outcome = sandbox.storage.upsert_message_state(&MessageState::new("mistake", None, "m", 1)).await;
            assert_error(&outcome, ErrorKind::Internal, &["it forgot how to write"]);
        }
        assert_eq!(sandbox.storage.status().paused, None);
        sandbox.storage.upsert_message_state(&MessageState::new("written", None, "m", 1)).await?;
        assert_eq!(sandbox.marks()?, ["written"]);
        Ok(())
    }
}
