//! Text is kept and compared byte for byte.

use cofferdam::ThreadOwnership;

use super::{Case, NOW, Outcome, ownership, state};
use crate::Subject;

pub(super) const CASES: &[Case] = cases![Initialized:
    emoji_and_every_plane_of_unicode_are_kept,
    upper_and_lower_case_are_two_ids,
    trailing_and_leading_spaces_count,
    accents_and_their_decompositions_are_two_ids,
    letters_that_collations_fold_together_are_apart,
    quotes_percent_signs_and_backslashes_are_just_text,
    sql_in_an_id_is_just_text,
    wildcards_match_only_themselves,
    control_characters_are_kept,
    digits_are_text_and_not_numbers,
    invisible_characters_count,
];

/// Writes all of these as every kind of id and reads each back by itself.
async fn assert_all_apart(s: &Subject, ids: &[&str]) -> Outcome {
    for id in ids {
        s.upsert_message_state(&state(id, None, id, NOW)).await?;
        s.upsert_message_state(&state("c", Some(id), id, NOW)).await?;
        s.upsert_thread_ownership(&ThreadOwnership::new(*id, *id, *id, NOW)).await?;
    }
    for id in ids {
        let channel = s.get_message_state(id, None).await?;
        assert_eq!(channel.map(|row| (row.channel_id, row.last_message_id)), Some((id.to_string(), id.to_string())));
        let thread = s.get_message_state("c", Some(id)).await?;
        assert_eq!(
            thread.map(|row| (row.thread_id, row.last_message_id)),
            Some((Some(id.to_string()), id.to_string()))
        );
        let owned = s.get_thread_ownership(id).await?;
        let texts = owned.map(|row| [row.thread_id, row.original_user_id, row.created_by]);
        assert_eq!(texts, Some([*id, *id, *id].map(str::to_owned)));
    }
    assert_eq!(s.get_all_message_states().await?.len(), 2 * ids.len());
    assert_eq!(s.get_all_thread_ownerships().await?.len(), ids.len());
    Ok(())
}

async fn emoji_and_every_plane_of_unicode_are_kept(s: &Subject) -> Outcome {
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
    assert_all_apart(
        s,
        &["\u{1f600}", family, "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{fffd}", "\u{10000}", "\u{10ffff}", "漢字"],
    )
    .await
}

async fn upper_and_lower_case_are_two_ids(s: &Subject) -> Outcome {
    assert_all_apart(s, &["Abc", "abc", "ABC", "aBC", "\u{c4}", "\u{e4}"]).await
}

async fn trailing_and_leading_spaces_count(s: &Subject) -> Outcome {
    assert_all_apart(s, &["a", "a ", "a  ", " a", "  a", " ", "  ", "a\t", "a\u{a0}"]).await
}

async fn accents_and_their_decompositions_are_two_ids(s: &Subject) -> Outcome {
    assert_all_apart(s, &["e", "\u{e9}", "e\u{301}", "E", "\u{c9}"]).await
}

async fn letters_that_collations_fold_together_are_apart(s: &Subject) -> Outcome {
    assert_all_apart(s, &["ss", "\u{df}", "SS", "i", "I", "\u{131}", "\u{130}", "a", "\u{ff41}", "\u{430}"]).await
}

async fn quotes_percent_signs_and_backslashes_are_just_text(s: &Subject) -> Outcome {
    assert_all_apart(
        s,
        &["'", "''", "\"", "`", "\\", "\\\\", "\\'", "%", "%%", "_", "?", "??", "$1", ":a", "@a", ";", "a'b\"c`d\\e"],
    )
    .await
}

async fn sql_in_an_id_is_just_text(s: &Subject) -> Outcome {
    assert_all_apart(
        s,
        &[
            "'; DROP TABLE message_states; --",
            "' OR '1'='1",
            "\" OR \"\"=\"",
            "1; DELETE FROM thread_ownerships",
            "NULL",
            "null",
            "/* comment */",
            "-- comment",
            "x' UNION SELECT 1,2,3,4,5,6,7 -- ",
        ],
    )
    .await
}

async fn wildcards_match_only_themselves(s: &Subject) -> Outcome {
    s.upsert_message_state(&state("abc", Some("abc"), "m", NOW)).await?;
    s.upsert_thread_ownership(&ownership("abc", NOW)).await?;
    for wildcard in ["%", "a%", "___", "a_c", "*", "a*", "[a-c]bc", "abc%"] {
        assert_eq!(s.get_message_state(wildcard, Some("abc")).await?, None, "{wildcard}");
        assert_eq!(s.get_message_state("abc", Some(wildcard)).await?, None, "{wildcard}");
        assert_eq!(s.get_thread_ownership(wildcard).await?, None, "{wildcard}");
    }
    Ok(())
}

async fn control_characters_are_kept(s: &Subject) -> Outcome {
    assert_all_apart(s, &["\u{1}", "\n", "\r\n", "\r", "\t", "\u{8}", "\u{1a}", "\u{1b}[0m", "a\nb"]).await
}

async fn digits_are_text_and_not_numbers(s: &Subject) -> Outcome {
    assert_all_apart(
        s,
        &["1", "01", "1.0", "1e0", "+1", "-0", "0", "0x1", "1234567890123456789", "99999999999999999999"],
    )
    .await
}

async fn invisible_characters_count(s: &Subject) -> Outcome {
    assert_all_apart(s, &["a", "a\u{200b}", "\u{feff}a", "a\u{200d}", "a\u{ad}", "a\u{301}", "\u{200e}a"]).await
}
