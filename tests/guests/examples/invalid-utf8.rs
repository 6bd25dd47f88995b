//! Lowers a string that is not UTF-8, in a result or, told `parameter`, in an argument.

use test_guests::{Error, Guest, MessageState, refused, report, select};

struct InvalidUtf8;

impl Guest for InvalidUtf8 {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        // SAFETY: none; to break what a string promises is what this guest is for.
        let text = unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc3]) };
        match &*channel_id {
            "parameter" => select(&text).map_err(refused).map(|()| None),
            _ => Ok(report([text])),
        }
    }
}

test_guests::export!(InvalidUtf8);
