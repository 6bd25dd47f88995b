//! Panics.

use test_guests::{Error, Guest, MessageState};

struct Panics;

impl Guest for Panics {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        panic!("told to by {channel_id}");
    }
}

test_guests::export!(Panics);
