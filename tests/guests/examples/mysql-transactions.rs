//! Writes within a transaction on MySQL and panics (`trap`), returns without having ended it (`open`), or keeps the
//! connection in its hands (`kept`).

use test_guests::{Access, Connection, Engine, Error, Guest, MessageState, Value, Work, prepare, refused};

struct MysqlTransactions;

impl Guest for MysqlTransactions {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let connection = Connection::acquire(Access::Write).map_err(refused)?;
        let insert = prepare("INSERT INTO marks (mark) VALUES (?)", Work::Short).map_err(refused)?;
        connection.begin().map_err(refused)?;
        connection.execute(&insert, &[Value::Text(channel_id.clone())]).map_err(refused)?;
        match &*channel_id {
            "trap" => panic!("in the middle of a transaction"),
            "kept" => std::mem::forget(connection),
            _ => {}
        }
        Ok(None)
    }
}

test_guests::export!(MysqlTransactions);
