use std::time::Duration;

use anyhow::Result;
use cofferdam::plugin::Limits;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{LIMITS, Sandbox, assert_error};

/// More than any deadline, so that the deadline is what is met.
const ENDLESS: Limits = Limits { compute: Duration::from_secs(3600), ..LIMITS };

pub mod endless_loop {
    use super::*;

    async fn ends_by_the_limit_on_computing() -> Result<()> {
        let sandbox = Sandbox::new(guests::ENDLESS_LOOP).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["plugin endless_loop", "computed for more than 2000 ms"]);
        assert_eq!(discarded, 1);
        Ok(())
    }

    async fn ends_by_its_deadline() -> Result<()> {
        let sandbox = Sandbox::with(guests::ENDLESS_LOOP, ENDLESS).await?;
        let window = Duration::from_secs(1);
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await?;
        assert_error(&outcome, ErrorKind::Timeout, &["deadline passed", "unknown"]);
        assert_eq!(discarded, 1);
        Ok(())
    }

    #[tokio::test]
    async fn ends_by_the_limit_on_computing_on_one_thread() -> Result<()> {
        ends_by_the_limit_on_computing().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ends_by_the_limit_on_computing_on_several_threads() -> Result<()> {
        ends_by_the_limit_on_computing().await
    }

    #[tokio::test]
    async fn ends_by_its_deadline_on_one_thread() -> Result<()> {
        ends_by_its_deadline().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ends_by_its_deadline_on_several_threads() -> Result<()> {
        ends_by_its_deadline().await
    }

    #[tokio::test]
    async fn ends_when_its_caller_is_gone() -> Result<()> {
        let sandbox = Sandbox::with(guests::ENDLESS_LOOP, ENDLESS).await?;
        let call = tokio::time::timeout(Duration::from_millis(50), sandbox.storage.get_message_state("c", None));
        let (outcome, discarded) = sandbox.beside(call).await?;
        assert!(outcome.is_err(), "{outcome:?}");
        assert_eq!(discarded, 1);
        Ok(())
    }

    #[tokio::test]
    async fn keeps_the_one_instance_only_until_it_ends() -> Result<()> {
        let sandbox = Sandbox::with(guests::ENDLESS_LOOP, Limits { instances: 1, ..LIMITS }).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["computed for more than"]);
        assert_eq!(discarded, 1);
        assert_eq!(sandbox.storage.status().instances, 1);
        Ok(())
    }
}

pub mod endless_recursion {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ends_at_the_end_of_its_stack() -> Result<()> {
        let sandbox = Sandbox::new(guests::ENDLESS_RECURSION).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["plugin endless_recursion", "recursed too deeply"]);
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod growing_memory {
    use super::*;

    #[tokio::test]
    async fn ends_at_the_limit_on_memory() -> Result<()> {
        let sandbox = Sandbox::new(guests::GROWING_MEMORY).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["needed more than 8 MiB of memory"]);
        assert_eq!(discarded, 1);
        Ok(())
    }

    #[tokio::test]
    async fn is_thrown_away_also_where_it_took_the_refusal() -> Result<()> {
        let sandbox = Sandbox::new(guests::GROWING_MEMORY).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("careful", None)).await?;
        assert_eq!(outcome, Ok(None));
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod huge_list {
    use super::*;

    async fn list(number: u64) -> Result<(cofferdam::Result<Vec<cofferdam::MessageState>>, u64)> {
        let sandbox = Sandbox::unhurried(guests::HUGE_LIST, LIMITS).await?;
        let window = Duration::from_secs(number);
        sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await
    }

    #[tokio::test]
    async fn passes_where_it_holds_together() -> Result<()> {
        let (outcome, _) = list(0).await?;
        assert!(outcome.is_ok_and(|states| states.len() == 3 && states[2].channel_id == "é"));
        Ok(())
    }

    #[tokio::test]
    async fn is_refused_with_too_many_rows() -> Result<()> {
        assert_error(&list(1).await?.0, ErrorKind::Internal, &["more rows than the limit of 1000"]);
        Ok(())
    }

    #[tokio::test]
    async fn is_refused_with_too_many_bytes() -> Result<()> {
        let sandbox = Sandbox::unhurried(guests::HUGE_LIST, Limits { memory: 64 << 20, ..LIMITS }).await?;
        let window = Duration::from_secs(2);
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["plugin huge_list", "too much data"]);
        assert_eq!(discarded, 1);
        Ok(())
    }

    #[tokio::test]
    async fn is_refused_where_it_does_not_hold_together() -> Result<()> {
        for number in 3..=11 {
            assert_error(&list(number).await?.0, ErrorKind::Internal, &["malformed list"]);
        }
        Ok(())
    }
}

pub mod invalid_utf8 {
    use super::*;

    #[tokio::test]
    async fn ends_where_it_enters_the_host() -> Result<()> {
        let sandbox = Sandbox::new(guests::INVALID_UTF8).await?;
        for place in ["result", "parameter"] {
            let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(place, None)).await?;
            assert_error(&outcome, ErrorKind::Internal, &["broke the rules of the contract", "utf-8"]);
            assert_eq!(discarded, 1, "{place}");
        }
        Ok(())
    }
}

