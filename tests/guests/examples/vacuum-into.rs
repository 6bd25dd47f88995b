//! Copies the database into another file, whose path it is told.

use test_guests::{Error, Guest, MessageState, attempt, report};

const TEXTS: [&str; 3] = ["VACUUM INTO 'PATH'", "/**/ vacuum main into 'PATH'", "VACUUM"];

struct VacuumInto;

impl Guest for VacuumInto {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        Ok(report(attempt(TEXTS.map(|text| text.replace("PATH", &channel_id)))))
    }
}

test_guests::export!(VacuumInto);
