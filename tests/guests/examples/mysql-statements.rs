//! Tries the statements that it is told, on MySQL.

use test_guests::{Engine, Error, Guest, MessageState, attempt_told};

struct MysqlStatements;

impl Guest for MysqlStatements {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(told: String) -> Result<Option<MessageState>, Error> {
        attempt_told(&told)
    }
}

test_guests::export!(MysqlStatements);
