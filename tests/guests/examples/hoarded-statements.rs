//! Declares statements until it is refused, and keeps them.

use test_guests::{Error, Guest, MessageState, Work, prepare, report};

struct HoardedStatements;

impl Guest for HoardedStatements {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        loop {
            match prepare("SELECT 1", Work::Short) {
                Ok(statement) => std::mem::forget(statement),
                Err(error) => return Ok(report([error.message])),
            }
        }
    }
}

test_guests::export!(HoardedStatements);
