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

-- Null is not equal to null, so UNIQUE (channel_id, thread_id) let several rows without a thread in.
INSERT INTO message_states_archive
    (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, archived_at)
SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at, {now}
FROM (
    SELECT *, row_number() OVER (
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

-- Partial, so that rows with a thread pay nothing for it, and '' remains a key of its own.
CREATE UNIQUE INDEX IF NOT EXISTS uq_message_states_channel ON message_states (channel_id) WHERE thread_id IS NULL;

-- A bot that was interrupted while it created its schema may have left these out.
CREATE INDEX IF NOT EXISTS idx_message_states_timestamp ON message_states (last_seen_timestamp);

CREATE INDEX IF NOT EXISTS idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);

-- The unique keys do what these do.
DROP INDEX IF EXISTS idx_message_states_channel_thread;

DROP INDEX IF EXISTS idx_thread_ownerships_thread_id;
