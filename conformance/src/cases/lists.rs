//! The order of lists.

use super::{Case, NOW, Outcome, keys, ownership, state, threads, upsert_ownerships, upsert_states};
use crate::Subject;

pub(super) const CASES: &[Case] = cases![Initialized:
    states_come_newest_first,
    states_seen_at_the_same_time_come_by_channel_then_thread_with_none_first,
    ties_of_states_compare_bytes_not_letters,
    a_longer_id_comes_after_its_own_beginning,
    writing_a_state_again_moves_it_to_its_new_place,
    ownerships_come_newest_first,
    ownerships_made_at_the_same_time_come_by_thread,
    ties_of_ownerships_compare_bytes_not_letters,
    a_list_holds_thousands_of_rows,
    the_smallest_and_greatest_times_have_their_places,
];

/// In the order of their bytes, which is neither that of a dictionary nor that of UTF-16 code units: the last is
/// beyond the basic plane and comes before U+FF5E in UTF-16.
const BYTEWISE: [&str; 13] = [" ", "-1", "1", "10", "9", "A", "Z", "_", "a", "z", "\u{e4}", "\u{ff5e}", "\u{1f600}"];

async fn states_come_newest_first(s: &Subject) -> Outcome {
    upsert_states(s, &[state("a", None, "m", 20), state("b", None, "m", 30), state("c", None, "m", 10)]).await?;
    let rows = s.get_all_message_states().await?;
    assert_eq!(keys(&rows), [("b", None), ("a", None), ("c", None)]);
    Ok(())
}

async fn states_seen_at_the_same_time_come_by_channel_then_thread_with_none_first(s: &Subject) -> Outcome {
    let ordered = [("a", None), ("a", Some("1")), ("a", Some("2")), ("b", None), ("b", Some(" ")), ("b", Some("x"))];
    for (channel, thread) in [ordered[4], ordered[1], ordered[5], ordered[3], ordered[0], ordered[2]] {
        s.upsert_message_state(&state(channel, thread, "m", NOW)).await?;
    }
    assert_eq!(keys(&s.get_all_message_states().await?), ordered);
    Ok(())
}

async fn ties_of_states_compare_bytes_not_letters(s: &Subject) -> Outcome {
    for id in BYTEWISE.iter().rev() {
        s.upsert_message_state(&state("c", Some(id), "m", NOW)).await?;
        s.upsert_message_state(&state(id, None, "m", NOW - 1)).await?;
    }
    let mut expected: Vec<(&str, Option<&str>)> = BYTEWISE.iter().map(|id| ("c", Some(*id))).collect();
    expected.extend(BYTEWISE.iter().map(|id| (*id, None)));
    assert_eq!(keys(&s.get_all_message_states().await?), expected);
    Ok(())
}

async fn a_longer_id_comes_after_its_own_beginning(s: &Subject) -> Outcome {
    let ordered = ["a", "a\u{1}", "a ", "aa", "a\u{1f600}"];
    for id in [3, 1, 4, 0, 2].map(|place: usize| ordered[place]) {
        s.upsert_message_state(&state(id, None, "m", NOW)).await?;
        s.upsert_thread_ownership(&ownership(id, NOW)).await?;
    }
    assert_eq!(keys(&s.get_all_message_states().await?), ordered.map(|id| (id, None)));
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ordered);
    Ok(())
}

async fn writing_a_state_again_moves_it_to_its_new_place(s: &Subject) -> Outcome {
    upsert_states(s, &[state("a", None, "m", 10), state("b", None, "m", 20)]).await?;
    s.upsert_message_state(&state("a", None, "m", 30)).await?;
    assert_eq!(keys(&s.get_all_message_states().await?), [("a", None), ("b", None)]);
    Ok(())
}

async fn ownerships_come_newest_first(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("a", 20), ownership("b", 30), ownership("c", 10)]).await?;
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["b", "a", "c"]);
    Ok(())
}

async fn ownerships_made_at_the_same_time_come_by_thread(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("c", 5), ownership("a", 5), ownership("b", 5)]).await?;
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), ["a", "b", "c"]);
    Ok(())
}

async fn ties_of_ownerships_compare_bytes_not_letters(s: &Subject) -> Outcome {
    for id in BYTEWISE.iter().rev() {
        s.upsert_thread_ownership(&ownership(id, NOW)).await?;
    }
    assert_eq!(threads(&s.get_all_thread_ownerships().await?), BYTEWISE);
    Ok(())
}

async fn a_list_holds_thousands_of_rows(s: &Subject) -> Outcome {
    let states: Vec<_> = (0..3000).map(|n| state(&format!("c{n:04}"), None, "m", NOW - n)).collect();
    let ownerships: Vec<_> = (0..3000).map(|n| ownership(&format!("t{n:04}"), NOW - n)).collect();
    s.import_message_states(&states).await?;
    s.import_thread_ownerships(&ownerships).await?;
    let rows = s.get_all_message_states().await?;
    assert!(keys(&rows) == keys(&states), "3000 states in their order");
    let rows = s.get_all_thread_ownerships().await?;
    assert!(threads(&rows) == threads(&ownerships), "3000 ownerships in their order");
    Ok(())
}

async fn the_smallest_and_greatest_times_have_their_places(s: &Subject) -> Outcome {
    let ordered = [i64::MAX, NOW, 1, 0, -1, i64::MIN];
    for place in [2_usize, 5, 0, 3, 1, 4] {
        s.upsert_message_state(&state(&format!("c{place}"), None, "m", ordered[place])).await?;
        s.upsert_thread_ownership(&ownership(&format!("c{place}"), ordered[place])).await?;
    }
    let seen: Vec<i64> = s.get_all_message_states().await?.iter().map(|row| row.last_seen_timestamp).collect();
    assert_eq!(seen, ordered);
    let made: Vec<i64> = s.get_all_thread_ownerships().await?.iter().map(|row| row.creation_time).collect();
    assert_eq!(made, ordered);
    Ok(())
}
