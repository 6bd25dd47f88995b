//! Which ids are valid: 1 to 255 characters, no NUL.

use cofferdam::{MessageState, ThreadOwnership};

use super::{Case, NOW, Outcome, assert_invalid, ownership, state};
use crate::Subject;

pub(super) const CASES: &[Case] = cases![Initialized:
    an_id_of_one_character_is_valid,
    ids_of_255_characters_are_valid,
    ids_of_255_characters_of_several_bytes_are_valid,
    writing_ids_of_256_characters_is_invalid,
    writing_ids_of_256_characters_of_several_bytes_is_invalid,
    reading_ids_of_256_characters_is_invalid,
    writing_an_empty_id_is_invalid,
    reading_an_empty_id_is_invalid,
    an_empty_thread_is_invalid_and_no_thread_is_not,
    writing_an_id_with_nul_is_invalid,
    reading_an_id_with_nul_is_invalid,
    an_invalid_write_changes_nothing,
    an_id_that_is_far_too_long_is_invalid,
    ids_that_differ_in_their_last_character_are_two,
];

const LETTER: &str = "x";
const EMOJI: &str = "\u{1f980}";

fn long(character: &str, count: usize) -> String {
    character.repeat(count)
}

/// States and ownerships in which one id is `id` and the others are valid.
fn with_one_id(id: &str) -> (Vec<MessageState>, Vec<ThreadOwnership>) {
    let states = vec![
        state(id, None, "m", NOW),
        state(id, Some("t"), "m", NOW),
        state("c", Some(id), "m", NOW),
        state("d", None, id, NOW),
    ];
    let ownerships = vec![
        ThreadOwnership::new(id, "u", "b", NOW),
        ThreadOwnership::new("t", id, "b", NOW),
        ThreadOwnership::new("t", "u", id, NOW),
    ];
    (states, ownerships)
}

async fn assert_writes_invalid(s: &Subject, id: &str) {
    let (states, ownerships) = with_one_id(id);
    for state in &states {
        assert_invalid(&s.upsert_message_state(state).await);
    }
    for ownership in &ownerships {
        assert_invalid(&s.upsert_thread_ownership(ownership).await);
    }
}

async fn assert_reads_invalid(s: &Subject, id: &str) {
    assert_invalid(&s.get_message_state(id, None).await);
    assert_invalid(&s.get_message_state(id, Some("t")).await);
    assert_invalid(&s.get_message_state("c", Some(id)).await);
    assert_invalid(&s.get_thread_ownership(id).await);
}

async fn assert_kept(s: &Subject, id: &str) -> Outcome {
    let (states, ownerships) = with_one_id(id);
    for state in &states {
        s.upsert_message_state(state).await?;
        let row = s.get_message_state(&state.channel_id, state.thread_id.as_deref()).await?;
        let expected = MessageState { created_at: NOW, updated_at: NOW, ..state.clone() };
        assert_eq!(row.map(super::without_id), Some(expected));
    }
    for ownership in &ownerships {
        s.upsert_thread_ownership(ownership).await?;
        let row = s.get_thread_ownership(&ownership.thread_id).await?;
        let expected = ThreadOwnership { created_at: NOW, updated_at: NOW, ..ownership.clone() };
        assert_eq!(row.map(|row| ThreadOwnership { id: 0, ..row }), Some(expected));
    }
    Ok(())
}

async fn an_id_of_one_character_is_valid(s: &Subject) -> Outcome {
    assert_kept(s, LETTER).await
}

async fn ids_of_255_characters_are_valid(s: &Subject) -> Outcome {
    assert_kept(s, &long(LETTER, 255)).await
}

async fn ids_of_255_characters_of_several_bytes_are_valid(s: &Subject) -> Outcome {
    assert_kept(s, &long(EMOJI, 255)).await?;
    assert_kept(s, &long("\u{e4}", 255)).await?;
    let (channel, thread) = (long(EMOJI, 255), long("\u{1f99e}", 255));
    s.upsert_message_state(&state(&channel, Some(&thread), "m", NOW)).await?;
    assert!(s.get_message_state(&channel, Some(&thread)).await?.is_some());
    Ok(())
}

async fn writing_ids_of_256_characters_is_invalid(s: &Subject) -> Outcome {
    assert_writes_invalid(s, &long(LETTER, 256)).await;
    Ok(())
}

async fn writing_ids_of_256_characters_of_several_bytes_is_invalid(s: &Subject) -> Outcome {
    assert_writes_invalid(s, &long(EMOJI, 256)).await;
    assert_writes_invalid(s, &long("\u{e4}", 256)).await;
    Ok(())
}

async fn reading_ids_of_256_characters_is_invalid(s: &Subject) -> Outcome {
    assert_reads_invalid(s, &long(LETTER, 256)).await;
    assert_reads_invalid(s, &long(EMOJI, 256)).await;
    Ok(())
}

async fn writing_an_empty_id_is_invalid(s: &Subject) -> Outcome {
    assert_writes_invalid(s, "").await;
    Ok(())
}

async fn reading_an_empty_id_is_invalid(s: &Subject) -> Outcome {
    assert_reads_invalid(s, "").await;
    Ok(())
}

async fn an_empty_thread_is_invalid_and_no_thread_is_not(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    assert_invalid(&s.upsert_message_state(&state("c", Some(""), "n", NOW)).await);
    assert_invalid(&s.get_message_state("c", Some("")).await);
    let row = s.get_message_state("c", None).await?;
    assert_eq!(row.map(|row| row.last_message_id).as_deref(), Some("m"));
    Ok(())
}

async fn writing_an_id_with_nul_is_invalid(s: &Subject) -> Outcome {
    for id in ["\0", "a\0", "\0a", "a\0b"] {
        assert_writes_invalid(s, id).await;
    }
    Ok(())
}

async fn reading_an_id_with_nul_is_invalid(s: &Subject) -> Outcome {
    for id in ["\0", "a\0", "\0a", "a\0b"] {
        assert_reads_invalid(s, id).await;
    }
    Ok(())
}

async fn an_invalid_write_changes_nothing(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", NOW)).await?;
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let before = (s.get_all_message_states().await?, s.get_all_thread_ownerships().await?);
    s.clock().set(NOW + 10);
    assert_invalid(&s.upsert_message_state(&state("c", Some("t"), "", NOW)).await);
    assert_invalid(&s.upsert_thread_ownership(&ThreadOwnership::new("t", "", "b", NOW)).await);
    for id in ["", "\0", &long(LETTER, 256)] {
        assert_writes_invalid(s, id).await;
    }
    assert_eq!((s.get_all_message_states().await?, s.get_all_thread_ownerships().await?), before);
    Ok(())
}

async fn an_id_that_is_far_too_long_is_invalid(s: &Subject) -> Outcome {
    let id = long(LETTER, 1 << 20);
    assert_writes_invalid(s, &id).await;
    assert_reads_invalid(s, &id).await;
    Ok(())
}

async fn ids_that_differ_in_their_last_character_are_two(s: &Subject) -> Outcome {
    let (first, second) = (long(EMOJI, 254) + "a", long(EMOJI, 254) + "b");
    for (message, id) in [("m", &first), ("n", &second)] {
        s.upsert_message_state(&state(id, Some(id), message, NOW)).await?;
        s.upsert_thread_ownership(&ownership(id, NOW)).await?;
    }
    let row = s.get_message_state(&first, Some(&first)).await?;
    assert_eq!(row.map(|row| row.last_message_id).as_deref(), Some("m"));
    assert_eq!(s.get_all_thread_ownerships().await?.len(), 2);
    Ok(())
}
