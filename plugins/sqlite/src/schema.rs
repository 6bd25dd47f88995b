//! The schema steps, and how to tell which schema a database has.

use cofferdam_guest::{Grade, Look, RecordVersion, Upgrade};

pub(crate) const STEPS: &[&str] = &[include_str!("schema/v1.sql"), include_str!("schema/v2.sql")];

pub(crate) const RECORD_VERSION: RecordVersion = RecordVersion {
    integer: "INSERT INTO schema_versions (version, applied_at) VALUES (?, ?)",
    temporal: "INSERT INTO schema_versions (version, applied_at) VALUES (?, datetime(?, 'unixepoch'))",
    bare: "INSERT INTO schema_versions (version) VALUES (?)",
};

/// Names are in lower case: to SQLite `Message_States` is the same table. Families follow SQLite's rules of affinity for
/// what our columns are declared as. A primary key is not null though it is not declared so.
pub(crate) const DESCRIBE_COLUMNS: &str = "\
SELECT lower(t.name), lower(c.name),
    CASE WHEN upper(c.type) LIKE '%INT%' THEN 'integer'
         WHEN upper(c.type) LIKE '%CHAR%' OR upper(c.type) LIKE '%TEXT%' THEN 'text'
         WHEN upper(c.type) LIKE '%DATE%' OR upper(c.type) LIKE '%TIME%' THEN 'temporal'
         ELSE 'other' END,
    c.\"notnull\" = 0 AND c.pk = 0,
    c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL OR c.pk > 0,
    c.dflt_value IS NOT NULL AND upper(c.dflt_value) <> 'NULL'
FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
WHERE t.type = 'table'
    AND lower(t.name) IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
ORDER BY 1, c.cid";

/// The condition of a partial index is part of the description, in lower case and as it was written.
pub(crate) const DESCRIBE_UNIQUE_KEYS: &str = "\
SELECT lower(t.name), k.name,
    (SELECT group_concat(coalesce(lower(name), '(an expression)')
            || CASE WHEN upper(coll) <> 'BINARY' THEN ' collate ' || lower(coll) ELSE '' END, ',')
        FROM (SELECT name, coll FROM pragma_index_xinfo(k.name) WHERE key ORDER BY seqno))
        || CASE WHEN k.partial THEN
            (SELECT ' where ' || lower(substr(i.sql, instr(upper(i.sql), ' WHERE ') + 7))
             FROM sqlite_master AS i WHERE i.type = 'index' AND i.name = k.name)
           ELSE '' END
FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS k
WHERE t.type = 'table' AND k.\"unique\"
    AND lower(t.name) IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')";

/// A number that is another name of the rowid has no index of its own.
pub(crate) const DIFFERENCES: &str = "\
SELECT lower(name), 'refused',
    'is ' || CASE type WHEN 'view' THEN 'a view' WHEN 'table' THEN 'a virtual table' ELSE 'an ' || type END
        || ', not a table: give it another name'
FROM sqlite_master
WHERE lower(name) IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
    AND (type IN ('view', 'index') OR type = 'table' AND sql LIKE 'CREATE VIRTUAL%')
UNION ALL
SELECT lower(t.name), 'refused', 'has column ' || c.name || ', which is computed: make it an ordinary one'
FROM sqlite_master AS t JOIN pragma_table_xinfo(t.name) AS c
WHERE t.type = 'table' AND c.hidden > 1
    AND lower(t.name) IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
    AND lower(c.name) IN ('id', 'channel_id', 'thread_id', 'last_message_id', 'last_seen_timestamp', 'created_at',
        'updated_at', 'original_user_id', 'created_by', 'creation_time', 'archived_at', 'version')
UNION ALL
SELECT 'the file', 'unordered', 'keeps text as ' || encoding || ', whose order is not that of UTF-8: move it into a new file by '
    || '`cofferdam migrate --from sqlite:FILE --to sqlite:NEW --execute`, and work with that one'
FROM pragma_encoding WHERE encoding <> 'UTF-8'
UNION ALL
SELECT lower(t.name), 'mend', 'has numbers in column id that SQLite does not give by itself'
FROM sqlite_master AS t
WHERE t.type = 'table' AND lower(t.name) IN ('message_states', 'thread_ownerships')
    AND ((SELECT group_concat(lower(c.name)) FROM pragma_table_info(t.name) AS c WHERE c.pk > 0) IS NOT 'id'
        OR EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS k WHERE k.origin = 'pk')
        OR EXISTS (SELECT 1 FROM pragma_table_list(t.name) AS l WHERE l.schema = 'main' AND l.wr))
UNION ALL
SELECT lower(name), 'mend', 'has its own rule for conflicting rows (ON CONFLICT)'
FROM sqlite_master
WHERE type = 'table' AND lower(name) IN ('message_states', 'thread_ownerships')
    AND replace(replace(replace(replace(upper(sql), ' ', ''), char(9), ''), char(10), ''), char(13), '')
        LIKE '%ONCONFLICT%'
UNION ALL
SELECT lower(tbl_name), 'unwritable',
    'has trigger ' || name || ', which silently discards writes (RAISE(IGNORE)): drop it'
