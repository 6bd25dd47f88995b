//! The texts of the plugins' statements, for those who run them without a plugin.
//!
//! With two differences: the plugins read their lists in any order and sort them afterwards, everybody else leaves that
//! to the database, as programs do; and their upserts make sure that they touch the row of their key alone, which programs take
//! for granted.

/// The statements of one engine.
pub struct Statements {
    /// Parameters: channel, thread or null.
    pub get: &'static str,
    /// Parameters: channel, thread or null, last message, last seen, created, updated.
    pub upsert: &'static str,
    /// All states, newest first.
    pub all: &'static str,
    /// Parameter: the earliest time. Newest first.
    pub since: &'static str,
    /// Parameter: thread.
    pub ownership: &'static str,
    /// Parameters: thread, original user, creator, creation time, created, updated.
    pub upsert_ownership: &'static str,
    /// Parameter: the time before which ownerships go.
    pub cleanup: &'static str,
}

/// The text of a list without its order.
pub fn unsorted(list: &'static str) -> &'static str {
    list.split_once(" ORDER BY ").map_or(list, |(unsorted, _)| unsorted)
}

/// SQLite's.
pub const SQLITE: Statements = Statements {
    get: "\
SELECT id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id = ? AND thread_id IS ?",
    upsert: "\
INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET last_message_id = excluded.last_message_id,
    last_seen_timestamp = excluded.last_seen_timestamp, updated_at = excluded.updated_at",
    all: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states ORDER BY +last_seen_timestamp DESC, channel_id, thread_id",
    since: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE last_seen_timestamp >= ? ORDER BY last_seen_timestamp DESC, channel_id, thread_id",
    ownership: "\
SELECT id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id = ?",
    upsert_ownership: "\
INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET original_user_id = excluded.original_user_id, created_by = excluded.created_by,
    creation_time = excluded.creation_time, updated_at = excluded.updated_at",
    cleanup: "DELETE FROM thread_ownerships WHERE creation_time < ?",
};

/// MySQL's and MariaDB's.
pub const MYSQL: Statements = Statements {
    get: "\
SELECT id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id = ? AND thread_id <=> ?",
    upsert: "\
INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE last_message_id = VALUES(last_message_id),
    last_seen_timestamp = VALUES(last_seen_timestamp), updated_at = VALUES(updated_at)",
    all: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states ORDER BY last_seen_timestamp DESC, channel_id, thread_id",
    since: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE last_seen_timestamp >= ? ORDER BY last_seen_timestamp DESC, channel_id, thread_id",
    ownership: "\
SELECT id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id = ?",
    upsert_ownership: "\
INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE original_user_id = VALUES(original_user_id), created_by = VALUES(created_by),
    creation_time = VALUES(creation_time), updated_at = VALUES(updated_at)",
    cleanup: "DELETE FROM thread_ownerships WHERE creation_time < ?",
};

/// What a session on MySQL needs, beyond `SET NAMES utf8mb4`, to be as the host's are.
pub const MYSQL_SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The codes of MySQL's errors after which a statement outside a transaction is simply repeated: a deadlock, and a
/// wait for a lock that took too long.
pub const MYSQL_REPEATED: [u16; 2] = [1213, 1205];

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = include_str!("../../../plugins/guest/src/dialect.rs");

    fn assert_same(statements: &Statements, plugin: &str) {
        let Statements { get, upsert, all, since, ownership, upsert_ownership, cleanup } = statements;
        for text in [get, upsert, all, since, ownership, upsert_ownership, cleanup] {
            let same = match (text.split_once(" ORDER BY "), text.split_once("(?, ")) {
                (Some((unsorted, _)), _) => format!("{unsorted}\""),
                // The parts of a row are what all backends share.
                (_, Some((head, _))) => {
                    assert!(GUEST.contains(&format!("{head}\"")), "the plugins have another statement than {text}");
                    continue;
                }
                _ => format!("{text}\""),
            };
            assert!(plugin.contains(&same), "the plugin has another statement than {text}");
        }
    }

    #[test]
    fn the_statements_are_those_of_the_plugins() {
        assert_same(&SQLITE, include_str!("../../../plugins/sqlite/src/statements.rs"));
        assert_same(&MYSQL, include_str!("../../../plugins/mysql/src/statements.rs"));
    }
}
