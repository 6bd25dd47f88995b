//! The order of lists: newest first, then by the key's bytes.
//!
//! Sorted here and not by the database: that costs a fraction of what SQLite needs, whose sorter carries whole rows,
//! takes nothing from a server that others share, and is the same on every backend.

use std::cmp::Reverse;

use crate::bindings::cofferdam::storage::types::{MessageStates, TextColumn, ThreadOwnerships};

/// States by last_seen_timestamp descending, channel_id, and thread_id with none first.
pub(crate) fn newest_first(states: MessageStates) -> MessageStates {
    let count = states.ids.len();
    let mut has_thread = vec![true; count];
    for row in &states.threadless {
        has_thread[*row as usize] = false;
    }
    let key = |row: u32| {
        let row = row as usize;
        (cell(&states.channel_ids, row), has_thread[row].then(|| cell(&states.thread_ids, row)))
    };
    let Some(order) = order(&states.last_seen_timestamps, |a, b| key(a).cmp(&key(b))) else { return states };
    let threadless = (0..).zip(&order).filter(|(_, row)| !has_thread[**row as usize]).map(|(place, _)| place);
    MessageStates {
        ids: integers(&states.ids, &order),
        channel_ids: texts(&states.channel_ids, &order),
        thread_ids: texts(&states.thread_ids, &order),
        threadless: threadless.collect(),
        last_message_ids: texts(&states.last_message_ids, &order),
        last_seen_timestamps: integers(&states.last_seen_timestamps, &order),
        created_ats: integers(&states.created_ats, &order),
        updated_ats: integers(&states.updated_ats, &order),
    }
}

/// Ownerships by creation_time descending, thread_id.
pub(crate) fn newest_first_ownerships(ownerships: ThreadOwnerships) -> ThreadOwnerships {
    let key = |row: u32| cell(&ownerships.thread_ids, row as usize);
    let Some(order) = order(&ownerships.creation_times, |a, b| key(a).cmp(key(b))) else { return ownerships };
    ThreadOwnerships {
        ids: integers(&ownerships.ids, &order),
        thread_ids: texts(&ownerships.thread_ids, &order),
        original_user_ids: texts(&ownerships.original_user_ids, &order),
        created_bys: texts(&ownerships.created_bys, &order),
        creation_times: integers(&ownerships.creation_times, &order),
        created_ats: integers(&ownerships.created_ats, &order),
        updated_ats: integers(&ownerships.updated_ats, &order),
    }
}

/// The rows in their order; `None` where they are in it already.
fn order(times: &[i64], by_key: impl Fn(u32, u32) -> std::cmp::Ordering) -> Option<Vec<u32>> {
    // The times lie beside the rows, because most comparisons need nothing else.
    let mut order: Vec<_> = times.iter().map(|time| Reverse(*time)).zip(0_u32..).collect();
    let compare = |a: &(Reverse<i64>, u32), b: &(Reverse<i64>, u32)| a.0.cmp(&b.0).then_with(|| by_key(a.1, b.1));
    if order.is_sorted_by(|a, b| compare(a, b).is_le()) {
        return None;
    }
    order.sort_unstable_by(compare);
    Some(order.into_iter().map(|(_, row)| row).collect())
}

fn cell(column: &TextColumn, row: usize) -> &str {
    &column.text[column.offsets[row] as usize..column.offsets[row + 1] as usize]
}

fn integers(column: &[i64], order: &[u32]) -> Vec<i64> {
    order.iter().map(|row| column[*row as usize]).collect()
}

