//! Moving everything, in SQLite's SQL.

use cofferdam_guest::{LeftOutIndex, Migration, Scan};

/// What has the order of a text's bytes in UTF-8, whatever the encoding of the file and the collation of the column. In UTF-16
/// plain ASCII is written as the digits of its bytes, of which the lower come first or last; any other character is an F and
/// six digits of its own. What comes after a NUL, at which SQLite ends a text, only tells texts apart.
macro_rules! in_order {
    ($text:literal) => {
        concat!(
            "CASE WHEN (SELECT encoding FROM pragma_encoding) = 'UTF-8' THEN CAST(",
            $text,
            " AS BLOB) WHEN ",
            $text,
            " IS NULL THEN NULL WHEN ",
            $text,
            " NOT GLOB '*[^ -~]*' THEN hex(",
            $text,
            ") || '.' ELSE (SELECT group_concat(CASE WHEN c > 127 THEN printf('F%06X', c) WHEN e = 'UTF-16le' ",
            "THEN printf('%02X00', c) ELSE printf('00%02X', c) END, '' ORDER BY i) FROM (WITH RECURSIVE place(i) AS ",
            "(SELECT 1 UNION ALL SELECT i + 1 FROM place WHERE i < length(",
            $text,
            ")) SELECT i, unicode(substr(",
            $text,
            ", i, 1)) AS c, (SELECT encoding FROM pragma_encoding) AS e FROM place)) || '.' || hex(",
            $text,
            ") END"
        )
    };
}

pub(crate) const MIGRATION: Migration = Migration {
    // Each page sorts the table.
    legacy_page_rows: 25_000,
    // A commit writes whole pages, and the index on timestamps, where it is kept, is hit all over: with few rows each of them
    // costs a page.
    batch_rows: 20_000,
    writes_at_a_time: 1,

    // Version 1 compares text as version 2 does.
    legacy_is_ordered: true,
    legacy: Scan {
        first_message_states: concat!(
            "SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at FROM message_states
ORDER BY ",
            in_order!("channel_id"),
            ", ",
            in_order!("thread_id"),
            " LIMIT ?"
        ),
        message_states_after_channel: concat!(
            "SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at FROM message_states
WHERE ",
            in_order!("channel_id"),
            " > ",
            in_order!("?1"),
            " OR channel_id COLLATE BINARY = ?2 AND thread_id IS NOT NULL
ORDER BY ",
            in_order!("channel_id"),
            ", ",
            in_order!("thread_id"),
            " LIMIT ?3"
        ),
        message_states_after_thread: concat!(
            "SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at FROM message_states
WHERE ",
            in_order!("channel_id"),
            " > ",
            in_order!("?1"),
            " OR channel_id COLLATE BINARY = ?2 AND ",
            in_order!("thread_id"),
            " > ",
            in_order!("?3"),
            "
ORDER BY ",
            in_order!("channel_id"),
            ", ",
            in_order!("thread_id"),
            " LIMIT ?4"
        ),
        first_thread_ownerships: concat!(
            "SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at FROM thread_ownerships
ORDER BY ",
            in_order!("thread_id"),
            " LIMIT ?"
        ),
        thread_ownerships_after: concat!(
            "SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at FROM thread_ownerships
WHERE ",
            in_order!("thread_id"),
            " > ",
            in_order!("?1"),
            " ORDER BY ",
            in_order!("thread_id"),
            " LIMIT ?2"
        ),
    },

    left_out: LeftOutIndex {
        stays_where: &[
            // Of a thousand rows a list is read as fast without it.
            "SELECT 1 FROM message_states LIMIT 1 OFFSET 1000",
            // It is another one than is created at the end.
            "\
SELECT 1 WHERE (SELECT group_concat(name) FROM pragma_index_info('idx_message_states_timestamp')) IS NOT 'last_seen_timestamp'
    OR NOT EXISTS (SELECT 1 FROM pragma_index_list('message_states')
        WHERE name = 'idx_message_states_timestamp' AND NOT \"unique\" AND NOT partial)",
        ],
        drop: "DROP INDEX idx_message_states_timestamp",
        is_there: "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'idx_message_states_timestamp'",
        create: "CREATE INDEX idx_message_states_timestamp ON message_states (last_seen_timestamp)",
    },

    // The host knows which file it is, a backend does not.
    identity: "SELECT ''",

    // `length` counts the characters before a NUL. The limit keeps SQLite from forgetting the order, and with it the index.
    survey_message_states: "\
SELECT count(*), min(CASE typeof(updated_at) WHEN 'integer' THEN updated_at END),
    max(CASE typeof(updated_at) WHEN 'integer' THEN updated_at END), coalesce(sum(
    typeof(channel_id) <> 'text' OR length(channel_id) NOT BETWEEN 1 AND 255 OR instr(channel_id, char(0))
    OR thread_id IS NOT NULL AND (typeof(thread_id) <> 'text' OR length(thread_id) NOT BETWEEN 1 AND 255
        OR instr(thread_id, char(0)))
    OR typeof(last_message_id) <> 'text' OR length(last_message_id) NOT BETWEEN 1 AND 255
    OR instr(last_message_id, char(0))
    OR typeof(last_seen_timestamp) <> 'integer' OR typeof(created_at) <> 'integer' OR typeof(updated_at) <> 'integer'
), 0), (SELECT count(*) FROM (SELECT 1 FROM message_states ORDER BY channel_id, thread_id LIMIT 9223372036854775807))
FROM message_states NOT INDEXED",

    survey_thread_ownerships: "\
SELECT count(*), min(CASE typeof(updated_at) WHEN 'integer' THEN updated_at END),
    max(CASE typeof(updated_at) WHEN 'integer' THEN updated_at END), coalesce(sum(
    typeof(thread_id) <> 'text' OR length(thread_id) NOT BETWEEN 1 AND 255 OR instr(thread_id, char(0))
    OR typeof(original_user_id) <> 'text' OR length(original_user_id) NOT BETWEEN 1 AND 255
    OR instr(original_user_id, char(0))
    OR typeof(created_by) <> 'text' OR length(created_by) NOT BETWEEN 1 AND 255 OR instr(created_by, char(0))
    OR typeof(creation_time) <> 'integer' OR typeof(created_at) <> 'integer' OR typeof(updated_at) <> 'integer'
), 0), (SELECT count(*) FROM (SELECT 1 FROM thread_ownerships ORDER BY thread_id LIMIT 9223372036854775807))
FROM thread_ownerships NOT INDEXED",

    duplicates: "SELECT count(*) - count(DISTINCT channel_id COLLATE BINARY) FROM message_states WHERE thread_id IS NULL",

    message_states_between: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id BETWEEN ? AND ? ORDER BY channel_id, thread_id LIMIT ?",

    thread_ownerships_between: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id BETWEEN ? AND ? ORDER BY thread_id LIMIT ?",

    count_tables: "\
SELECT count(*) FROM sqlite_master WHERE type = 'table'
    AND lower(name) IN ('cofferdam_migration_undo', 'cofferdam_migrations', 'cofferdam_migration_lease')",

    create_tables: [
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migration_undo (
    run INTEGER NOT NULL,
    page INTEGER NOT NULL,
    part INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run, page, part)
)",
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migrations (
    number INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    state INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    after_first TEXT NULL,
    after_second TEXT NULL,
    rows_read INTEGER NOT NULL,
    inserted INTEGER NOT NULL,
    replaced INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    merged INTEGER NOT NULL,
    rejected INTEGER NOT NULL
)",
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migration_lease (
    place INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    beats INTEGER NOT NULL
)",
    ],
};
