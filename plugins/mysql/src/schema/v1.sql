-- The schema of the bots in the field, which created it without a charset.

CREATE TABLE IF NOT EXISTS message_states (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    channel_id VARCHAR(255) NOT NULL,
    thread_id VARCHAR(255) NULL,
    last_message_id VARCHAR(255) NOT NULL,
    last_seen_timestamp BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE KEY uq_message_states_channel_thread (channel_id, thread_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE {collation};

CREATE TABLE IF NOT EXISTS thread_ownerships (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    thread_id VARCHAR(255) NOT NULL,
    original_user_id VARCHAR(255) NOT NULL,
    created_by VARCHAR(255) NOT NULL,
    creation_time BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE KEY uq_thread_ownerships_thread (thread_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE {collation};

-- The indexes on timestamps come with version 2; the field's other two would only be dropped by it.
