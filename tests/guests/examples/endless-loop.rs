//! Computes for ever.

use test_guests::{Error, Guest, MessageState};

struct EndlessLoop;

impl Guest for EndlessLoop {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns).wrapping_add(1);
        }
    }
}

test_guests::export!(EndlessLoop);
