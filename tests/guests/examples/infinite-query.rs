//! Runs a query that never ends: `0` declares it as short work, `1` as long, and `2` wants all its rows.

use test_guests::{Access, Connection, Error, Guest, MessageState, Work, prepare, refused};

struct InfiniteQuery;

impl Guest for InfiniteQuery {
    fn get_message_state(channel_id: String) -> Result<Option<MessageState>, Error> {
        let work = if channel_id == "0" { Work::Short } else { Work::Long };
        let columns = if channel_id == "2" { "i" } else { "count(*)" };
        let text = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {columns} FROM n");
        let statement = prepare(&text, work).map_err(refused)?;
        let connection = Connection::acquire(Access::Read).map_err(refused)?;
        connection.query(&statement, &[]).map_err(refused).map(|_| None)
    }
}

test_guests::export!(InfiniteQuery);
