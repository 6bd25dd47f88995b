//! Imports keep every value, and the row with the greater `updated_at`.

use cofferdam::{ImportOutcome, MessageState, OnEqual, ThreadOwnership};

use super::super::{Case, NOW, Outcome, assert_invalid, keys, ownership, state, without_id};
use crate::{BoxError, Subject};

pub(in super::super) const CASES: &[Case] = cases![Initialized:
    an_import_of_nothing_does_nothing,
    an_import_keeps_every_value_of_a_state_but_its_id,
    an_import_keeps_every_value_of_an_ownership_but_its_id,
    an_import_keeps_a_created_at_of_zero,
    an_imported_row_can_be_updated,
    the_state_with_the_greater_updated_at_wins,
    the_ownership_with_the_greater_updated_at_wins,
    an_equal_updated_at_keeps_what_is_there,
    an_equal_updated_at_is_replaced_where_that_is_asked_for,
    a_replaced_state_takes_every_value_of_the_import,
    an_import_tells_the_three_outcomes_apart,
    the_same_state_twice_in_one_import_leaves_the_newer,
    the_same_ownership_twice_in_one_import_leaves_the_newer,
    importing_the_same_again_keeps_everything,
    an_import_with_an_invalid_state_writes_nothing,
    an_import_with_an_invalid_ownership_writes_nothing,
    an_import_of_thousands_is_complete,
    a_large_import_with_an_invalid_row_at_its_end_writes_nothing,
    an_export_imports_into_the_same_rows,
    an_import_without_a_thread_meets_the_row_without_a_thread,
    imported_text_is_kept_byte_for_byte,
];

fn dated(channel: &str, thread: Option<&str>, message: &str, updated_at: i64) -> MessageState {
    MessageState { created_at: 1, updated_at, ..state(channel, thread, message, 2) }
}

fn dated_ownership(thread: &str, user: &str, updated_at: i64) -> ThreadOwnership {
    ThreadOwnership { created_at: 1, updated_at, ..ThreadOwnership::new(thread, user, "bot", 2) }
}

fn outcome(inserted: u64, replaced: u64, kept: u64) -> ImportOutcome {
    ImportOutcome { inserted, replaced, kept }
}

async fn message(s: &Subject, channel: &str, thread: Option<&str>) -> Result<Option<String>, BoxError> {
    Ok(s.get_message_state(channel, thread).await?.map(|row| row.last_message_id))
}

async fn user(s: &Subject, thread: &str) -> Result<Option<String>, BoxError> {
    Ok(s.get_thread_ownership(thread).await?.map(|row| row.original_user_id))
}

async fn an_import_of_nothing_does_nothing(s: &Subject) -> Outcome {
    assert_eq!(s.import_message_states(&[]).await?, outcome(0, 0, 0));
    assert_eq!(s.import_thread_ownerships(&[]).await?, outcome(0, 0, 0));
    assert_eq!(s.get_all_message_states().await?, []);
    Ok(())
}

async fn an_import_keeps_every_value_of_a_state_but_its_id(s: &Subject) -> Outcome {
    for (thread, id) in [(None, 7), (Some("t"), i64::MAX), (Some("u"), -3)] {
        let written =
            MessageState { id, created_at: 11, updated_at: -22, ..state("c", thread, "m \u{1f980}", NOW + 33) };
        assert_eq!(s.import_message_states(std::slice::from_ref(&written)).await?, outcome(1, 0, 0));
        let row = s.get_message_state("c", thread).await?;
        assert!(row.as_ref().is_some_and(|row| row.id > 0 && row.id != id), "a row has an id of its own");
        assert_eq!(row.map(without_id), Some(without_id(written)));
    }
    s.upsert_message_state(&state("another", None, "m", NOW)).await?;
    Ok(())
}

async fn an_import_keeps_every_value_of_an_ownership_but_its_id(s: &Subject) -> Outcome {
    for (thread, id) in [("t", 7), ("u", i64::MAX), ("v", -3)] {
        let written = ThreadOwnership { id, created_at: 11, updated_at: -22, ..ownership(thread, NOW + 33) };
        assert_eq!(s.import_thread_ownerships(std::slice::from_ref(&written)).await?, outcome(1, 0, 0));
        let row = s.get_thread_ownership(thread).await?;
        assert!(row.as_ref().is_some_and(|row| row.id > 0 && row.id != id), "a row has an id of its own");
        assert_eq!(row.map(|row| ThreadOwnership { id: 0, ..row }), Some(ThreadOwnership { id: 0, ..written }));
    }
    s.upsert_thread_ownership(&ownership("another", NOW)).await?;
    Ok(())
}

