-- Records versions, keeps a channel's state without a thread unique, and saves every write two indexes. That text is compared
-- byte for byte was seen to before. Changes of the schema commit by themselves: each statement can be run again.

-- The default is for the old bot, which may record its version 1 without our column.
CREATE TABLE IF NOT EXISTS schema_versions (
    version INT NOT NULL PRIMARY KEY,
    applied_at BIGINT NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation};

-- What refers to a row would go with it, or keep it.
-- refuse: SELECT CONCAT('foreign key ', k.constraint_name, ' of table ', k.table_name, ' refers to message_states, where several rows have one channel and no thread: it prevents the upgrade from archiving the older ones: drop it for the upgrade') FROM information_schema.key_column_usage AS k WHERE k.table_schema = DATABASE() AND k.referenced_table_schema = DATABASE() AND k.referenced_table_name = 'message_states' AND EXISTS (SELECT 1 FROM message_states WHERE thread_id IS NULL GROUP BY CAST(CONVERT(channel_id USING utf8mb4) AS BINARY) HAVING COUNT(*) > 1) LIMIT 1

-- Rows that gave way to a newer one of the same channel. `id` is the number that they had.
CREATE TABLE IF NOT EXISTS message_states_archive (
    id BIGINT NOT NULL PRIMARY KEY,
    channel_id VARCHAR(255) NOT NULL,
    thread_id VARCHAR(255) NULL,
    last_message_id VARCHAR(255) NOT NULL,
    last_seen_timestamp BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    archived_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation};

-- Null is not equal to null, so the unique key over channel_id and thread_id let several rows without a thread in. A
-- bot may write to a row between this statement and the next, so what is in the archive from before is brought up to
-- date, and what is deleted is exactly what is in the archive.
INSERT INTO message_states_archive
    (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, archived_at)
SELECT older.id, older.channel_id, older.thread_id, older.last_message_id, older.last_seen_timestamp,
    older.created_at, older.updated_at, {now}
FROM message_states AS older
WHERE older.thread_id IS NULL AND EXISTS (
    SELECT 1 FROM message_states AS newer
    WHERE newer.channel_id = older.channel_id AND newer.thread_id IS NULL
        AND (newer.updated_at, newer.last_seen_timestamp, newer.id)
            > (older.updated_at, older.last_seen_timestamp, older.id)
)
ON DUPLICATE KEY UPDATE channel_id = VALUES(channel_id), thread_id = VALUES(thread_id),
    last_message_id = VALUES(last_message_id), last_seen_timestamp = VALUES(last_seen_timestamp),
    created_at = VALUES(created_at), updated_at = VALUES(updated_at);

DELETE older FROM message_states AS older
JOIN message_states_archive AS kept
    ON kept.id = older.id AND kept.channel_id = older.channel_id AND kept.last_message_id = older.last_message_id
        AND kept.last_seen_timestamp = older.last_seen_timestamp AND kept.created_at = older.created_at
        AND kept.updated_at = older.updated_at
JOIN message_states AS newer
    ON newer.channel_id = older.channel_id AND newer.thread_id IS NULL
        AND (newer.updated_at, newer.last_seen_timestamp, newer.id)
            > (older.updated_at, older.last_seen_timestamp, older.id)
WHERE older.thread_id IS NULL;

-- 1 in rows without a thread, null in all others, so that a unique key binds only the former.
-- unless: SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'message_states' AND column_name = 'threadless'
ALTER TABLE message_states
    ADD COLUMN threadless TINYINT GENERATED ALWAYS AS (IF(thread_id IS NULL, 1, NULL)) VIRTUAL;

-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states' AND index_name = 'uq_message_states_channel'
CREATE UNIQUE INDEX uq_message_states_channel ON message_states (channel_id, threadless);

-- Where something else has the name, the key takes another.
-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states' AND non_unique = 0 AND sub_part IS NULL GROUP BY index_name HAVING GROUP_CONCAT(column_name ORDER BY seq_in_index) = 'channel_id,threadless'
CREATE UNIQUE INDEX cofferdam_uq_message_states_channel ON message_states (channel_id, threadless);

-- A bot that was interrupted while it created its schema may have left these out.
-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states' AND (column_name = 'last_seen_timestamp' AND seq_in_index = 1 OR index_name = 'idx_message_states_timestamp')
CREATE INDEX idx_message_states_timestamp ON message_states (last_seen_timestamp);

-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states' AND column_name = 'last_seen_timestamp' AND seq_in_index = 1
CREATE INDEX cofferdam_idx_message_states_timestamp ON message_states (last_seen_timestamp);

-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'thread_ownerships' AND (column_name = 'creation_time' AND seq_in_index = 1 OR index_name = 'idx_thread_ownerships_creation_time')
CREATE INDEX idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);

-- unless: SELECT 1 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'thread_ownerships' AND column_name = 'creation_time' AND seq_in_index = 1
CREATE INDEX cofferdam_idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);

-- The unique keys do what these do.
-- unless: SELECT 1 FROM (SELECT COUNT(*) AS found FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'message_states' AND index_name = 'idx_message_states_channel_thread' AND non_unique = 1) AS i WHERE i.found = 0
DROP INDEX idx_message_states_channel_thread ON message_states;

-- unless: SELECT 1 FROM (SELECT COUNT(*) AS found FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'thread_ownerships' AND index_name = 'idx_thread_ownerships_thread_id' AND non_unique = 1) AS i WHERE i.found = 0
DROP INDEX idx_thread_ownerships_thread_id ON thread_ownerships;
