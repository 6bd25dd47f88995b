//! Moving everything, in the SQL of MySQL and MariaDB.

use cofferdam_guest::{LeftOutIndex, Migration, Scan};

pub(crate) const MIGRATION: Migration = Migration {
    // Each page sorts the table, whose indexes have the order of another collation: few pages, of ten megabytes.
    legacy_page_rows: 25_000,
    batch_rows: 5000,
    writes_at_a_time: 2,

    // Version 1 may have any charset and compare in any way. Converted to UTF-8 and compared as bytes the order is that of
    // version 2. 255 characters have at most 1020 bytes, and the servers sort by the first 1024.
    legacy_is_ordered: false,
    legacy: Scan {
        first_message_states: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states
ORDER BY CAST(CONVERT(channel_id USING utf8mb4) AS BINARY), CAST(CONVERT(thread_id USING utf8mb4) AS BINARY)
LIMIT ?",

        message_states_after_channel: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states
WHERE CAST(CONVERT(channel_id USING utf8mb4) AS BINARY) > CAST(? AS BINARY)
    OR (CAST(CONVERT(channel_id USING utf8mb4) AS BINARY) = CAST(? AS BINARY) AND thread_id IS NOT NULL)
ORDER BY CAST(CONVERT(channel_id USING utf8mb4) AS BINARY), CAST(CONVERT(thread_id USING utf8mb4) AS BINARY)
LIMIT ?",

        message_states_after_thread: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states
WHERE CAST(CONVERT(channel_id USING utf8mb4) AS BINARY) > CAST(? AS BINARY)
    OR (CAST(CONVERT(channel_id USING utf8mb4) AS BINARY) = CAST(? AS BINARY)
        AND CAST(CONVERT(thread_id USING utf8mb4) AS BINARY) > CAST(? AS BINARY))
ORDER BY CAST(CONVERT(channel_id USING utf8mb4) AS BINARY), CAST(CONVERT(thread_id USING utf8mb4) AS BINARY)
LIMIT ?",

        first_thread_ownerships: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships ORDER BY CAST(CONVERT(thread_id USING utf8mb4) AS BINARY) LIMIT ?",

        thread_ownerships_after: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE CAST(CONVERT(thread_id USING utf8mb4) AS BINARY) > CAST(? AS BINARY)
ORDER BY CAST(CONVERT(thread_id USING utf8mb4) AS BINARY) LIMIT ?",
    },

    left_out: LeftOutIndex {
        stays_where: &[
            // Of a thousand rows a list is read as fast without it.
            "SELECT 1 FROM message_states LIMIT 1 OFFSET 1000",
            // The nodes of a Galera cluster stand still while one of them creates an index.
            "SELECT 1 FROM {variables} WHERE variable_name = 'wsrep_on' AND variable_value = 'ON'",
            // It is another one than is created at the end.
            "\
SELECT 1 FROM (
    SELECT COUNT(*) AS parts, SUM(column_name = 'last_seen_timestamp' AND non_unique = 1) AS fitting
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states'
        AND index_name = 'idx_message_states_timestamp'
) AS i WHERE i.parts <> 1 OR i.fitting <> 1",
        ],
        drop: "DROP INDEX idx_message_states_timestamp ON message_states",
        is_there: "\
SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states'
    AND index_name = 'idx_message_states_timestamp'",
        create: "CREATE INDEX idx_message_states_timestamp ON message_states (last_seen_timestamp)",
    },

    // Servers on two machines may have the same name and the same folder, but no database of theirs was made within the
    // same second in the same way.
    identity: "\
SELECT CONCAT_WS('|', @@hostname, @@port, @@datadir, DATABASE(),
    (SELECT MIN(create_time) FROM information_schema.tables WHERE table_schema = DATABASE()))",

    survey_message_states: "\
SELECT COUNT(*), MIN(updated_at), MAX(updated_at), CAST(COALESCE(SUM(
    CHAR_LENGTH(channel_id) NOT BETWEEN 1 AND 255 OR INSTR(channel_id, CHAR(0)) > 0
    OR (thread_id IS NOT NULL AND (CHAR_LENGTH(thread_id) NOT BETWEEN 1 AND 255 OR INSTR(thread_id, CHAR(0)) > 0))
    OR CHAR_LENGTH(last_message_id) NOT BETWEEN 1 AND 255 OR INSTR(last_message_id, CHAR(0)) > 0
), 0) AS SIGNED), COUNT(*)
FROM message_states",

    survey_thread_ownerships: "\
SELECT COUNT(*), MIN(updated_at), MAX(updated_at), CAST(COALESCE(SUM(
    CHAR_LENGTH(thread_id) NOT BETWEEN 1 AND 255 OR INSTR(thread_id, CHAR(0)) > 0
    OR CHAR_LENGTH(original_user_id) NOT BETWEEN 1 AND 255 OR INSTR(original_user_id, CHAR(0)) > 0
    OR CHAR_LENGTH(created_by) NOT BETWEEN 1 AND 255 OR INSTR(created_by, CHAR(0)) > 0
), 0) AS SIGNED), COUNT(*)
FROM thread_ownerships",

    duplicates: "\
SELECT COUNT(*) - COUNT(DISTINCT CAST(CONVERT(channel_id USING utf8mb4) AS BINARY))
FROM message_states WHERE thread_id IS NULL",

    // Of BETWEEN MariaDB makes an equality where the collation of the connection does not tell its bounds apart, as 'A' and
    // 'a '.
    message_states_between: "\
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at
FROM message_states WHERE channel_id >= ? AND channel_id <= ? ORDER BY channel_id, thread_id LIMIT ? FOR UPDATE",

    thread_ownerships_between: "\
SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at
FROM thread_ownerships WHERE thread_id >= ? AND thread_id <= ? ORDER BY thread_id LIMIT ? FOR UPDATE",

    count_tables: "\
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()
    AND table_name IN ('cofferdam_migration_undo', 'cofferdam_migrations', 'cofferdam_migration_lease')",

    create_tables: [
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migration_undo (
    run BIGINT NOT NULL,
    page BIGINT NOT NULL,
    part BIGINT NOT NULL,
    body LONGBLOB NOT NULL,
    PRIMARY KEY (run, page, part)
) ENGINE=InnoDB",
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migrations (
    number BIGINT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    state BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    pages BIGINT NOT NULL,
    stage BIGINT NOT NULL,
    after_first TEXT NULL,
    after_second TEXT NULL,
    rows_read BIGINT NOT NULL,
    inserted BIGINT NOT NULL,
    replaced BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    merged BIGINT NOT NULL,
    rejected BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}",
        "\
CREATE TABLE IF NOT EXISTS cofferdam_migration_lease (
    place BIGINT NOT NULL PRIMARY KEY,
    owner VARCHAR(255) NOT NULL,
    beats BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}",
    ],
};
