//! Fails to write as the channel's id tells it: hangs, reports a mistake of its own, or passes on what the database says.

use std::time::Duration;

use test_guests::{Error, Guest, MessageState, insert_mark, internal, refused, run};

struct FailsWhenTold;

impl Guest for FailsWhenTold {
    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        match state.channel_id.as_str() {
            "hang" => {
                std::thread::sleep(Duration::from_secs(3600));
                Ok(())
            }
            "mistake" => Err(internal("it forgot how to write")),
            "refusal" => run("INSERT INTO marks (mark) VALUES (NULL)", Vec::new()).map_err(refused),
            channel => insert_mark(channel).map_err(refused),
        }
    }
}

test_guests::export!(FailsWhenTold);
