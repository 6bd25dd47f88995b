//! Writes within a transaction and returns without having ended it; told `kept`, with the connection still in its
//! hands.

use test_guests::{Access, Connection, Error, Guest, MessageState, Value, Work, prepare, refused};

struct OpenTransaction;

impl Guest for OpenTransaction {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let connection = Connection::acquire(Access::Write).map_err(refused)?;
        let insert = prepare("INSERT INTO marks (mark) VALUES (?)", Work::Short).map_err(refused)?;
        connection.begin().map_err(refused)?;
        connection.execute(&insert, &[Value::Text(channel_id.clone())]).map_err(refused)?;
        if channel_id == "kept" {
            std::mem::forget(connection);
        }
        Ok(None)
    }
}

test_guests::export!(OpenTransaction);
