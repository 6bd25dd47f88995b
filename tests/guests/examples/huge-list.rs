//! Returns lists that are too long, too large, or do not hold together; the window's seconds say which.

use test_guests::{Error, Guest, MessageStates, internal, states};

/// Three rows, each text of which is two bytes, changed so that they do not hold together.
fn broken(change: fn(&mut MessageStates)) -> MessageStates {
    let mut columns = states(3, "é");
    change(&mut columns);
    columns
}

struct HugeList;

impl Guest for HugeList {
    fn get_message_states_within_window(seconds: u64) -> Result<MessageStates, Error> {
        Ok(match seconds {
            0 => states(3, "é"),
            1 => states(2_000, "x"),
            2 => states(1_000, &"x".repeat(4_000)),
            3 => broken(|columns| columns.channel_ids.offsets[3] = 1_000),
            4 => broken(|columns| columns.channel_ids.offsets[1] = u32::MAX),
            5 => broken(|columns| columns.updated_ats.truncate(1)),
            6 => broken(|columns| columns.ids.push(4)),
            7 => broken(|columns| columns.channel_ids.offsets.clear()),
            8 => broken(|columns| columns.last_message_ids.offsets[1] = 1),
            9 => broken(|columns| columns.channel_ids.offsets.swap(1, 2)),
            10 => broken(|columns| columns.threadless = vec![2, 0]),
            11 => broken(|columns| columns.threadless = vec![0, 1, 2, u32::MAX]),
            _ => return Err(internal("there are twelve lists")),
        })
    }
}

test_guests::export!(HugeList);
