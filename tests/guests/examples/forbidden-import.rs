//! Imports what no backend is granted.

use test_guests::{Error, Guest, MessageState};

mod forbidden {
    wit_bindgen::generate!({
        inline: "
            package example:forbidden;
            interface thing { take: func(); }
            world wish { import thing; }
        ",
    });
}

struct ForbiddenImport;

impl Guest for ForbiddenImport {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        forbidden::example::forbidden::thing::take();
        Ok(None)
    }
}

test_guests::export!(ForbiddenImport);
