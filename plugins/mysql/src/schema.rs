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
    // A table, column, index or primary key that exists already or no longer, a duplicate, a lock wait, a deadlock; a statement
    // that a Galera node ended for another node's change of the schema.
    repeat_on: &["1050", "1060", "1061", "1068", "1091", "1062", "1205", "1213", "1317"],
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
    IF(is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> '', 1, 0),
    IF(column_default IS NOT NULL AND column_default <> 'NULL' OR extra <> '' AND extra <> 'INVISIBLE', 1, 0)
FROM information_schema.columns
WHERE table_schema = DATABASE()
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
ORDER BY table_name, ordinal_position";

/// A column of which only a prefix is bound is described with its length, an expression as one.
pub(crate) const DESCRIBE_UNIQUE_KEYS: &str = "\
SELECT table_name, index_name, GROUP_CONCAT(IF(column_name IS NULL, '(an expression)',
    IF(sub_part IS NULL, column_name, CONCAT(column_name, '(', sub_part, ')'))) ORDER BY seq_in_index)
FROM information_schema.statistics
WHERE table_schema = DATABASE() AND non_unique = 0
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
GROUP BY table_name, index_name";

/// Only servers on which names of tables differ by case have a table whose name is ours but for its case. All texts are
/// converted, since the parts of a union must have one collation.
pub(crate) const DIFFERENCES: &str = "\
SELECT CONVERT(table_name USING utf8mb4), 'refused',
    CONVERT(CONCAT('is a ', LOWER(table_type), ', not a table: give it another name') USING utf8mb4)
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type NOT IN ('BASE TABLE', 'SYSTEM VERSIONED')
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
UNION ALL
SELECT CONVERT(LOWER(t.table_name) USING utf8mb4), 'refused',
    CONVERT(CONCAT('is called ', t.table_name, ', which is another name on this server: RENAME TABLE `', t.table_name,
        '` TO ', LOWER(t.table_name)) USING utf8mb4)
FROM information_schema.tables AS t
WHERE t.table_schema = DATABASE() AND @@lower_case_table_names = 0
    AND LOWER(t.table_name) IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
    AND CAST(t.table_name AS BINARY) <> CAST(LOWER(t.table_name) AS BINARY)
    AND NOT EXISTS (SELECT 1 FROM information_schema.tables AS o WHERE o.table_schema = DATABASE()
        AND CAST(o.table_name AS BINARY) = CAST(LOWER(t.table_name) AS BINARY))
UNION ALL
SELECT CONVERT(table_name USING utf8mb4), 'fixed', 'keeps its history (SYSTEM VERSIONING), so that the server \
allows no change of it: ALTER TABLE ... DROP SYSTEM VERSIONING'
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'SYSTEM VERSIONED'
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
UNION ALL
SELECT CONVERT(table_name USING utf8mb4),
    IF(engine IN ('MyISAM', 'Aria', 'MEMORY', 'ARCHIVE', 'CSV', 'ROCKSDB', 'TokuDB'), 'mend', 'unwritable'),
    CONVERT(CONCAT('is kept by the engine ', engine, ', not by InnoDB') USING utf8mb4)
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'
    AND table_name IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT CONVERT(table_name USING utf8mb4), 'refused',
    CONVERT(CONCAT('has column ', column_name, ', which is computed: make it an ordinary one') USING utf8mb4)
FROM information_schema.columns
WHERE table_schema = DATABASE() AND generation_expression <> ''
    AND table_name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
    AND column_name IN ('id', 'channel_id', 'thread_id', 'last_message_id', 'last_seen_timestamp', 'created_at',
        'updated_at', 'original_user_id', 'created_by', 'creation_time', 'archived_at', 'version')
UNION ALL
SELECT CONVERT(table_name USING utf8mb4), 'unwritable', 'has a column threadless that is not ours: give it another name'
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'message_states' AND column_name = 'threadless'
    AND COALESCE(REPLACE(REPLACE(REPLACE(REPLACE(LOWER(generation_expression), '`', ''), '(', ''), ')', ''), ' ', ''),
        '') <> 'ifthread_idisnull,1,null'
UNION ALL
SELECT CONVERT(table_name USING utf8mb4), 'mend', CONVERT(CONCAT('has column ', column_name, ' as ', column_type,
    IF(column_name = 'id' AND extra NOT LIKE '%auto_increment%', ' without AUTO_INCREMENT', '')) USING utf8mb4)
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships')
    AND column_name IN ('id', 'last_seen_timestamp', 'created_at', 'updated_at', 'creation_time')
    AND data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint')
    AND (data_type <> 'bigint' OR column_type LIKE '%unsigned%'
        OR column_name = 'id' AND extra NOT LIKE '%auto_increment%')
