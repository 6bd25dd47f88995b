//! Exports come in pages in the order of keys.

use cofferdam::MessageKey;

use super::super::{Case, NOW, Outcome, assert_invalid, keys, ownership, state, threads, upsert_ownerships};
use crate::Subject;

pub(in super::super) const CASES: &[Case] = cases![Initialized:
    an_export_of_nothing_is_empty,
    states_are_exported_in_key_order_whatever_their_times,
    ownerships_are_exported_in_key_order_whatever_their_times,
    keys_order_bytewise_across_all_of_unicode,
    a_page_starts_after_its_key,
    a_page_may_start_after_a_key_that_is_not_there,
    no_thread_comes_before_every_thread_of_its_channel,
    a_page_holds_no_more_than_its_limit,
    a_page_after_the_last_key_is_empty,
    a_limit_of_zero_is_invalid,
    the_greatest_limit_is_fine,
    pages_of_every_size_add_up_to_everything,
    an_export_gives_every_value_as_it_is_stored,
];

fn key(channel: &str, thread: Option<&str>) -> MessageKey {
    MessageKey { channel_id: channel.into(), thread_id: thread.map(Into::into) }
}

const KEYS: [(&str, Option<&str>); 9] = [
    ("A", None),
    ("a", None),
    ("a", Some(" ")),
    ("a", Some("Z")),
    ("a", Some("z")),
    ("a ", None),
    ("aa", Some("x")),
    ("\u{ff5e}", None),
    ("\u{1f600}", Some("\u{1f600}")),
];

/// Writes [`KEYS`] so that neither the order of insertion nor that of times is the order of keys.
async fn fill(s: &Subject) -> Outcome {
    for place in [4_usize, 0, 8, 2, 6, 1, 7, 3, 5] {
        let (channel, thread) = KEYS[place];
        s.upsert_message_state(&state(channel, thread, "m", NOW + (place as i64 * 7) % 5)).await?;
    }
    Ok(())
}

async fn an_export_of_nothing_is_empty(s: &Subject) -> Outcome {
    assert_eq!(s.export_message_states(None, 10).await?, []);
    assert_eq!(s.export_message_states(Some(&key("a", None)), 10).await?, []);
    assert_eq!(s.export_thread_ownerships(None, 10).await?, []);
    assert_eq!(s.export_thread_ownerships(Some("a"), 10).await?, []);
    Ok(())
}

async fn states_are_exported_in_key_order_whatever_their_times(s: &Subject) -> Outcome {
    fill(s).await?;
    assert_eq!(keys(&s.export_message_states(None, 100).await?), KEYS);
    Ok(())
}

async fn ownerships_are_exported_in_key_order_whatever_their_times(s: &Subject) -> Outcome {
    upsert_ownerships(s, &[ownership("c", 3), ownership("a", 2), ownership("b", 9)]).await?;
    assert_eq!(threads(&s.export_thread_ownerships(None, 100).await?), ["a", "b", "c"]);
    Ok(())
}

async fn keys_order_bytewise_across_all_of_unicode(s: &Subject) -> Outcome {
    let ordered = ["\u{1}", " ", "A", "B", "a", "\u{7f}", "\u{80}", "\u{df}", "\u{7ff}", "\u{ffff}", "\u{10000}"];
    for id in ordered.iter().rev() {
        s.upsert_message_state(&state(id, None, "m", NOW)).await?;
        s.upsert_thread_ownership(&ownership(id, NOW)).await?;
    }
    assert_eq!(keys(&s.export_message_states(None, 100).await?), ordered.map(|id| (id, None)));
    assert_eq!(threads(&s.export_thread_ownerships(None, 100).await?), ordered);
    Ok(())
}

async fn a_page_starts_after_its_key(s: &Subject) -> Outcome {
    fill(s).await?;
    for (place, (channel, thread)) in KEYS.iter().enumerate() {
        let page = s.export_message_states(Some(&key(channel, *thread)), 100).await?;
        assert_eq!(keys(&page), KEYS[place + 1..], "after {channel:?} {thread:?}");
    }
    upsert_ownerships(s, &[ownership("a", 1), ownership("b", 1), ownership("c", 1)]).await?;
    assert_eq!(threads(&s.export_thread_ownerships(Some("a"), 100).await?), ["b", "c"]);
    Ok(())
}

async fn a_page_may_start_after_a_key_that_is_not_there(s: &Subject) -> Outcome {
    fill(s).await?;
    let page = s.export_message_states(Some(&key("a", Some("b"))), 100).await?;
    assert_eq!(keys(&page), KEYS[4..]);
    let page = s.export_message_states(Some(&key("B", Some("x"))), 100).await?;
    assert_eq!(keys(&page), KEYS[1..]);
    upsert_ownerships(s, &[ownership("a", 1), ownership("c", 1)]).await?;
    assert_eq!(threads(&s.export_thread_ownerships(Some("b"), 100).await?), ["c"]);
    Ok(())
}

