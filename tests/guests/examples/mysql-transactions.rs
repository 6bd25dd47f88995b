//! Leaves a transaction on MySQL as it is told.

use test_guests::{Engine, Error, Guest, MessageState, leave_transaction};

struct MysqlTransactions;

impl Guest for MysqlTransactions {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(told: String) -> Result<Option<MessageState>, Error> {
        leave_transaction(&told)
    }
}

test_guests::export!(MysqlTransactions);