FROM sqlite_master
WHERE type = 'trigger' AND lower(tbl_name) IN ('message_states', 'thread_ownerships')
    AND replace(replace(replace(replace(upper(sql), ' ', ''), char(9), ''), char(10), ''), char(13), '')
        LIKE '%RAISE(IGNORE)%'";

/// Of a compound the first part's collation tells which texts are equal.
macro_rules! compares_bytes {
    ($table:literal, $column:literal) => {
        Look {
            table: $table,
            query: concat!(
                "SELECT 1 WHERE (SELECT count(*) FROM (SELECT ",
                $column,
                " FROM ",
                $table,
                " WHERE 0 UNION SELECT 'a' UNION SELECT 'A' UNION SELECT 'a ')) < 3"
            ),
            rows_count: true,
            grade: Grade::Mend,
            what: concat!("compares column ", $column, " otherwise than byte for byte"),
            unorders: true,
        }
    };
}

/// Preparing a write prepares what the triggers and foreign keys of the table's owner add to it.
macro_rules! takes_writes {
    ($table:literal, $write:literal) => {
        Look {
            table: $table,
            query: concat!("EXPLAIN ", $write),
            rows_count: false,
            grade: Grade::Unwritable,
            what: "cannot be written here: drop or correct what prevents it",
            unorders: false,
        }
    };
}

pub(crate) const LOOKS: &[Look] = &[
    compares_bytes!("message_states", "channel_id"),
    compares_bytes!("message_states", "thread_id"),
    compares_bytes!("thread_ownerships", "thread_id"),
    takes_writes!(
        "message_states",
        "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
         updated_at)
VALUES ('', '', '', 0, 0, 0)"
    ),
    takes_writes!(
        "message_states",
        "UPDATE message_states SET last_message_id = '', last_seen_timestamp = 0, created_at = 0, updated_at = 0"
    ),
    takes_writes!(
        "thread_ownerships",
        "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at)
VALUES ('', '', '', 0, 0, 0)"
    ),
    takes_writes!(
        "thread_ownerships",
        "UPDATE thread_ownerships SET original_user_id = '', created_by = '', creation_time = 0, created_at = 0,
    updated_at = 0"
    ),
    takes_writes!("thread_ownerships", "DELETE FROM thread_ownerships WHERE creation_time < 0"),
];

pub(crate) const REMARKS: &str = "\
SELECT 'trigger ' || name || ' of table ' || lower(tbl_name)
    || ' is not ours: it runs with each write, and the write fails if it fails'
FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) IN ('message_states', 'thread_ownerships')
UNION ALL
SELECT 'table ' || lower(name) || ' has a CHECK of its own: a row that it does not let in cannot be written'
FROM sqlite_master
WHERE type = 'table' AND lower(name) IN ('message_states', 'thread_ownerships')
    AND replace(replace(replace(replace(upper(sql), ' ', ''), char(9), ''), char(10), ''), char(13), '') LIKE '%CHECK(%'
UNION ALL
SELECT DISTINCT 'foreign keys of table ' || t.name || ' to ' || f.\"table\" || ' are not enforced, as they never were'
FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS f
WHERE t.type = 'table' AND (lower(f.\"table\") IN ('message_states', 'thread_ownerships')
    OR lower(t.name) IN ('message_states', 'thread_ownerships'))";

/// All of the upgrade is one transaction. Triggers would take what it moves for writes, and views stand in the way of the
/// renaming of tables. Bots before this one never had SQLite enforce foreign keys, so that rows of other tables may point
/// to nowhere, or to more than one row.
pub(crate) const UPGRADE: Upgrade = Upgrade::Transaction {
    relax: [
        "\
SELECT 1 FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS f
WHERE t.type = 'table' AND (lower(f.\"table\") IN ('message_states', 'thread_ownerships', 'message_states_archive')
    OR lower(t.name) IN ('message_states', 'thread_ownerships', 'message_states_archive')) LIMIT 1",
        "PRAGMA foreign_keys = OFF",
    ],
    set_aside: "\
SELECT 'DROP ' || type || ' \"' || replace(name, '\"', '\"\"') || '\"', sql FROM sqlite_master
WHERE type IN ('trigger', 'view') AND sql IS NOT NULL ORDER BY type, rowid DESC",
};

/// What `rebuild` reads: tables and indexes, and whether a table's number is another name of the rowid.
pub(crate) const BLUEPRINT: &str = "\
SELECT type, lower(tbl_name), name, sql,
    CASE WHEN type = 'table' AND lower(name) IN ('message_states', 'thread_ownerships')
        AND (SELECT group_concat(lower(c.name)) FROM pragma_table_info(m.name) AS c WHERE c.pk > 0) = 'id'
        AND NOT EXISTS (SELECT 1 FROM pragma_index_list(m.name) AS k WHERE k.origin = 'pk')
        AND NOT EXISTS (SELECT 1 FROM pragma_table_list(m.name) AS l WHERE l.schema = 'main' AND l.wr)
    THEN 'rowid' END
FROM sqlite_master AS m WHERE type IN ('table', 'index') ORDER BY rowid";
