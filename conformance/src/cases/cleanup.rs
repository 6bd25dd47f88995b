//! Deleting ownerships that are older than an age.

use std::time::Duration;

use cofferdam::Written::Stored;

use super::{Case, NOW, Outcome, assert_invalid, ownership, state, threads, upsert_ownerships};
use crate::Subject;

pub(super) const CASES: &[Case] = cases![Initialized:
    an_ownership_exactly_that_old_stays,
    an_ownership_one_second_older_goes,
    cleanup_returns_how_many_went,
    cleanup_of_nothing_returns_zero,
    cleanup_twice_finds_nothing_the_second_time,
    an_age_of_zero_is_invalid_and_deletes_nothing,
    a_fraction_of_a_second_rounds_the_age_cutoff_down,
    cleanup_looks_at_the_creation_time_only,
    cleanup_leaves_the_future_alone,
    cleanup_leaves_message_states_alone,
    the_longest_age_deletes_nothing_since_1970,
    an_age_before_1970_has_an_exact_cutoff,
    a_deleted_ownership_can_be_written_again,
];

const HOUR: Duration = Duration::from_secs(3600);

async fn an_ownership_exactly_that_old_stays(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", NOW - 3600)).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(0));
    assert!(s.get_thread_ownership("t").await?.is_some());
    Ok(())
}

async fn an_ownership_one_second_older_goes(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", NOW - 3601)).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(1));
    assert_eq!(s.get_thread_ownership("t").await?, None);
    Ok(())
}

async fn cleanup_returns_how_many_went(s: &Subject) -> Outcome {
    let ages = [0, 10, 3599, 3600, 3601, 3602, 100_000, 1_000_000];
    for age in ages {
        s.upsert_thread_ownership(&ownership(&age.to_string(), NOW - age)).await?;
    }
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(4));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["0", "10", "3599", "3600"]);
    Ok(())
}

async fn cleanup_of_nothing_returns_zero(s: &Subject) -> Outcome {
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(0));
    Ok(())
}

async fn cleanup_twice_finds_nothing_the_second_time(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", 1), ownership("u", NOW)]).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(1));
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(0));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["u"]);
    Ok(())
}

async fn an_age_of_zero_is_invalid_and_deletes_nothing(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    assert_invalid(&s.cleanup_old_thread_ownerships(Duration::ZERO).await);
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["t"]);
    Ok(())
}

async fn a_fraction_of_a_second_rounds_the_age_cutoff_down(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("stays", NOW - 2), ownership("goes", NOW - 3)]).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(Duration::from_millis(1500)).await?, Stored(1));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["stays"]);
    assert_eq!(s.cleanup_old_thread_ownerships(Duration::from_nanos(1)).await?, Stored(1));
    Ok(())
}

async fn cleanup_looks_at_the_creation_time_only(s: &Subject) -> Outcome {
    s.clock().set(NOW - 100_000);
    s.upsert_thread_ownership(&ownership("written long ago", NOW)).await?;
    s.clock().set(NOW);
    s.upsert_thread_ownership(&ownership("written now", NOW - 100_000)).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(1));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["written long ago"]);
    Ok(())
}

async fn cleanup_leaves_the_future_alone(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", NOW + 1), ownership("u", i64::MAX)]).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(Duration::from_nanos(1)).await?, Stored(0));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["u", "t"]);
    Ok(())
}

async fn cleanup_leaves_message_states_alone(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("t", Some("t"), "m", 1)).await?;
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(1));
    assert_eq!(s.get_all_message_states().await?.len(), 1);
    Ok(())
}

async fn the_longest_age_deletes_nothing_since_1970(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", 0), ownership("u", NOW)]).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(Duration::from_nanos(u64::MAX)).await?, Stored(0));
    assert_eq!(s.cleanup_old_thread_ownerships(Duration::MAX).await?, Stored(0));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["u", "t"]);
    Ok(())
}

async fn an_age_before_1970_has_an_exact_cutoff(s: &Subject) -> Outcome {
    s.clock().set(100);
    upsert_ownerships(s, &[ownership("t", -3500), ownership("u", -3501), ownership("v", i64::MIN)]).await?;
    assert_eq!(s.cleanup_old_thread_ownerships(HOUR).await?, Stored(2));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["t"]);
    Ok(())
}

async fn a_deleted_ownership_can_be_written_again(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    s.cleanup_old_thread_ownerships(HOUR).await?;
    s.clock().set(NOW + 10);
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let row = s.get_thread_ownership("t").await?;
    assert_eq!(row.map(|row| (row.creation_time, row.created_at)), Some((NOW, NOW + 10)));
    Ok(())
}
