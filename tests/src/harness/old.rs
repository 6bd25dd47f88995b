//! The tables of the old bot.

/// In a SQLite file.
pub mod sqlite {
    /// Message states.
    pub const STATES: &str = "CREATE TABLE message_states (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id TEXT NOT NULL,
    thread_id TEXT NULL,
    last_message_id TEXT NOT NULL,
    last_seen_timestamp INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE(channel_id, thread_id)
)";

    /// Thread ownerships.
    pub const OWNERSHIPS: &str = "CREATE TABLE thread_ownerships (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    thread_id TEXT NOT NULL UNIQUE,
    original_user_id TEXT NOT NULL,
    created_by TEXT NOT NULL,
    creation_time INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
)";

    /// What else it runs at each start.
    pub const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS idx_message_states_channel_thread ON message_states(channel_id, thread_id);
    CREATE INDEX IF NOT EXISTS idx_message_states_timestamp ON message_states(last_seen_timestamp);
    CREATE INDEX IF NOT EXISTS idx_thread_ownerships_thread_id ON thread_ownerships(thread_id);
    CREATE INDEX IF NOT EXISTS idx_thread_ownerships_creation_time ON thread_ownerships(creation_time);";

    /// All that it runs at each start.
    pub fn start() -> String {
        let [states, ownerships] = [STATES, OWNERSHIPS].map(super::where_missing);
        format!("{states};{ownerships};{INDEXES}")
    }
}

/// On a MySQL server.
pub mod mysql {
    /// Message states.
    pub const STATES: &str = "CREATE TABLE message_states (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    channel_id VARCHAR(255) NOT NULL,
    thread_id VARCHAR(255) NULL,
    last_message_id VARCHAR(255) NOT NULL,
    last_seen_timestamp BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE KEY unique_channel_thread (channel_id, thread_id),
    INDEX idx_message_states_channel_thread (channel_id, thread_id),
    INDEX idx_message_states_timestamp (last_seen_timestamp)
)";

    /// Thread ownerships.
    pub const OWNERSHIPS: &str = "CREATE TABLE thread_ownerships (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    thread_id VARCHAR(255) NOT NULL UNIQUE,
    original_user_id VARCHAR(255) NOT NULL,
    created_by VARCHAR(255) NOT NULL,
    creation_time BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    INDEX idx_thread_ownerships_thread_id (thread_id),
    INDEX idx_thread_ownerships_creation_time (creation_time)
)";

    /// What it runs at each start.
    pub fn start() -> [String; 2] {
        [STATES, OWNERSHIPS].map(super::where_missing)
    }
}

fn where_missing(table: &str) -> String {
    table.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
}
