//! Panics when it is to write.

use test_guests::{Error, Guest, MessageState};

struct TrapsOnWrites;

impl Guest for TrapsOnWrites {
    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        panic!("told to by {}", state.channel_id);
    }
}

test_guests::export!(TrapsOnWrites);
