//! Sleeps for an hour.

use std::time::Duration;

use test_guests::{Error, Guest, MessageState};

struct Sleeps;

impl Guest for Sleeps {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        std::thread::sleep(Duration::from_secs(3600));
        Ok(None)
    }
}

test_guests::export!(Sleeps);
