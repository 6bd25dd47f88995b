//! The schema steps, and how to tell which schema a database has.

use cofferdam_guest::{RecordVersion, RowLock, Upgrade};

pub(crate) const STEPS: &[&str] = &[include_str!("schema/v1.sql"), include_str!("schema/v2.sql")];

/// Names of locks are good for the whole server and have at most 64 characters, fewer than the name of a database may
/// have.
pub(crate) const UPGRADE: Upgrade = Upgrade::NamedLock {
    take: "SELECT GET_LOCK(CONCAT('cofferdam.', MD5(DATABASE())), ?)",
    release: "SELECT RELEASE_LOCK(CONCAT('cofferdam.', MD5(DATABASE())))",
    // Some versions of MariaDB have no named locks on the nodes of a Galera cluster (1235). Percona's clusters forbid them
    // (1105), servers that speak MySQL's protocol do not know the function (1128, 1149, 1305), or do not let it be called (1370).
    missing_on: &["1235", "1105", "1128", "1149", "1305", "1370"],
    row: RowLock {
        is_made: "\
SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'cofferdam_upgrade'",
        create: "CREATE TABLE IF NOT EXISTS cofferdam_upgrade (place BIGINT NOT NULL PRIMARY KEY) ENGINE=InnoDB",
        has_row: "SELECT 1 FROM cofferdam_upgrade WHERE place = 1",
        insert: "INSERT INTO cofferdam_upgrade (place) VALUES (1) ON DUPLICATE KEY UPDATE place = 1",
        take: "SELECT place FROM cofferdam_upgrade WHERE place = 1 FOR UPDATE NOWAIT",
        wait: "SELECT SLEEP(2)",
    },
    // A table, column or index that exists already or no longer, a duplicate, a lock wait, a deadlock; a statement that a
    // Galera node ended for another node's change of the schema.
    repeat_on: &["1050", "1060", "1061", "1091", "1062", "1205", "1213", "1317"],
};

pub(crate) const RECORD_VERSION: RecordVersion = RecordVersion {
    integer: "INSERT INTO schema_versions (version, applied_at) VALUES (?, ?)",
    temporal: "INSERT INTO schema_versions (version, applied_at) VALUES (?, FROM_UNIXTIME(?))",
    bare: "INSERT INTO schema_versions (version) VALUES (?)",
};

/// The collation that compares bytes, trailing spaces included.
pub(crate) fn collation(server_version: &str) -> &'static str {
    if server_version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
}

/// The table of the server's settings.
pub(crate) fn variables(server_version: &str) -> &'static str {
    if server_version.contains("MariaDB") {
        "information_schema.global_variables"
    } else {
        "performance_schema.global_variables"
    }
}

pub(crate) const DESCRIBE_COLUMNS: &str = "\
SELECT table_name, column_name,
    CASE WHEN data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint') THEN 'integer'
         WHEN data_type IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext') THEN 'text'
         WHEN data_type IN ('date', 'datetime', 'timestamp') THEN 'temporal'
         ELSE 'other' END,
    IF(is_nullable = 'YES', 1, 0),
    IF(is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '', 1, 0)
FROM information_schema.columns
WHERE table_schema = DATABASE()
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
ORDER BY table_name, ordinal_position";

/// A column of which only a prefix is bound is described with its length.
pub(crate) const DESCRIBE_UNIQUE_KEYS: &str = "\
SELECT table_name,
    GROUP_CONCAT(IF(sub_part IS NULL, column_name, CONCAT(column_name, '(', sub_part, ')')) ORDER BY seq_in_index)
FROM information_schema.statistics
WHERE table_schema = DATABASE() AND non_unique = 0 AND column_name IS NOT NULL
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
GROUP BY table_name, index_name";
