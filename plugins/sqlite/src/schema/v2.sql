-- Records versions, keeps a channel's state without a thread unique, and saves every write two indexes.

-- The default is for the old bot, which may record its version 1 without our column.
CREATE TABLE IF NOT EXISTS schema_versions (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL DEFAULT 0
);

-- Rows that gave way to a newer one of the same channel. `id` is the number that they had.
CREATE TABLE IF NOT EXISTS message_states_archive (
    id INTEGER PRIMARY KEY,
    channel_id TEXT NOT NULL,
    thread_id TEXT NULL,
    last_message_id TEXT NOT NULL,
    last_seen_timestamp INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    archived_at INTEGER NOT NULL
);

-- Null is not equal to null, so UNIQUE (channel_id, thread_id) let several rows without a thread in. A number that is in
-- the archive from before gives way to another one.
INSERT INTO message_states_archive
    (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, archived_at)
SELECT CASE WHEN id NOT IN (SELECT id FROM message_states_archive WHERE id IS NOT NULL) THEN id END,
    channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, {now}
FROM (
    SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, row_number() OVER (
        PARTITION BY channel_id ORDER BY updated_at DESC, last_seen_timestamp DESC, id DESC
    ) AS place
    FROM message_states WHERE thread_id IS NULL
)
WHERE place > 1;

DELETE FROM message_states WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY channel_id ORDER BY updated_at DESC, last_seen_timestamp DESC, id DESC
        ) AS place
        FROM message_states WHERE thread_id IS NULL
    )
    WHERE place > 1
);

-- Partial, so that rows with a thread pay nothing for it, and '' remains a key of its own. Names of indexes are good for the
-- whole file: where something else has the name, the key takes another.
-- unless: SELECT 1 FROM sqlite_master WHERE lower(name) = 'uq_message_states_channel'
CREATE UNIQUE INDEX uq_message_states_channel ON message_states (channel_id) WHERE thread_id IS NULL;

-- unless: SELECT 1 FROM pragma_index_list('message_states') AS k JOIN sqlite_master AS i ON i.type = 'index' AND i.name = k.name WHERE k."unique" AND k.partial AND lower(substr(i.sql, instr(upper(i.sql), ' WHERE ') + 7)) = 'thread_id is null' AND (SELECT group_concat(lower(name) || ' ' || upper(coll)) FROM pragma_index_xinfo(k.name) WHERE key) = 'channel_id BINARY'
CREATE UNIQUE INDEX cofferdam_uq_message_states_channel ON message_states (channel_id) WHERE thread_id IS NULL;

-- A bot that was interrupted while it created its schema may have left these out.
-- unless: SELECT 1 FROM sqlite_master WHERE lower(name) = 'idx_message_states_timestamp'
CREATE INDEX idx_message_states_timestamp ON message_states (last_seen_timestamp);

-- unless: SELECT 1 FROM pragma_index_list('message_states') AS k JOIN pragma_index_xinfo(k.name) AS c WHERE NOT k.partial AND c.seqno = 0 AND lower(c.name) = 'last_seen_timestamp'
CREATE INDEX cofferdam_idx_message_states_timestamp ON message_states (last_seen_timestamp);

-- unless: SELECT 1 FROM sqlite_master WHERE lower(name) = 'idx_thread_ownerships_creation_time'
CREATE INDEX idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);

-- unless: SELECT 1 FROM pragma_index_list('thread_ownerships') AS k JOIN pragma_index_xinfo(k.name) AS c WHERE NOT k.partial AND c.seqno = 0 AND lower(c.name) = 'creation_time'
CREATE INDEX cofferdam_idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);

-- The unique keys do what these do. On another table, or with another meaning, they are not ours.
-- unless: SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pragma_index_list('message_states') WHERE name = 'idx_message_states_channel_thread' AND NOT "unique")
DROP INDEX idx_message_states_channel_thread;

-- unless: SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pragma_index_list('thread_ownerships') WHERE name = 'idx_thread_ownerships_thread_id' AND NOT "unique")
DROP INDEX idx_thread_ownerships_thread_id;
