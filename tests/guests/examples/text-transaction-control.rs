//! Steers transactions by the text of statements.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 12] = [
    "BEGIN",
    "BEGIN IMMEDIATE",
    "begin exclusive",
    "/* */ BEGIN",
    "-- a line\nBEGIN",
    "COMMIT",
    "END",
    "END TRANSACTION",
    "ROLLBACK",
    "SAVEPOINT here",
    "RELEASE here",
    "ROLLBACK TO here",
];

struct TextTransactionControl;

impl Guest for TextTransactionControl {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS)))
    }
}

test_guests::export!(TextTransactionControl);
