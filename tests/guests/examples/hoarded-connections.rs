//! Leases connections until it is refused, and keeps them. Told `write` it wants connections that write, of which a
//! database may have one; told `error` it reports the refusal.

use test_guests::{Access, Connection, Error, Guest, MessageState, refused, report};

struct HoardedConnections;

impl Guest for HoardedConnections {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let access = if channel_id == "write" { Access::Write } else { Access::Read };
        loop {
            match Connection::acquire(access) {
                Ok(connection) => std::mem::forget(connection),
                Err(error) if channel_id == "error" => return Err(refused(error)),
                Err(error) => return Ok(report([error.message])),
            }
        }
    }
}

test_guests::export!(HoardedConnections);
