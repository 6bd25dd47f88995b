//! Reading and writing who owns a thread.

use cofferdam::ThreadOwnership;

use super::{Case, NOW, Outcome, ownership, state, threads, upsert_ownerships};
use crate::{BoxError, Subject};

pub(super) const CASES: &[Case] = cases![Initialized:
    an_ownership_that_is_not_there_is_none,
    a_new_ownership_is_read_back_with_now_in_both_times,
    an_insert_ignores_the_times_of_the_caller,
    an_update_changes_all_but_id_thread_and_created_at,
    an_update_leaves_other_ownerships_alone,
    the_last_ownership_wins_even_if_older,
    the_id_of_an_ownership_is_ignored,
    upserting_the_same_ownership_again_changes_nothing,
    an_ownership_and_a_state_of_the_same_thread_are_apart,
    a_user_may_own_many_threads,
];

async fn stored(s: &Subject, thread: &str) -> Result<ThreadOwnership, BoxError> {
    s.get_thread_ownership(thread).await?.ok_or_else(|| "the ownership is not there".into())
}

async fn an_ownership_that_is_not_there_is_none(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    assert_eq!(s.get_thread_ownership("u").await?, None);
    Ok(())
}

async fn a_new_ownership_is_read_back_with_now_in_both_times(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ThreadOwnership::new("t", "user", "bot", 34)).await?;
    let row = stored(s, "t").await?;
    let expected = ThreadOwnership {
        id: row.id,
        created_at: NOW,
        updated_at: NOW,
        ..ThreadOwnership::new("t", "user", "bot", 34)
    };
    assert_eq!(row, expected);
    Ok(())
}

async fn an_insert_ignores_the_times_of_the_caller(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ThreadOwnership { created_at: 5, updated_at: 6, ..ownership("t", 34) }).await?;
    let row = stored(s, "t").await?;
    assert_eq!((row.created_at, row.updated_at), (NOW, NOW));
    Ok(())
}

async fn an_update_changes_all_but_id_thread_and_created_at(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ThreadOwnership::new("t", "user", "bot", 34)).await?;
    let before = stored(s, "t").await?;
    s.clock().set(NOW + 10);
    let again = ThreadOwnership {
        id: 99,
        created_at: 5,
        updated_at: 6,
        ..ThreadOwnership::new("t", "another user", "another bot", 35)
    };
    s.upsert_thread_ownership(&again).await?;
    let expected = ThreadOwnership { id: before.id, created_at: NOW, updated_at: NOW + 10, ..again };
    assert_eq!(stored(s, "t").await?, expected);
    Ok(())
}

async fn an_update_leaves_other_ownerships_alone(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", 1), ownership("u", 2)]).await?;
    let other = stored(s, "u").await?;
    s.clock().set(NOW + 10);
    s.upsert_thread_ownership(&ownership("t", 3)).await?;
    assert_eq!(stored(s, "u").await?, other);
    Ok(())
}

async fn the_last_ownership_wins_even_if_older(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", 100), ownership("t", 50)]).await?;
    assert_eq!(stored(s, "t").await?.creation_time, 50);
    Ok(())
}

async fn the_id_of_an_ownership_is_ignored(s: &Subject) -> Outcome {
    for (thread, id) in [("a", 7), ("b", 7), ("c", i64::MAX), ("d", i64::MIN)] {
        s.upsert_thread_ownership(&ThreadOwnership { id, ..ownership(thread, NOW) }).await?;
    }
    let rows = s.get_all_thread_ownerships().await?;
    assert_eq!(threads(&rows), ["a", "b", "c", "d"]);
    assert!(rows.iter().all(|row| row.id > 0 && row.id < i64::MAX));
    assert!(rows[0].id != rows[1].id);
    Ok(())
}

async fn upserting_the_same_ownership_again_changes_nothing(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    let before = s.get_all_thread_ownerships().await?;
    upsert_ownerships(s, &[ownership("t", 1), ownership("t", 1)]).await?;
    assert_eq!(s.get_all_thread_ownerships().await?, before);
    Ok(())
}

async fn an_ownership_and_a_state_of_the_same_thread_are_apart(s: &Subject) -> Outcome {
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    assert_eq!(s.get_message_state("t", Some("t")).await?, None);
    s.upsert_message_state(&state("t", Some("t"), "m", 2)).await?;
    assert_eq!(stored(s, "t").await?.creation_time, 1);
    Ok(())
}

async fn a_user_may_own_many_threads(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("t", 3), ownership("u", 2), ownership("v", 1)]).await?;
    let rows = s.get_all_thread_ownerships().await?;
    assert_eq!(threads(&rows), ["t", "u", "v"]);
    assert!(rows.iter().all(|row| row.original_user_id == "a user"));
    Ok(())
}
