//! The schema steps, and how to tell which schema a database has.

use cofferdam_guest::RecordVersion;

pub(crate) const STEPS: &[&str] = &[include_str!("schema/v1.sql"), include_str!("schema/v2.sql")];

pub(crate) const RECORD_VERSION: RecordVersion = RecordVersion {
    integer: "INSERT INTO schema_versions (version, applied_at) VALUES (?, ?)",
    temporal: "INSERT INTO schema_versions (version, applied_at) VALUES (?, datetime(?, 'unixepoch'))",
    bare: "INSERT INTO schema_versions (version) VALUES (?)",
};

/// Families follow SQLite's rules of affinity for what our columns are declared as. A primary key is not null though
/// it is not declared so.
pub(crate) const DESCRIBE_COLUMNS: &str = "\
SELECT t.name, c.name,
    CASE WHEN upper(c.type) LIKE '%INT%' THEN 'integer'
         WHEN upper(c.type) LIKE '%CHAR%' OR upper(c.type) LIKE '%TEXT%' THEN 'text'
         WHEN upper(c.type) LIKE '%DATE%' OR upper(c.type) LIKE '%TIME%' THEN 'temporal'
         ELSE 'other' END,
    c.\"notnull\" = 0 AND c.pk = 0,
    c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL OR c.pk > 0
FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
WHERE t.type = 'table'
    AND t.name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')
ORDER BY t.name, c.cid";

/// The condition of a partial index is part of the description, in lower case and as it was written.
pub(crate) const DESCRIBE_UNIQUE_KEYS: &str = "\
SELECT t.name,
    (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(k.name) ORDER BY seqno))
        || CASE WHEN k.partial THEN
            (SELECT ' where ' || lower(substr(i.sql, instr(upper(i.sql), ' WHERE ') + 7))
             FROM sqlite_master AS i WHERE i.type = 'index' AND i.name = k.name)
           ELSE '' END
FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS k
WHERE t.type = 'table' AND k.\"unique\"
    AND t.name IN ('message_states', 'thread_ownerships', 'message_states_archive', 'schema_versions')";
