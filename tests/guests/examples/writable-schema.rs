//! Makes the schema writable, and writes to it.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 14] = [
    "PRAGMA writable_schema = ON",
    "PRAGMA writable_schema(1)",
    "/**/pragma main.writable_schema=1",
    "SELECT * FROM pragma_writable_schema(1)",
    "UPDATE sqlite_master SET sql = 'x' WHERE name = 'marks'",
    "UPDATE sqlite_schema SET name = 'gone'",
    "DELETE FROM sqlite_master",
    "INSERT INTO sqlite_master (type, name) VALUES ('table', 'forged')",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA trusted_schema = ON",
    "PRAGMA user_version = 99",
    "PRAGMA wal_checkpoint(TRUNCATE)",
];

struct WritableSchema;

impl Guest for WritableSchema {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS)))
    }
}

test_guests::export!(WritableSchema);