async fn no_thread_comes_before_every_thread_of_its_channel(s: &Subject) -> Outcome {
    for thread in [Some("\u{1}"), Some("t"), None] {
        s.upsert_message_state(&state("c", thread, "m", NOW)).await?;
    }
    let page = s.export_message_states(None, 1).await?;
    assert_eq!(keys(&page), [("c", None)]);
    let page = s.export_message_states(Some(&key("c", None)), 100).await?;
    assert_eq!(keys(&page), [("c", Some("\u{1}")), ("c", Some("t"))]);
    Ok(())
}

async fn a_page_holds_no_more_than_its_limit(s: &Subject) -> Outcome {
    fill(s).await?;
    assert_eq!(keys(&s.export_message_states(None, 2).await?), KEYS[..2]);
    assert_eq!(keys(&s.export_message_states(Some(&key("a", None)), 3).await?), KEYS[2..5]);
    upsert_ownerships(s, &[ownership("a", 1), ownership("b", 1), ownership("c", 1)]).await?;
    assert_eq!(threads(&s.export_thread_ownerships(None, 2).await?), ["a", "b"]);
    Ok(())
}

async fn a_page_after_the_last_key_is_empty(s: &Subject) -> Outcome {
    fill(s).await?;
    s.upsert_thread_ownership(&ownership("c", 1)).await?;
    assert_eq!(s.export_message_states(Some(&key("\u{1f600}", Some("\u{1f600}"))), 5).await?, []);
    assert_eq!(s.export_message_states(Some(&key("\u{1f601}", None)), 5).await?, []);
    assert_eq!(s.export_thread_ownerships(Some("c"), 5).await?, []);
    Ok(())
}

async fn a_limit_of_zero_is_invalid(s: &Subject) -> Outcome {
    fill(s).await?;
    assert_invalid(&s.export_message_states(None, 0).await);
    assert_invalid(&s.export_message_states(Some(&key("a", None)), 0).await);
    assert_invalid(&s.export_thread_ownerships(None, 0).await);
    assert_invalid(&s.export_thread_ownerships(Some("a"), 0).await);
    Ok(())
}

async fn the_greatest_limit_is_fine(s: &Subject) -> Outcome {
    fill(s).await?;
    s.upsert_thread_ownership(&ownership("t", 1)).await?;
    assert_eq!(s.export_message_states(None, u32::MAX).await?.len(), KEYS.len());
    assert_eq!(s.export_thread_ownerships(None, u32::MAX).await?.len(), 1);
    Ok(())
}

async fn pages_of_every_size_add_up_to_everything(s: &Subject) -> Outcome {
    fill(s).await?;
    upsert_ownerships(s, &["a", "b", "c", "d", "e"].map(|thread| ownership(thread, 1))).await?;
    let (all_states, all_ownerships) =
        (s.export_message_states(None, 100).await?, s.export_thread_ownerships(None, 100).await?);
    for limit in 1..=10 {
        let (mut states, mut after) = (Vec::new(), None);
        loop {
            let page = s.export_message_states(after.as_ref(), limit).await?;
            let ended = page.len() < limit as usize;
            states.extend(page);
            assert!(states.len() <= all_states.len(), "pages of {limit} do not end");
            after = states.last().map(|last| key(&last.channel_id, last.thread_id.as_deref()));
            if ended {
                break;
            }
        }
        assert_eq!(states, all_states, "pages of {limit}");
        let (mut ownerships, mut after) = (Vec::new(), None);
        loop {
            let page = s.export_thread_ownerships(after.as_deref(), limit).await?;
            let ended = page.len() < limit as usize;
            ownerships.extend(page);
            assert!(ownerships.len() <= all_ownerships.len(), "pages of {limit} do not end");
            after = ownerships.last().map(|last| last.thread_id.clone());
            if ended {
                break;
            }
        }
        assert_eq!(ownerships, all_ownerships, "pages of {limit}");
    }
    Ok(())
}

async fn an_export_gives_every_value_as_it_is_stored(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", 5)).await?;
    s.upsert_message_state(&state("d", None, "n", -5)).await?;
    s.upsert_thread_ownership(&ownership("t", 7)).await?;
    let exported = s.export_message_states(None, 10).await?;
    assert_eq!(exported, s.get_all_message_states().await?);
    assert_eq!(s.export_thread_ownerships(None, 10).await?, s.get_all_thread_ownerships().await?);
    Ok(())
}
