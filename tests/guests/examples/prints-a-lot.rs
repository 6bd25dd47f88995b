//! Prints two megabytes, with what steers a terminal and what looks like another line of the log.

use test_guests::{Error, Guest, MessageState};

struct PrintsALot;

impl Guest for PrintsALot {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        println!("\x1b[31mred\x1b[0m\r\x07 marker-escape");
        for _ in 0..1 << 10 {
            println!("{}", "o".repeat(1 << 10));
            eprintln!("{}", "e".repeat(1 << 10));
        }
        Ok(None)
    }
}

test_guests::export!(PrintsALot);
