//! Attaches another file, whose path it is told.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 4] = [
    "ATTACH DATABASE 'PATH' AS other",
    "attach 'PATH' as other",
    "/* a comment */ ATTACH ':memory:' AS other -- 'PATH'",
    "DETACH DATABASE main",
];

struct Attach;

impl Guest for Attach {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS.map(|text| text.replace("PATH", &channel_id)))))
    }
}

test_guests::export!(Attach);
