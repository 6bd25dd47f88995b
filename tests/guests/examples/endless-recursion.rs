//! Calls itself for ever, on the stack of the engine and not on the one in its memory.

use test_guests::{Error, Guest, MessageState, internal};

#[inline(never)]
fn descend(depth: u64) -> u64 {
    // What is done after the call keeps it from becoming a loop.
    std::hint::black_box(descend as fn(u64) -> u64)(depth.wrapping_add(1)).wrapping_mul(3)
}

struct EndlessRecursion;

impl Guest for EndlessRecursion {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        let deep = descend(1);
        Err(internal(format!("came back from {deep}")))
    }
}

test_guests::export!(EndlessRecursion);
