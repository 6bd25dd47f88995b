//! Binds texts longer than a statement may have: one of as many bytes as it is told, or, told `many`, a million of
//! parameters.

use test_guests::{Error, Guest, MessageState, Value, refused, run};

struct LongParameters;

impl Guest for LongParameters {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let parameters = match channel_id.parse() {
            Ok(bytes) => vec![Value::Text("x".repeat(bytes))],
            Err(_) => vec![Value::Null; 1_000_000],
        };
        run("INSERT INTO marks (mark) VALUES (?)", parameters).map_err(refused).map(|()| None)
    }
}

test_guests::export!(LongParameters);