fn texts(column: &TextColumn, order: &[u32]) -> TextColumn {
    let mut sorted =
        TextColumn { offsets: Vec::with_capacity(order.len() + 1), text: String::with_capacity(column.text.len()) };
    sorted.offsets.push(0);
    for row in order {
        sorted.text.push_str(cell(column, *row as usize));
        // No longer than the column, whose offsets are of the same type.
        sorted.offsets.push(sorted.text.len() as u32);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> TextColumn {
        let mut column = TextColumn { offsets: vec![0], text: String::new() };
        for cell in cells {
            column.text.push_str(cell);
            column.offsets.push(u32::try_from(column.text.len()).unwrap());
        }
        column
    }

    fn cells(column: &TextColumn) -> Vec<&str> {
        (0..column.offsets.len() - 1).map(|row| cell(column, row)).collect()
    }

    fn states(rows: &[(i64, &str, Option<&str>)]) -> MessageStates {
        let count = i64::try_from(rows.len()).unwrap();
        let threadless = (0..).zip(rows).filter(|(_, row)| row.2.is_none()).map(|(index, _)| index).collect();
        MessageStates {
            ids: (0..count).collect(),
            channel_ids: column(&rows.iter().map(|row| row.1).collect::<Vec<_>>()),
            thread_ids: column(&rows.iter().map(|row| row.2.unwrap_or_default()).collect::<Vec<_>>()),
            threadless,
            last_message_ids: column(&rows.iter().map(|row| row.1).collect::<Vec<_>>()),
            last_seen_timestamps: rows.iter().map(|row| row.0).collect(),
            created_ats: (100..100 + count).collect(),
            updated_ats: (200..200 + count).collect(),
        }
    }

    #[test]
    fn newest_come_first_then_channels_then_threads_with_none_before_all() {
        let sorted = newest_first(states(&[
            (1, "b", Some("é")),
            (1, "b", Some("z")),
            (i64::MIN, "a", None),
            (1, "b", None),
            (1, "B", Some("z")),
            (i64::MAX, "c", Some("t")),
        ]));
        assert_eq!(sorted.ids, [5, 4, 3, 1, 0, 2]);
        assert_eq!(cells(&sorted.channel_ids), ["c", "B", "b", "b", "b", "a"]);
        assert_eq!(cells(&sorted.thread_ids), ["t", "z", "", "z", "é", ""]);
        assert_eq!(sorted.threadless, [2, 5]);
        assert_eq!(cells(&sorted.last_message_ids), cells(&sorted.channel_ids));
        assert_eq!(sorted.last_seen_timestamps, [i64::MAX, 1, 1, 1, 1, i64::MIN]);
        assert_eq!(sorted.created_ats, [105, 104, 103, 101, 100, 102]);
        assert_eq!(sorted.updated_ats, [205, 204, 203, 201, 200, 202]);
    }

    #[test]
    fn what_is_in_order_stays_as_it_is() {
        for rows in [&[][..], &[(2, "a", None)], &[(2, "b", None), (1, "a", None), (1, "a", Some("t"))]] {
            let sorted = newest_first(states(rows));
            assert_eq!(sorted.ids, states(rows).ids);
            assert_eq!(sorted.threadless, states(rows).threadless);
        }
    }

    #[test]
    fn ownerships_come_newest_first_then_by_thread() {
        let sorted = newest_first_ownerships(ThreadOwnerships {
            ids: vec![1, 2, 3],
            thread_ids: column(&["b", "a", "c"]),
            original_user_ids: column(&["x", "y", "z"]),
            created_bys: column(&["p", "", "rr"]),
            creation_times: vec![5, 5, 9],
            created_ats: vec![11, 12, 13],
            updated_ats: vec![21, 22, 23],
        });
        assert_eq!(sorted.ids, [3, 2, 1]);
        assert_eq!(cells(&sorted.thread_ids), ["c", "a", "b"]);
        assert_eq!(cells(&sorted.original_user_ids), ["z", "y", "x"]);
        assert_eq!(cells(&sorted.created_bys), ["rr", "", "p"]);
        assert_eq!(sorted.creation_times, [9, 5, 5]);
        assert_eq!((sorted.created_ats, sorted.updated_ats), (vec![13, 12, 11], vec![23, 22, 21]));
    }
}
