//! The operations in SQLite's SQL.

use cofferdam_guest::{INSERT_MESSAGE_STATES, INSERT_THREAD_OWNERSHIPS, Repeated, Statements};

/// What becomes of a state that is there, by either key: the table's own, and the one over states without a thread. A conflict in
/// any other key, such as one of the user's own, is an error.
macro_rules! on_state {
    ($update:literal) => {
        concat!(
            "ON CONFLICT (channel_id, thread_id) DO UPDATE SET ",
            $update,
            "\nON CONFLICT (channel_id) WHERE thread_id IS NULL DO UPDATE SET ",
            $update
        )
    };
}

/// The sequence of ids is at its end, for rows that are there too. A full disk says the same.
pub(crate) const NO_ID: &[&str] = &["SQLITE_FULL"];

/// Tells the one from the other. A table without a sequence has no end.
pub(crate) const IDS_AT_END: &str = "\
SELECT 1 FROM sqlite_sequence WHERE seq >= 9223372036854775807
UNION ALL SELECT 1 FROM message_states WHERE id = 9223372036854775807
UNION ALL SELECT 1 FROM thread_ownerships WHERE id = 9223372036854775807";

/// SQLite notices by itself neither that an index lacks rows nor that a key has two: a look through the whole file does.
pub(crate) const LACKING_INDEXES: &[(&str, &str)] = &[
    (
        "message_states",
        "\
SELECT 1 WHERE (SELECT count(*) FROM (SELECT 1 FROM message_states NOT INDEXED LIMIT 5000))
    > (SELECT count(*) FROM (SELECT 1 FROM message_states ORDER BY channel_id, thread_id LIMIT 5000))",
    ),
    (
        "thread_ownerships",
        "\
SELECT 1 WHERE (SELECT count(*) FROM (SELECT 1 FROM thread_ownerships NOT INDEXED LIMIT 5000))
    > (SELECT count(*) FROM (SELECT 1 FROM thread_ownerships ORDER BY thread_id LIMIT 5000))",
    ),
];

pub(crate) const STATEMENTS: Statements = Statements {
    get_message_state: "\
SELECT id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id = ? AND thread_id IS ?",

    upsert_message_state: Repeated {
        tail: concat!(
            "\n",
            on_state!(
                "last_message_id = excluded.last_message_id,
    last_seen_timestamp = excluded.last_seen_timestamp, updated_at = excluded.updated_at"
            )
        ),
        ..INSERT_MESSAGE_STATES
    },

    all_message_states: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states",

    message_states_since: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE last_seen_timestamp >= ?",

    health_check: "\
SELECT (SELECT id FROM message_states LIMIT 1), (SELECT id FROM thread_ownerships LIMIT 1),
    (SELECT max(version) FROM schema_versions)",

    get_thread_ownership: "\
SELECT id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id = ?",

    upsert_thread_ownership: Repeated {
        tail: "
ON CONFLICT (thread_id) DO UPDATE SET original_user_id = excluded.original_user_id, created_by = excluded.created_by,
    creation_time = excluded.creation_time, updated_at = excluded.updated_at",
        ..INSERT_THREAD_OWNERSHIPS
    },

    all_thread_ownerships: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships",

    cleanup_thread_ownerships: "DELETE FROM thread_ownerships WHERE creation_time < ?",

    first_message_states: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states ORDER BY channel_id, thread_id LIMIT ?",

    // A state without a thread is neither greater nor less than one with a thread, so that the comparison leaves it
    // out; every thread is at least ''. Row values are searched in the index, an OR is not.
    message_states_after_channel: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE (channel_id, thread_id) >= (?2, '') ORDER BY channel_id, thread_id LIMIT ?3",

    message_states_after_thread: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE (channel_id, thread_id) > (?2, ?3) ORDER BY channel_id, thread_id LIMIT ?4",

    first_thread_ownerships: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships ORDER BY thread_id LIMIT ?",

    thread_ownerships_after: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id > ? ORDER BY thread_id LIMIT ?",

    find_message_states: Repeated {
        head: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE ",
        row: "(channel_id = ? AND thread_id IS ?)",
        between: " OR ",
        tail: "",
    },

    import_message_states: Repeated {
        tail: concat!(
            "\n",
            on_state!(
                "last_message_id = excluded.last_message_id,
    last_seen_timestamp = excluded.last_seen_timestamp, created_at = excluded.created_at,
    updated_at = excluded.updated_at
WHERE excluded.updated_at > message_states.updated_at"
            )
        ),
        ..INSERT_MESSAGE_STATES
    },

    import_message_states_over_equal: Repeated {
        tail: concat!(
            "\n",
            on_state!(
                "last_message_id = excluded.last_message_id,
    last_seen_timestamp = excluded.last_seen_timestamp, created_at = excluded.created_at,
    updated_at = excluded.updated_at
WHERE excluded.updated_at >= message_states.updated_at"
            )
        ),
        ..INSERT_MESSAGE_STATES
    },

    find_thread_ownerships: Repeated {
        head: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id IN (",
        row: "?",
        between: ", ",
        tail: ")",
    },

    import_thread_ownerships: Repeated {
        tail: "
ON CONFLICT (thread_id) DO UPDATE SET original_user_id = excluded.original_user_id, created_by = excluded.created_by,
    creation_time = excluded.creation_time, created_at = excluded.created_at, updated_at = excluded.updated_at
WHERE excluded.updated_at > thread_ownerships.updated_at",
        ..INSERT_THREAD_OWNERSHIPS
    },

    import_thread_ownerships_over_equal: Repeated {
        tail: "
ON CONFLICT (thread_id) DO UPDATE SET original_user_id = excluded.original_user_id, created_by = excluded.created_by,
    creation_time = excluded.creation_time, created_at = excluded.created_at, updated_at = excluded.updated_at
WHERE excluded.updated_at >= thread_ownerships.updated_at",
        ..INSERT_THREAD_OWNERSHIPS
    },

    late_message_states: "SELECT count(*) FROM (SELECT 1 FROM message_states WHERE last_seen_timestamp > ? LIMIT 1000)",

    late_thread_ownerships: "SELECT count(*) FROM (SELECT 1 FROM thread_ownerships WHERE creation_time > ? LIMIT 1000)",

    recorded_version: "SELECT max(version) FROM schema_versions",
};