async fn an_import_keeps_a_created_at_of_zero(s: &Subject) -> Outcome {
    s.import_message_states(&[state("c", None, "m", NOW)]).await?;
    let row = s.get_message_state("c", None).await?;
    assert_eq!(row.map(|row| (row.created_at, row.updated_at)), Some((0, 0)));
    s.import_thread_ownerships(&[ownership("t", NOW)]).await?;
    let row = s.get_thread_ownership("t").await?;
    assert_eq!(row.map(|row| (row.created_at, row.updated_at)), Some((0, 0)));
    Ok(())
}

async fn an_imported_row_can_be_updated(s: &Subject) -> Outcome {
    s.import_message_states(&[dated("c", None, "m", NOW + 1000)]).await?;
    s.upsert_message_state(&state("c", None, "n", 3)).await?;
    let row = s.get_message_state("c", None).await?.map(without_id);
    assert_eq!(row, Some(MessageState { created_at: 1, updated_at: NOW, ..state("c", None, "n", 3) }));
    Ok(())
}

async fn the_state_with_the_greater_updated_at_wins(s: &Subject) -> Outcome {
    for thread in [None, Some("t")] {
        s.import_message_states(&[dated("c", thread, "stored", 100)]).await?;
        assert_eq!(s.import_message_states(&[dated("c", thread, "older", 99)]).await?, outcome(0, 0, 1));
        assert_eq!(message(s, "c", thread).await?.as_deref(), Some("stored"));
        assert_eq!(s.import_message_states(&[dated("c", thread, "newer", 101)]).await?, outcome(0, 1, 0));
        assert_eq!(message(s, "c", thread).await?.as_deref(), Some("newer"));
    }
    Ok(())
}

async fn the_ownership_with_the_greater_updated_at_wins(s: &Subject) -> Outcome {
    s.import_thread_ownerships(&[dated_ownership("t", "stored", 100)]).await?;
    assert_eq!(s.import_thread_ownerships(&[dated_ownership("t", "older", 99)]).await?, outcome(0, 0, 1));
    assert_eq!(user(s, "t").await?.as_deref(), Some("stored"));
    assert_eq!(s.import_thread_ownerships(&[dated_ownership("t", "newer", 101)]).await?, outcome(0, 1, 0));
    assert_eq!(user(s, "t").await?.as_deref(), Some("newer"));
    Ok(())
}

async fn an_equal_updated_at_keeps_what_is_there(s: &Subject) -> Outcome {
    s.import_message_states(&[dated("c", None, "stored", 100)]).await?;
    assert_eq!(s.import_message_states(&[dated("c", None, "equal", 100)]).await?, outcome(0, 0, 1));
    assert_eq!(message(s, "c", None).await?.as_deref(), Some("stored"));
    s.import_thread_ownerships(&[dated_ownership("t", "stored", 100)]).await?;
    assert_eq!(s.import_thread_ownerships(&[dated_ownership("t", "equal", 100)]).await?, outcome(0, 0, 1));
    assert_eq!(user(s, "t").await?.as_deref(), Some("stored"));
    Ok(())
}

async fn an_equal_updated_at_is_replaced_where_that_is_asked_for(s: &Subject) -> Outcome {
    for thread in [None, Some("t")] {
        s.import_message_states(&[dated("c", thread, "stored", 100)]).await?;
        let older = [dated("c", thread, "older", 99)];
        assert_eq!(s.import_message_states_with(&older, OnEqual::Replace).await?, outcome(0, 0, 1));
        let equal = MessageState { created_at: 7, ..dated("c", thread, "equal", 100) };
        let twice = [dated("c", thread, "first", 100), equal.clone()];
        assert_eq!(s.import_message_states_with(&twice, OnEqual::Replace).await?, outcome(0, 2, 0));
        assert_eq!(s.get_message_state("c", thread).await?.map(without_id), Some(equal));
    }
    s.import_thread_ownerships(&[dated_ownership("t", "stored", 100)]).await?;
    let older = [dated_ownership("t", "older", 99)];
    assert_eq!(s.import_thread_ownerships_with(&older, OnEqual::Replace).await?, outcome(0, 0, 1));
    let equal = ThreadOwnership { created_at: 7, ..dated_ownership("t", "equal", 100) };
    let twice = [dated_ownership("t", "first", 100), equal.clone(), dated_ownership("new", "new", 1)];
    assert_eq!(s.import_thread_ownerships_with(&twice, OnEqual::Replace).await?, outcome(1, 2, 0));
    assert_eq!(s.get_thread_ownership("t").await?.map(|row| ThreadOwnership { id: 0, ..row }), Some(equal));
    Ok(())
}

