//! Which states lie within a window before now.

use std::time::Duration;

use super::{Case, NOW, Outcome, keys, state, upsert_states};
use crate::{BoxError, Subject};

pub(super) const CASES: &[Case] = cases![Initialized:
    a_state_exactly_at_the_cutoff_is_within_the_window,
    a_state_one_second_before_the_cutoff_is_not,
    a_state_in_the_future_is_within_every_window,
    a_window_of_zero_holds_what_was_seen_now_or_later,
    a_window_moves_with_the_clock,
    a_fraction_of_a_second_rounds_the_cutoff_down,
    one_nanosecond_reaches_back_a_whole_second,
    the_longest_window_of_the_contract_has_an_exact_cutoff,
    a_window_longer_than_the_contract_knows_holds_all_of_history,
    a_window_longer_than_the_age_of_the_clock_reaches_before_1970,
    a_window_with_nothing_in_it_is_empty,
    a_window_is_ordered_like_the_list_of_all,
    a_window_holds_states_with_and_without_a_thread,
    a_state_that_is_written_again_with_an_older_time_leaves_the_window,
];

async fn channels_within(s: &Subject, window: Duration) -> Result<Vec<String>, BoxError> {
    let rows = s.get_message_states_within_window(window).await?;
    Ok(rows.into_iter().map(|row| row.channel_id).collect())
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);

async fn a_state_exactly_at_the_cutoff_is_within_the_window(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW - 300)).await?;
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, ["c"]);
    Ok(())
}

async fn a_state_one_second_before_the_cutoff_is_not(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW - 301)).await?;
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, Vec::<String>::new());
    Ok(())
}

async fn a_state_in_the_future_is_within_every_window(s: &Subject) -> Outcome {
    upsert_states(s, &[state("a", None, "m", NOW + 1), state("b", None, "m", NOW + 1_000_000_000)]).await?;
    for window in [Duration::ZERO, Duration::from_secs(1), FIVE_MINUTES] {
        assert_eq!(channels_within(s, window).await?, ["b", "a"], "{window:?}");
    }
    Ok(())
}

async fn a_window_of_zero_holds_what_was_seen_now_or_later(s: &Subject) -> Outcome {
    upsert_states(s, &[state("a", None, "m", NOW - 1), state("b", None, "m", NOW), state("c", None, "m", NOW + 1)])
        .await?;
    assert_eq!(channels_within(s, Duration::ZERO).await?, ["c", "b"]);
    Ok(())
}

async fn a_window_moves_with_the_clock(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    s.clock().set(NOW + 300);
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, ["c"]);
    s.clock().set(NOW + 301);
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, Vec::<String>::new());
    s.clock().set(NOW - 10_000);
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, ["c"]);
    Ok(())
}

async fn a_fraction_of_a_second_rounds_the_cutoff_down(s: &Subject) -> Outcome {
    upsert_states(s, &[state("in", None, "m", NOW - 2), state("out", None, "m", NOW - 3)]).await?;
    assert_eq!(channels_within(s, Duration::from_millis(1500)).await?, ["in"]);
    Ok(())
}

async fn one_nanosecond_reaches_back_a_whole_second(s: &Subject) -> Outcome {
    upsert_states(s, &[state("in", None, "m", NOW - 1), state("out", None, "m", NOW - 2)]).await?;
    assert_eq!(channels_within(s, Duration::from_nanos(1)).await?, ["in"]);
    Ok(())
}

async fn the_longest_window_of_the_contract_has_an_exact_cutoff(s: &Subject) -> Outcome {
    // floor(NOW - 18,446,744,073.709551615 s)
    let cutoff = NOW - 18_446_744_074;
    upsert_states(s, &[state("in", None, "m", cutoff), state("out", None, "m", cutoff - 1)]).await?;
    assert_eq!(channels_within(s, Duration::from_nanos(u64::MAX)).await?, ["in"]);
    Ok(())
}

async fn a_window_longer_than_the_contract_knows_holds_all_of_history(s: &Subject) -> Outcome {
    upsert_states(s, &[state("a", None, "m", NOW), state("b", None, "m", 0), state("c", None, "m", -NOW)]).await?;
    assert_eq!(channels_within(s, Duration::MAX).await?, ["a", "b", "c"]);
    Ok(())
}

async fn a_window_longer_than_the_age_of_the_clock_reaches_before_1970(s: &Subject) -> Outcome {
    s.clock().set(100);
    upsert_states(s, &[state("in", None, "m", -200), state("out", None, "m", -201)]).await?;
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, ["in"]);
    Ok(())
}

async fn a_window_with_nothing_in_it_is_empty(s: &Subject) -> Outcome {
    assert_eq!(s.get_message_states_within_window(FIVE_MINUTES).await?, []);
    s.upsert_message_state(&state("c", None, "m", 0)).await?;
    assert_eq!(s.get_message_states_within_window(FIVE_MINUTES).await?, []);
    Ok(())
}

async fn a_window_is_ordered_like_the_list_of_all(s: &Subject) -> Outcome {
    upsert_states(
        s,
        &[
            state("b", None, "m", NOW - 5),
            state("a", Some("z"), "m", NOW - 5),
            state("c", None, "m", NOW - 1),
            state("a", None, "m", NOW - 5),
            state("d", None, "m", NOW - 200),
            state("e", None, "m", NOW - 10),
        ],
    )
    .await?;
    let mut expected = s.get_all_message_states().await?;
    expected.retain(|row| row.channel_id != "d");
    assert_eq!(keys(&expected), [("c", None), ("a", None), ("a", Some("z")), ("b", None), ("e", None)]);
    assert_eq!(s.get_message_states_within_window(Duration::from_secs(60)).await?, expected);
    Ok(())
}

async fn a_window_holds_states_with_and_without_a_thread(s: &Subject) -> Outcome {
    upsert_states(s, &[state("c", None, "m", NOW), state("c", Some("t"), "n", NOW)]).await?;
    let rows = s.get_message_states_within_window(FIVE_MINUTES).await?;
    assert_eq!(keys(&rows), [("c", None), ("c", Some("t"))]);
    Ok(())
}

async fn a_state_that_is_written_again_with_an_older_time_leaves_the_window(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, ["c"]);
    s.upsert_message_state(&state("c", None, "m", NOW - 1000)).await?;
    assert_eq!(channels_within(s, FIVE_MINUTES).await?, Vec::<String>::new());
    Ok(())
}
