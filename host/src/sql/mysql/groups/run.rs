//! Runs groups, each in a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use tokio::task::yield_now;

use super::lane::{End, step};
use super::row::{Given, Row};
use super::{Departure, Groups, Turn};
use crate::sql::error::ErrorKind;
use crate::sql::mysql::codes;
use crate::sql::mysql::connection::MysqlConnection;
use crate::sql::pause::Pause;
use crate::sql::{Access, Value};

/// How often a group is halved for a refusal. One row of [`MOST`](super::lane::MOST) is found after seven, two after at most
/// thirteen; where more are refused, each finds out for itself.
const REFUSALS: u32 = 14;

/// The pause before a group that lost a deadlock is repeated, at random between half of it and all of it.
const PAUSE: Duration = Duration::from_millis(4);

/// Gathers a group, and runs it.
pub(super) async fn depart(mut departure: Departure) {
    let (groups, index) = (Arc::clone(&departure.groups), departure.lane);
    gather(&groups, index).await;
    loop {
        let (latest, next) = {
            let lanes = groups.lock();
            (lanes.all[index].waiting.iter().map(|row| row.deadline).max(), lanes.next_number())
        };
        let Some(deadline) = latest else { return };
        let epoch = groups.pool.fence().epoch();
        let connection = match MysqlConnection::acquire(&groups.pool, Access::Write, deadline).await {
            Ok(connection) => connection,
            Err(error) => {
                let failed = groups.lock().all[index].take_before(next);
                failed.into_iter().for_each(|row| row.answer(Err(error.clone())));
                continue;
            }
        };
        let taken = {
            let mut lanes = groups.lock();
            // Unless something was given up after this connection had passed the fence: one of those who wait may come after it.
            (groups.pool.fence().epoch() == epoch).then(|| lanes.all[index].take(connection.round_trip()))
        };
        let Some(mut rows) = taken else { continue };
        if rows.len() > 1 {
            departure.is_over = true;
            let voyage = Voyage { number: rows[0].number, departure };
            return voyage.run(connection, rows).await;
        }
        if let Some(row) = rows.pop() {
            departure.is_over = true;
            let turn = Turn { groups, lane: index, since: row.since };
            row.give(Given { connection, turn });
        }
        return;
    }
}

/// Lets those come back who wrote at the same time before.
async fn gather(groups: &Groups, index: usize) {
    let (expected, longest) = groups.lock().all[index].gathering();
    let began = StdInstant::now();
    while groups.lock().all[index].waiting.len() < expected && began.elapsed() < longest {
        yield_now().await;
    }
}

/// A group on its way.
struct Voyage {
    number: u64,
    departure: Departure,
}

impl Drop for Voyage {
    fn drop(&mut self) {
        self.departure.groups.go_on(self.departure.lane, |lane| lane.end(self.number));
    }
}

impl Voyage {
    async fn run(self, mut connection: MysqlConnection, rows: Vec<Row>) {
        let groups = &self.departure.groups;
        let mut pieces = vec![rows];
        if !connection.can_be_ended() {
            // A row that waits for a lock could not be told from the others, and might take effect after a later statement.
            drop(connection);
            return pieces.into_iter().flatten().for_each(Row::leave_alone);
        }
        let mut was_lost = false;
        let mut refused = 0;
        let mut doubtful = Vec::new();
        while let Some(rows) = pieces.pop() {
            let Some(sent) = self.begin(rows, &mut pieces) else { continue };
            let Sent { text, mut rows, patience } = sent;
            let began = StdInstant::now();
            let outcome = connection.execute_for_many(&text, parameters(&rows), patience).await;
            self.settle(match &outcome {
                Ok(()) => End::Done(began.elapsed()),
                Err(_) if connection.is_closed() => End::Unanswered,
                Err(_) => End::Refused,
            });
            match outcome {
                Ok(()) => {
                    groups.tally.add(rows.len());
                    rows.into_iter().for_each(|row| row.answer(Ok(())));
                }
                // A row waits for a lock, the server hangs, or the connection died.
                Err(error) if connection.is_closed() => {
                    doubtful.extend(rows.into_iter().map(|row| (row, error.clone())));
                    break;
                }
                Err(error) if codes::is_deadlock(&error) && !was_lost => {
                    was_lost = true;
                    pieces.push(rows);
                    Pause::new(PAUSE, PAUSE).once().await;
                }
                Err(error) if may_be_of_one_row(error.kind) && refused < REFUSALS => {
                    refused += 1;
                    pieces.push(rows.split_off(rows.len() / 2));
                    pieces.push(rows);
                }
                Err(_) => rows.into_iter().for_each(Row::leave_alone),
            }
        }
        doubtful.into_iter().for_each(|(row, doubt)| row.leave_in_doubt(doubt));
        pieces.into_iter().rev().flatten().for_each(Row::leave_alone);
    }

    /// Sends as many of these rows as one statement may have; others join the pieces. None where there are not two.
    fn begin(&self, mut rows: Vec<Row>, pieces: &mut Vec<Vec<Row>>) -> Option<Sent> {
        let mut lanes = self.departure.groups.lock();
        let lane = &mut lanes.all[self.departure.lane];
        // Under the lock: who gives up later is seen to be on its way.
        rows.retain(|row| !row.is_given_up());
        let rest = rows.split_off(step(rows.len()));
        let text = if rows.len() > 1 { lane.text(rows.len()) } else { None };
        if text.is_some() {
            lane.begin(self.number, &rows);
        }
        let patience = lane.patience();
        drop(lanes);
        if !rest.is_empty() {
            pieces.push(rest);
        }
        let Some(text) = text else {
            rows.into_iter().for_each(Row::leave_alone);
            return None;
        };
        Some(Sent { text, rows, patience })
    }

    fn settle(&self, end: End) {
        self.departure.groups.lock().all[self.departure.lane].settle(self.number, end);
    }
}

/// What the server was sent.
struct Sent {
    text: Arc<str>,
    rows: Vec<Row>,
    patience: Duration,
}

/// The parameters of all rows, by the first one of each. They are sorted stably: the later one of two rows with one key comes later.
fn parameters(rows: &[Row]) -> Vec<Value> {
    let mut in_order: Vec<_> = rows.iter().map(|row| &row.parameters).collect();
    in_order.sort_by(|one, other| first(one).cmp(&first(other)));
    in_order.into_iter().flatten().cloned().collect()
}

/// What a row is sorted by.
fn first(parameters: &[Value]) -> (Option<i64>, &[u8]) {
    let bytes = match parameters.first() {
        Some(Value::Text(text)) => text.as_bytes(),
        Some(Value::Blob(bytes)) => bytes.as_slice(),
        Some(Value::Integer(integer)) => return (Some(*integer), &[]),
        Some(Value::Real(_) | Value::Null) | None => &[],
    };
    (None, bytes)
}

/// Whether the server may refuse one row and take the others.
fn may_be_of_one_row(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Constraint | ErrorKind::InvalidStatement | ErrorKind::CorruptData | ErrorKind::Other)
}
