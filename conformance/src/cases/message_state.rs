//! Reading and writing the state of one channel or thread.

use cofferdam::MessageState;

use super::{Case, NOW, Outcome, keys, state, upsert_states, without_id};
use crate::{BoxError, Subject};

pub(super) const CASES: &[Case] = cases![Initialized:
    a_state_that_is_not_there_is_none,
    a_new_state_is_read_back_as_written,
    a_state_in_a_thread_is_read_back_as_written,
    no_thread_matches_only_states_without_a_thread,
    a_thread_matches_only_that_thread,
    a_thread_may_be_named_as_its_channel,
    the_same_thread_in_two_channels_is_two_states,
    channel_and_thread_do_not_run_together,
    an_insert_without_created_at_takes_now,
    an_insert_keeps_the_created_at_of_the_caller,
    an_insert_keeps_a_negative_created_at,
    an_insert_ignores_the_updated_at_of_the_caller,
    an_update_keeps_the_stored_created_at,
    an_update_ignores_the_created_at_of_the_caller,
    an_update_changes_message_seen_and_updated_at_only,
    an_update_leaves_other_states_alone,
    an_update_keeps_the_id,
    the_id_of_the_caller_is_ignored,
    every_state_has_an_id_of_its_own,
    the_last_write_wins_even_with_an_older_message,
    the_last_write_wins_even_when_the_clock_went_back,
    upserting_the_same_again_changes_nothing,
    upserting_without_a_thread_again_leaves_one_row,
];

async fn stored(s: &Subject, channel: &str, thread: Option<&str>) -> Result<MessageState, BoxError> {
    s.get_message_state(channel, thread).await?.ok_or_else(|| "the state is not there".into())
}

async fn a_state_that_is_not_there_is_none(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", NOW)).await?;
    assert_eq!(s.get_message_state("d", None).await?, None);
    assert_eq!(s.get_message_state("d", Some("t")).await?, None);
    Ok(())
}

async fn a_new_state_is_read_back_as_written(s: &Subject) -> Outcome {
    let written = MessageState { created_at: 12, ..state("c", None, "m", 34) };
    s.upsert_message_state(&written).await?;
    assert_eq!(without_id(stored(s, "c", None).await?), MessageState { updated_at: NOW, ..written });
    Ok(())
}

async fn a_state_in_a_thread_is_read_back_as_written(s: &Subject) -> Outcome {
    let written = MessageState { created_at: 12, ..state("c", Some("t"), "m", 34) };
    s.upsert_message_state(&written).await?;
    assert_eq!(without_id(stored(s, "c", Some("t")).await?), MessageState { updated_at: NOW, ..written });
    Ok(())
}

async fn no_thread_matches_only_states_without_a_thread(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", NOW)).await?;
    assert_eq!(s.get_message_state("c", None).await?, None);
    Ok(())
}

async fn a_thread_matches_only_that_thread(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", None, "m", NOW), state("c", Some("t"), "n", NOW)]).await?;
    assert_eq!(s.get_message_state("c", Some("u")).await?, None);
    assert_eq!(stored(s, "c", Some("t")).await?.last_message_id, "n");
    assert_eq!(stored(s, "c", None).await?.last_message_id, "m");
    Ok(())
}

async fn a_thread_may_be_named_as_its_channel(s: &Subject) -> Outcome {
    upsert_states(s, &[state("t", Some("t"), "in thread", NOW), state("t", None, "in channel", NOW)]).await?;
    assert_eq!(stored(s, "t", Some("t")).await?.last_message_id, "in thread");
    assert_eq!(stored(s, "t", None).await?.last_message_id, "in channel");
    Ok(())
}

async fn the_same_thread_in_two_channels_is_two_states(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", Some("t"), "m", NOW), state("d", Some("t"), "n", NOW)]).await?;
    assert_eq!(stored(s, "c", Some("t")).await?.last_message_id, "m");
    assert_eq!(stored(s, "d", Some("t")).await?.last_message_id, "n");
    Ok(())
}

async fn channel_and_thread_do_not_run_together(s: &Subject) -> Outcome {
    upsert_states(s, &[state("ab", Some("c"), "m", NOW), state("a", Some("bc"), "n", NOW)]).await?;
    assert_eq!(stored(s, "ab", Some("c")).await?.last_message_id, "m");
    assert_eq!(stored(s, "a", Some("bc")).await?.last_message_id, "n");
    assert_eq!(s.get_message_state("abc", None).await?, None);
    Ok(())
}

async fn an_insert_without_created_at_takes_now(s: &Subject) -> Outcome {
    s.clock().set(NOW + 5);
    s.upsert_message_state(&state("c", None, "m", 1)).await?;
    assert_eq!(stored(s, "c", None).await?.created_at, NOW + 5);
    Ok(())
}

async fn an_insert_keeps_the_created_at_of_the_caller(s: &Subject) -> Outcome {
    s.upsert_message_state(&MessageState { created_at: 1, ..state("c", None, "m", 1) }).await?;
    s.upsert_message_state(&MessageState { created_at: NOW + 99, ..state("d", None, "m", 1) }).await?;
    assert_eq!(stored(s, "c", None).await?.created_at, 1);
    assert_eq!(stored(s, "d", None).await?.created_at, NOW + 99);
    Ok(())
}

