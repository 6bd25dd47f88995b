//! Asks MySQL to sleep for an hour.

use test_guests::{Engine, Error, Guest, MessageState, refused, select};

struct SleepingQuery;

impl Guest for SleepingQuery {
    const ENGINE: Engine = Engine::Mysql;

    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        select("SELECT SLEEP(3600)").map_err(refused).map(|()| None)
    }
}

test_guests::export!(SleepingQuery);