async fn a_replaced_state_takes_every_value_of_the_import(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", Some("t"), "m", NOW)).await?;
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let newer = MessageState { created_at: 3, updated_at: NOW + 1, ..state("c", Some("t"), "n", -4) };
    s.import_message_states(std::slice::from_ref(&newer)).await?;
    assert_eq!(s.get_message_state("c", Some("t")).await?.map(without_id), Some(newer));
    let newer = ThreadOwnership { created_at: 3, updated_at: NOW + 1, ..ThreadOwnership::new("t", "v", "w", -4) };
    s.import_thread_ownerships(std::slice::from_ref(&newer)).await?;
    assert_eq!(s.get_thread_ownership("t").await?.map(|row| ThreadOwnership { id: 0, ..row }), Some(newer));
    Ok(())
}

async fn an_import_tells_the_three_outcomes_apart(s: &Subject) -> Outcome {
    s.import_message_states(&[dated("a", None, "m", 10), dated("b", None, "m", 10), dated("b", Some("t"), "m", 10)])
        .await?;
    let states = [
        dated("a", None, "n", 9),
        dated("b", None, "n", 11),
        dated("b", Some("t"), "n", 12),
        dated("c", None, "n", 1),
        dated("c", Some("t"), "n", 1),
        dated("d", None, "n", 1),
    ];
    assert_eq!(s.import_message_states(&states).await?, outcome(3, 2, 1));
    s.import_thread_ownerships(&[dated_ownership("a", "u", 10), dated_ownership("b", "u", 10)]).await?;
    let ownerships = [dated_ownership("a", "v", 10), dated_ownership("b", "v", 11), dated_ownership("c", "v", 1)];
    assert_eq!(s.import_thread_ownerships(&ownerships).await?, outcome(1, 1, 1));
    Ok(())
}

async fn the_same_state_twice_in_one_import_leaves_the_newer(s: &Subject) -> Outcome {
    let rising = [dated("a", None, "old", 1), dated("x", None, "x", 1), dated("a", None, "new", 2)];
    assert_eq!(s.import_message_states(&rising).await?, outcome(2, 1, 0));
    let falling = [dated("b", Some("t"), "new", 2), dated("b", Some("t"), "old", 1), dated("b", Some("t"), "even", 2)];
    assert_eq!(s.import_message_states(&falling).await?, outcome(1, 0, 2));
    assert_eq!(message(s, "a", None).await?.as_deref(), Some("new"));
    assert_eq!(message(s, "b", Some("t")).await?.as_deref(), Some("new"));
    assert_eq!(s.get_all_message_states().await?.len(), 3);
    Ok(())
}

async fn the_same_ownership_twice_in_one_import_leaves_the_newer(s: &Subject) -> Outcome {
    let rising = [dated_ownership("a", "old", 1), dated_ownership("a", "new", 2)];
    assert_eq!(s.import_thread_ownerships(&rising).await?, outcome(1, 1, 0));
    let falling = [dated_ownership("b", "new", 2), dated_ownership("b", "old", 1), dated_ownership("b", "even", 2)];
    assert_eq!(s.import_thread_ownerships(&falling).await?, outcome(1, 0, 2));
    assert_eq!(user(s, "a").await?.as_deref(), Some("new"));
    assert_eq!(user(s, "b").await?.as_deref(), Some("new"));
    Ok(())
}

async fn importing_the_same_again_keeps_everything(s: &Subject) -> Outcome {
    let states = [dated("a", None, "m", 1), dated("a", Some("t"), "m", 2)];
    let ownerships = [dated_ownership("t", "u", 3)];
    s.import_message_states(&states).await?;
    s.import_thread_ownerships(&ownerships).await?;
    let before = (s.get_all_message_states().await?, s.get_all_thread_ownerships().await?);
    assert_eq!(s.import_message_states(&states).await?, outcome(0, 0, 2));
    assert_eq!(s.import_thread_ownerships(&ownerships).await?, outcome(0, 0, 1));
    assert_eq!((s.get_all_message_states().await?, s.get_all_thread_ownerships().await?), before);
    Ok(())
}

async fn an_import_with_an_invalid_state_writes_nothing(s: &Subject) -> Outcome {
    let long = "x".repeat(256);
    for invalid in [
        dated("", None, "m", 1),
        dated("c", Some(""), "m", 1),
        dated("c", None, "", 1),
        dated("c\0", None, "m", 1),
        dated("c", Some("\0"), "m", 1),
        dated("c", Some(&long), "m", 1),
        dated("c", None, &long, 1),
    ] {
        assert_invalid(&s.import_message_states(&[dated("a", None, "m", 1), invalid, dated("b", None, "m", 1)]).await);
    }
    assert_eq!(s.get_all_message_states().await?, []);
    Ok(())
}