pub mod hoarded_connections {
    use super::*;

    #[tokio::test]
    async fn are_limited_and_taken_back() -> Result<()> {
        let sandbox = Sandbox::new(guests::HOARDED_CONNECTIONS).await?;
        for told in ["read", "write", "error"] {
            let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(told, None)).await?;
            assert_error(&outcome, ErrorKind::Internal, &["it kept a connection, which was taken back"]);
            assert_eq!(discarded, 1, "{told}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn leave_the_other_connections_of_the_pool_to_the_others() -> Result<()> {
        let limits = Limits { connections: usize::MAX, resources: 1_000, ..LIMITS };
        let sandbox = Sandbox::unhurried(guests::HOARDED_CONNECTIONS, limits).await?;
        let window = Duration::from_secs(1);
        let outcome = sandbox.storage.get_message_states_within_window(window).await;
        assert_error(&outcome, ErrorKind::Internal, &["it kept a connection"]);
        sandbox.storage.health_check().await?;
        sandbox.is_whole().await
    }
}

pub mod hoarded_statements {
    use super::*;

    #[tokio::test]
    async fn are_limited_and_go_with_their_instance() -> Result<()> {
        let sandbox = Sandbox::with(guests::HOARDED_STATEMENTS, Limits { instances: 1, ..LIMITS }).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        let refusal = outcome?.map(|report| report.last_message_id).unwrap_or_default();
        assert!(refusal.contains("8 statements at a time"), "{refusal}");
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod hoarded_resources {
    use super::*;

    #[tokio::test]
    async fn end_at_the_limit_on_resources() -> Result<()> {
        let sandbox = Sandbox::new(guests::HOARDED_RESOURCES).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["plugin hoarded_resources", "resource table"]);
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod sleeps {
    use super::*;

    #[tokio::test]
    async fn until_its_deadline() -> Result<()> {
        let sandbox = Sandbox::new(guests::SLEEPS).await?;
        let window = Duration::from_secs(1);
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_states_within_window(window)).await?;
        assert_error(&outcome, ErrorKind::Timeout, &["deadline passed"]);
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod long_parameters {
    use super::*;

    #[tokio::test]
    async fn are_refused_beyond_the_limit() -> Result<()> {
        let sandbox = Sandbox::new(guests::LONG_PARAMETERS).await?;
        let (outcome, _) = sandbox.beside(sandbox.storage.get_message_state("1000", None)).await?;
        assert_eq!(outcome, Ok(None));
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("1001", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["invalid-statement", "limited to 1000 bytes"]);
        assert_eq!(discarded, 0);
        assert_eq!(sandbox.marks()?.iter().filter(|mark| mark.len() >= 1000).count(), 1);
        Ok(())
    }

    #[tokio::test]
    async fn end_where_there_are_too_many() -> Result<()> {
        let sandbox = Sandbox::with(guests::LONG_PARAMETERS, Limits { memory: 64 << 20, ..LIMITS }).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("many", None)).await?;
        assert_error(&outcome, ErrorKind::Internal, &["plugin long_parameters", "too much data"]);
        assert_eq!(discarded, 1);
        Ok(())
    }
}

pub mod infinite_query {
    use super::*;

    const SHORT: Duration = Duration::from_secs(0);
    const LONG: Duration = Duration::from_secs(1);
    const ROWS: &str = "2";

    async fn ends_by_its_deadline(work: Duration) -> Result<()> {
        let sandbox = Sandbox::new(guests::INFINITE_QUERY).await?;
        let (outcome, _) = sandbox.beside(sandbox.storage.get_message_states_within_window(work)).await?;
        assert_error(&outcome, ErrorKind::Timeout, &["deadline passed"]);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ends_by_its_deadline_as_short_work() -> Result<()> {
        ends_by_its_deadline(SHORT).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ends_by_its_deadline_as_long_work() -> Result<()> {
        ends_by_its_deadline(LONG).await
    }

    #[tokio::test]
    async fn ends_by_its_deadline_as_short_work_on_one_thread() -> Result<()> {
        ends_by_its_deadline(SHORT).await
    }

    #[tokio::test]
    async fn ends_by_its_deadline_as_long_work_on_one_thread() -> Result<()> {
        ends_by_its_deadline(LONG).await
    }

    #[tokio::test]
    async fn ends_at_the_limit_on_rows() -> Result<()> {
        let sandbox = Sandbox::new(guests::INFINITE_QUERY).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state(ROWS, None)).await?;
        assert_error(&outcome, ErrorKind::Refused, &["1000 rows"]);
        assert_eq!(discarded, 0);
        Ok(())
    }

    #[tokio::test]
    async fn ends_when_its_caller_is_gone() -> Result<()> {
        let sandbox = Sandbox::new(guests::INFINITE_QUERY).await?;
        let call = tokio::time::timeout(Duration::from_millis(50), sandbox.storage.get_message_state("1", None));
        let (outcome, discarded) = sandbox.beside(call).await?;
        assert!(outcome.is_err(), "{outcome:?}");
        assert_eq!(discarded, 1);
        Ok(())
    }
}
