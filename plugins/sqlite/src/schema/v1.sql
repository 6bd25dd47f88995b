-- The schema of the bots in the field.

CREATE TABLE IF NOT EXISTS message_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id TEXT NOT NULL,
    thread_id TEXT NULL,
    last_message_id TEXT NOT NULL,
    last_seen_timestamp INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (channel_id, thread_id)
);

CREATE TABLE IF NOT EXISTS thread_ownerships (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id TEXT NOT NULL UNIQUE,
    original_user_id TEXT NOT NULL,
    created_by TEXT NOT NULL,
    creation_time INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_message_states_channel_thread ON message_states (channel_id, thread_id);

CREATE INDEX IF NOT EXISTS idx_message_states_timestamp ON message_states (last_seen_timestamp);

CREATE INDEX IF NOT EXISTS idx_thread_ownerships_thread_id ON thread_ownerships (thread_id);

CREATE INDEX IF NOT EXISTS idx_thread_ownerships_creation_time ON thread_ownerships (creation_time);
