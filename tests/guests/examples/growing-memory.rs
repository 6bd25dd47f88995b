//! Asks for memory until it is refused. Told `careful` it takes the refusal, frees everything and answers as if nothing
//! had happened.

use test_guests::{Error, Guest, MessageState};

struct GrowingMemory;

impl Guest for GrowingMemory {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            let mut block = Vec::new();
            match block.try_reserve_exact(1 << 20) {
                Ok(()) => block.resize(1 << 20, 1),
                Err(_) if channel_id == "careful" => return Ok(None),
                Err(_) => block = vec![1; 1 << 20],
            }
            hoard.push(std::hint::black_box(block));
        }
    }
}

test_guests::export!(GrowingMemory);
