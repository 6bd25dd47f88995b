//! Declares several statements in one text.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 7] = [
    "SELECT 1; DROP TABLE marks",
    "SELECT 1; SELECT 2",
    "INSERT INTO marks (mark) VALUES ('first'); DELETE FROM marks",
    "SELECT 1; -- nothing\nDROP TABLE marks",
    ";",
    "",
    "-- only a comment",
];

struct TwoStatements;

impl Guest for TwoStatements {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS)))
    }
}

test_guests::export!(TwoStatements);
