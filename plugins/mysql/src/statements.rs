//! The operations in the SQL of MySQL and MariaDB.

use cofferdam_guest::{INSERT_MESSAGE_STATES, INSERT_THREAD_OWNERSHIPS, Repeated, Statements};

/// The value of a column that is never null, where the row that was found is that of the key, and null where it is another one:
/// then the statement fails with 1048. `ON DUPLICATE KEY UPDATE` takes the row that any key leads to for the row's own, also the
/// primary key where ids are used up or come twice, or a key of the user's own. Compared as bytes whatever the table's collation.
macro_rules! of_own_state {
    ($value:literal) => {
        concat!(
            "IF(CAST(channel_id AS BINARY) = CAST(VALUES(channel_id) AS BINARY)\n",
            "        AND CAST(thread_id AS BINARY) <=> CAST(VALUES(thread_id) AS BINARY), ",
            $value,
            ", NULL)"
        )
    };
}

/// As `of_own_state`, for ownerships.
macro_rules! of_own_ownership {
    ($value:literal) => {
        concat!("IF(CAST(thread_id AS BINARY) = CAST(VALUES(thread_id) AS BINARY), ", $value, ", NULL)")
    };
}

/// Codes of a row that is not written though nothing is wrong with it: it found another key's row, or no id.
pub(crate) const NO_ID: &[&str] = &["1048", "1022", "1062", "1586", "167", "1264", "1467"];

pub(crate) const STATEMENTS: Statements = Statements {
    get_message_state: "\
SELECT id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id = ? AND thread_id <=> ?",

    // The clause covers both unique keys: the table's own, and the one over states without a thread. VALUES() is what
    // MySQL and MariaDB both understand.
    upsert_message_state: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE last_message_id = ",
            of_own_state!("VALUES(last_message_id)"),
            ",
    last_seen_timestamp = VALUES(last_seen_timestamp), updated_at = VALUES(updated_at)"
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
    (SELECT MAX(version) FROM schema_versions)",

    get_thread_ownership: "\
SELECT id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id = ?",

    upsert_thread_ownership: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE original_user_id = ",
            of_own_ownership!("VALUES(original_user_id)"),
            ",
    created_by = VALUES(created_by), creation_time = VALUES(creation_time), updated_at = VALUES(updated_at)"
        ),
        ..INSERT_THREAD_OWNERSHIPS
    },

    all_thread_ownerships: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships",

    cleanup_thread_ownerships: "DELETE FROM thread_ownerships WHERE creation_time < ?",

    // Every channel is at least ''. It says so to have the optimizer walk along the index, which it does for a range,
    // rather than sort the whole table, which it prefers for the first thousand rows.
    first_message_states: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id >= '' ORDER BY channel_id, thread_id LIMIT ?",

    // Two ranges of one index, which both servers read in order; a comparison of rows they would not search.
    message_states_after_channel: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id > ? OR (channel_id = ? AND thread_id IS NOT NULL)
ORDER BY channel_id, thread_id LIMIT ?",

    message_states_after_thread: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id > ? OR (channel_id = ? AND thread_id > ?)
ORDER BY channel_id, thread_id LIMIT ?",

    first_thread_ownerships: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id >= '' ORDER BY thread_id LIMIT ?",

    thread_ownerships_after: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id > ? ORDER BY thread_id LIMIT ?",

    find_message_states: Repeated {
        head: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE ",
        row: "(channel_id = ? AND thread_id <=> ?)",
        between: " OR ",
        tail: " FOR UPDATE",
    },

    // Assignments are made from left to right, so that updated_at, which all of them look at, comes last.
    import_message_states: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE
    last_message_id = ",
            of_own_state!("IF(VALUES(updated_at) > updated_at, VALUES(last_message_id), last_message_id)"),
            ",
    last_seen_timestamp = IF(VALUES(updated_at) > updated_at, VALUES(last_seen_timestamp), last_seen_timestamp),
    created_at = IF(VALUES(updated_at) > updated_at, VALUES(created_at), created_at),
    updated_at = GREATEST(VALUES(updated_at), updated_at)"
        ),
        ..INSERT_MESSAGE_STATES
    },

    import_message_states_over_equal: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE
    last_message_id = ",
            of_own_state!("IF(VALUES(updated_at) >= updated_at, VALUES(last_message_id), last_message_id)"),
            ",
    last_seen_timestamp = IF(VALUES(updated_at) >= updated_at, VALUES(last_seen_timestamp), last_seen_timestamp),
    created_at = IF(VALUES(updated_at) >= updated_at, VALUES(created_at), created_at),
    updated_at = GREATEST(VALUES(updated_at), updated_at)"
        ),
        ..INSERT_MESSAGE_STATES
    },

    find_thread_ownerships: Repeated {
        head: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id IN (",
        row: "?",
        between: ", ",
        tail: ") FOR UPDATE",
    },

    import_thread_ownerships: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE
    original_user_id = ",
            of_own_ownership!("IF(VALUES(updated_at) > updated_at, VALUES(original_user_id), original_user_id)"),
            ",
    created_by = IF(VALUES(updated_at) > updated_at, VALUES(created_by), created_by),
    creation_time = IF(VALUES(updated_at) > updated_at, VALUES(creation_time), creation_time),
    created_at = IF(VALUES(updated_at) > updated_at, VALUES(created_at), created_at),
    updated_at = GREATEST(VALUES(updated_at), updated_at)"
        ),
        ..INSERT_THREAD_OWNERSHIPS
    },

    import_thread_ownerships_over_equal: Repeated {
        tail: concat!(
            "
ON DUPLICATE KEY UPDATE
    original_user_id = ",
            of_own_ownership!("IF(VALUES(updated_at) >= updated_at, VALUES(original_user_id), original_user_id)"),
            ",
    created_by = IF(VALUES(updated_at) >= updated_at, VALUES(created_by), created_by),
    creation_time = IF(VALUES(updated_at) >= updated_at, VALUES(creation_time), creation_time),
    created_at = IF(VALUES(updated_at) >= updated_at, VALUES(created_at), created_at),
    updated_at = GREATEST(VALUES(updated_at), updated_at)"
        ),
        ..INSERT_THREAD_OWNERSHIPS
    },

    late_message_states: "\
SELECT COUNT(*) FROM (SELECT 1 FROM message_states WHERE last_seen_timestamp > ? LIMIT 1000) AS late",

    late_thread_ownerships: "\
SELECT COUNT(*) FROM (SELECT 1 FROM thread_ownerships WHERE creation_time > ? LIMIT 1000) AS late",

    recorded_version: "SELECT MAX(version) FROM schema_versions",
};