async fn an_insert_keeps_a_negative_created_at(s: &Subject) -> Outcome {
    s.upsert_message_state(&MessageState { created_at: -1, ..state("c", None, "m", 1) }).await?;
    assert_eq!(stored(s, "c", None).await?.created_at, -1);
    Ok(())
}

async fn an_insert_ignores_the_updated_at_of_the_caller(s: &Subject) -> Outcome {
    s.upsert_message_state(&MessageState { updated_at: 77, ..state("c", None, "m", 1) }).await?;
    assert_eq!(stored(s, "c", None).await?.updated_at, NOW);
    Ok(())
}

async fn an_update_keeps_the_stored_created_at(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", 1)).await?;
    s.clock().set(NOW + 10);
    s.upsert_message_state(&state("c", None, "n", 2)).await?;
    assert_eq!(stored(s, "c", None).await?.created_at, NOW);
    Ok(())
}

async fn an_update_ignores_the_created_at_of_the_caller(s: &Subject) -> Outcome {
    s.upsert_message_state(&MessageState { created_at: 5, ..state("c", Some("t"), "m", 1) }).await?;
    s.upsert_message_state(&MessageState { created_at: 6, ..state("c", Some("t"), "n", 2) }).await?;
    assert_eq!(stored(s, "c", Some("t")).await?.created_at, 5);
    Ok(())
}

async fn an_update_changes_message_seen_and_updated_at_only(s: &Subject) -> Outcome {
    s.upsert_message_state(&MessageState { created_at: 5, ..state("c", Some("t"), "m", 1) }).await?;
    let before = stored(s, "c", Some("t")).await?;
    s.clock().set(NOW + 10);
    s.upsert_message_state(&MessageState { id: 99, created_at: 6, updated_at: 7, ..state("c", Some("t"), "n", 2) })
        .await?;
    let expected = MessageState { last_message_id: "n".into(), last_seen_timestamp: 2, updated_at: NOW + 10, ..before };
    assert_eq!(stored(s, "c", Some("t")).await?, expected);
    Ok(())
}

async fn an_update_leaves_other_states_alone(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", None, "m", 1), state("c", Some("t"), "m", 1), state("d", None, "m", 1)]).await?;
    let (threaded, other) = (stored(s, "c", Some("t")).await?, stored(s, "d", None).await?);
    s.clock().set(NOW + 10);
    s.upsert_message_state(&state("c", None, "n", 2)).await?;
    assert_eq!((stored(s, "c", Some("t")).await?, stored(s, "d", None).await?), (threaded, other));
    Ok(())
}

async fn an_update_keeps_the_id(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", None, "m", 1), state("d", None, "m", 1)]).await?;
    let before = stored(s, "c", None).await?.id;
    s.upsert_message_state(&state("c", None, "n", 2)).await?;
    assert_eq!(stored(s, "c", None).await?.id, before);
    Ok(())
}

async fn the_id_of_the_caller_is_ignored(s: &Subject) -> Outcome {
    for (channel, id) in [("a", 7), ("b", 7), ("c", i64::MAX), ("d", i64::MIN), ("e", -1)] {
        s.upsert_message_state(&MessageState { id, ..state(channel, None, "m", NOW) }).await?;
    }
    let rows = s.get_all_message_states().await?;
    assert_eq!(keys(&rows), ["a", "b", "c", "d", "e"].map(|channel| (channel, None)));
    assert!(rows.iter().all(|row| row.id > 0 && row.id < i64::MAX));
    Ok(())
}

async fn every_state_has_an_id_of_its_own(s: &Subject) -> Outcome {
    for number in 0..20 {
        s.upsert_message_state(&state("c", Some(&format!("t{number}")), "m", NOW)).await?;
    }
    let mut ids: Vec<i64> = s.get_all_message_states().await?.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    Ok(())
}

async fn the_last_write_wins_even_with_an_older_message(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", None, "2000", NOW), state("c", None, "1000", NOW - 500)]).await?;
    let row = stored(s, "c", None).await?;
    assert_eq!((row.last_message_id.as_str(), row.last_seen_timestamp), ("1000", NOW - 500));
    Ok(())
}

async fn the_last_write_wins_even_when_the_clock_went_back(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", 1)).await?;
    s.clock().set(NOW - 3600);
    s.upsert_message_state(&state("c", None, "n", 2)).await?;
    let row = stored(s, "c", None).await?;
    assert_eq!((row.last_message_id.as_str(), row.created_at, row.updated_at), ("n", NOW, NOW - 3600));
    Ok(())
}

async fn upserting_the_same_again_changes_nothing(s: &Subject) -> Outcome {
    let written = state("c", Some("t"), "m", 1);
    s.upsert_message_state(&written).await?;
    let before = s.get_all_message_states().await?;
    upsert_states(s, &[written.clone(), written]).await?;
    assert_eq!(s.get_all_message_states().await?, before);
    Ok(())
}

async fn upserting_without_a_thread_again_leaves_one_row(s: &Subject) -> Outcome {
    for message in ["1", "2", "3"] {
        s.upsert_message_state(&state("c", None, message, NOW)).await?;
    }
    let rows = s.get_all_message_states().await?;
    assert_eq!(keys(&rows), [("c", None)]);
    assert_eq!(rows[0].last_message_id, "3");
    Ok(())
}