async fn an_import_with_an_invalid_ownership_writes_nothing(s: &Subject) -> Outcome {
    let long = "\u{1f980}".repeat(256);
    for (thread, user, bot) in [("", "u", "b"), ("t", "", "b"), ("t", "u", ""), ("t\0", "u", "b"), (&long, "u", "b")] {
        let invalid = ThreadOwnership::new(thread, user, bot, 1);
        assert_invalid(&s.import_thread_ownerships(&[ownership("a", 1), invalid, ownership("b", 1)]).await);
    }
    assert_eq!(s.get_all_thread_ownerships().await?, []);
    Ok(())
}

async fn an_import_of_thousands_is_complete(s: &Subject) -> Outcome {
    let states: Vec<_> = (0..5000)
        .map(|n| {
            let thread = (n % 3 != 0).then(|| format!("t{}", n % 3));
            dated(&format!("c{:04}", n / 3), thread.as_deref(), &format!("m{n}"), n)
        })
        .collect();
    assert_eq!(s.import_message_states(&states).await?, outcome(5000, 0, 0));
    let exported: Vec<_> = s.export_message_states(None, 10_000).await?.into_iter().map(without_id).collect();
    assert!(exported == states, "5000 states come back as they were imported");
    let ownerships: Vec<_> = (0..5000).map(|n| dated_ownership(&format!("t{n:04}"), &format!("u{n}"), n)).collect();
    assert_eq!(s.import_thread_ownerships(&ownerships).await?, outcome(5000, 0, 0));
    let exported = s.export_thread_ownerships(None, 10_000).await?;
    let exported: Vec<_> = exported.into_iter().map(|row| ThreadOwnership { id: 0, ..row }).collect();
    assert!(exported == ownerships, "5000 ownerships come back as they were imported");
    Ok(())
}

async fn a_large_import_with_an_invalid_row_at_its_end_writes_nothing(s: &Subject) -> Outcome {
    let mut states: Vec<_> = (0..3000).map(|n| dated(&format!("c{n}"), None, "m", 1)).collect();
    states.push(dated("last", None, "\0", 1));
    assert_invalid(&s.import_message_states(&states).await);
    assert_eq!(s.get_all_message_states().await?.len(), 0);
    let mut ownerships: Vec<_> = (0..3000).map(|n| dated_ownership(&format!("t{n}"), "u", 1)).collect();
    ownerships.push(dated_ownership("last", "\0", 1));
    assert_invalid(&s.import_thread_ownerships(&ownerships).await);
    assert_eq!(s.get_all_thread_ownerships().await?.len(), 0);
    Ok(())
}

async fn an_export_imports_into_the_same_rows(s: &Subject) -> Outcome {
    for (channel, thread) in [("a", None), ("a", Some("t")), ("B", None), ("a ", None)] {
        s.upsert_message_state(&state(channel, thread, "m", NOW)).await?;
    }
    s.upsert_thread_ownership(&ownership("t", NOW)).await?;
    let states = s.export_message_states(None, 100).await?;
    let ownerships = s.export_thread_ownerships(None, 100).await?;
    assert_eq!(s.import_message_states(&states).await?, outcome(0, 0, 4));
    assert_eq!(s.import_thread_ownerships(&ownerships).await?, outcome(0, 0, 1));
    assert_eq!(s.export_message_states(None, 100).await?, states);
    assert_eq!(s.export_thread_ownerships(None, 100).await?, ownerships);
    Ok(())
}

async fn an_import_without_a_thread_meets_the_row_without_a_thread(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("c", None, "m", NOW)).await?;
    assert_eq!(s.import_message_states(&[dated("c", None, "n", NOW + 1)]).await?, outcome(0, 1, 0));
    assert_eq!(keys(&s.get_all_message_states().await?), [("c", None)]);
    Ok(())
}

async fn imported_text_is_kept_byte_for_byte(s: &Subject) -> Outcome {
    let ids = ["Abc", "abc", "abc ", "'\\%_\"`", "\u{1f600}", "e\u{301}", "\u{e9}", "a\nb"];
    let mut states: Vec<_> = ids.iter().map(|id| dated(id, Some(id), id, 1)).collect();
    let mut ownerships: Vec<_> = ids.iter().map(|id| dated_ownership(id, id, 1)).collect();
    assert_eq!(s.import_message_states(&states).await?, outcome(8, 0, 0));
    assert_eq!(s.import_thread_ownerships(&ownerships).await?, outcome(8, 0, 0));
    states.sort_by(|a, b| a.channel_id.cmp(&b.channel_id));
    ownerships.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
    let rows: Vec<_> = s.export_message_states(None, 100).await?.into_iter().map(without_id).collect();
    assert_eq!(rows, states);
    let rows = s.export_thread_ownerships(None, 100).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| ThreadOwnership { id: 0, ..row }).collect();
    assert_eq!(rows, ownerships);
    Ok(())
}
