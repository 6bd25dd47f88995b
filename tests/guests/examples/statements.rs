//! Tries the statements that it is told.

use test_guests::{Error, Guest, MessageState, attempt_told};

struct Statements;

impl Guest for Statements {
    fn get_message_state(told: String) -> Result<Option<MessageState>, Error> {
        attempt_told(&told)
    }
}

test_guests::export!(Statements);