UNION ALL
SELECT CONVERT(table_name USING utf8mb4), 'mend',
    CONVERT(CONCAT('has column ', column_name, ' as ', column_type, ' ', collation_name) USING utf8mb4)
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships')
    AND column_name IN ('channel_id', 'thread_id', 'last_message_id', 'original_user_id', 'created_by')
    AND data_type IN ('char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext')
    AND (collation_name <> '{collation}' OR data_type IN ('char', 'tinytext')
        OR data_type = 'varchar' AND character_maximum_length < 255
        OR data_type <> 'varchar' AND column_name IN ('channel_id', 'thread_id'))
UNION ALL
SELECT CONVERT(c.table_name USING utf8mb4), 'mend', 'has numbers in column id that no unique key binds'
FROM information_schema.columns AS c
WHERE c.table_schema = DATABASE() AND c.table_name IN ('message_states', 'thread_ownerships') AND c.column_name = 'id'
    AND NOT EXISTS (SELECT 1 FROM information_schema.statistics AS s WHERE s.table_schema = DATABASE()
        AND s.table_name = c.table_name AND s.non_unique = 0 AND s.seq_in_index = 1 AND s.column_name = 'id')";

pub(crate) const REMARKS: &str = "\
SELECT CONVERT(CONCAT('trigger ', trigger_name, ' of table ', event_object_table,
    ' is not ours: it runs with each write, and the write fails if it fails') USING utf8mb4)
FROM information_schema.triggers
WHERE event_object_schema = DATABASE() AND event_object_table IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT CONVERT(CONCAT('constraint ', constraint_name, ' of table ', table_name,
    ' is not ours: a row that breaks it cannot be written') USING utf8mb4)
FROM information_schema.table_constraints
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships')
    AND constraint_type IN ('CHECK', 'FOREIGN KEY')
UNION ALL
SELECT DISTINCT CONVERT(CONCAT('foreign key ', constraint_name, ' of table ', table_name, ' refers to ',
    referenced_table_name, ': a row that it refers to cannot be deleted, or the deletion cascades') USING utf8mb4)
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()
    AND referenced_table_name IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT CONVERT(CONCAT('table ', table_name, ' keeps its history: each write makes it larger') USING utf8mb4)
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'SYSTEM VERSIONED'
    AND table_name IN ('message_states', 'thread_ownerships')";

/// What `alter` reads. Columns: kind, table, name; then of a table its row format, of a column its type, length, collation
/// and attributes, of an index whether it is unique and its first column, of a foreign key its table and the column of ours.
pub(crate) const BLUEPRINT: &str = "\
SELECT 'table', CONVERT(table_name USING utf8mb4), CONVERT(engine USING utf8mb4), CONVERT(row_format USING utf8mb4),
    NULL, NULL, NULL
FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT 'column', CONVERT(table_name USING utf8mb4), CONVERT(column_name USING utf8mb4),
    CONVERT(data_type USING utf8mb4), CONVERT(CAST(character_maximum_length AS CHAR) USING utf8mb4),
    CONVERT(collation_name USING utf8mb4), CONVERT(CONCAT(column_type, ' ', is_nullable, ' ', extra) USING utf8mb4)
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT 'index', CONVERT(table_name USING utf8mb4), CONVERT(index_name USING utf8mb4), IF(non_unique = 0, 'unique', ''),
    CONVERT(column_name USING utf8mb4), NULL, NULL
FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name IN ('message_states', 'thread_ownerships') AND seq_in_index = 1
UNION ALL
SELECT 'foreign key', CONVERT(referenced_table_name USING utf8mb4), CONVERT(constraint_name USING utf8mb4),
    CONVERT(table_name USING utf8mb4), CONVERT(referenced_column_name USING utf8mb4), NULL, NULL
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_schema = DATABASE()
    AND referenced_table_name IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT 'foreign key', CONVERT(table_name USING utf8mb4), CONVERT(constraint_name USING utf8mb4),
    CONVERT(table_name USING utf8mb4), CONVERT(column_name USING utf8mb4), NULL, NULL
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL
    AND table_name IN ('message_states', 'thread_ownerships')";
