//! Leaves a transaction as it is told.

use test_guests::{Error, Guest, MessageState, leave_transaction};

struct Transactions;

impl Guest for Transactions {
    fn get_message_state(told: String) -> Result<Option<MessageState>, Error> {
        leave_transaction(&told)
    }
}

test_guests::export!(Transactions);
