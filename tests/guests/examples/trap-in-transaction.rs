//! Writes within a transaction, and panics.

use test_guests::{Access, Connection, Error, Guest, MessageState, Value, Work, prepare, refused};

struct TrapInTransaction;

impl Guest for TrapInTransaction {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let connection = Connection::acquire(Access::Write).map_err(refused)?;
        let insert = prepare("INSERT INTO marks (mark) VALUES (?)", Work::Short).map_err(refused)?;
        connection.begin().map_err(refused)?;
        connection.execute(&insert, &[Value::Text(channel_id.clone())]).map_err(refused)?;
        panic!("in the middle of a transaction");
    }
}

test_guests::export!(TrapInTransaction);
