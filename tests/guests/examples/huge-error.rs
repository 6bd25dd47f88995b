//! Fails with a message of a megabyte that steers a terminal and forges lines of a log.

use test_guests::{Error, ErrorKind, Guest, MessageState};

struct HugeError;

impl Guest for HugeError {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        let message = format!("\x1b[2J\r\nERROR forged\0 {}", "é".repeat(1 << 19));
        Err(Error { kind: ErrorKind::Conflict, message, code: Some("\x1b[31m\n".repeat(1 << 10)) })
    }
}

test_guests::export!(HugeError);
