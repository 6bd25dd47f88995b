//! Who waits for one statement, and what of it is on its way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Turn;
use crate::sql::error::{Result, SqlError};
use crate::sql::mysql::connection::MysqlConnection;
use crate::sql::mysql::fence::{Fence, Hold};
use crate::sql::mysql::guard;
use crate::sql::{BatchText, Value};

/// The most rows in a group.
pub(super) const MOST: usize = 128;

/// The most that the parameters of a group may have, in bytes, whatever else a packet holds: servers take 64 KiB at least.
const BYTES: usize = 48 * 1024;

/// What a parameter takes beside its own bytes.
const OVERHEAD: usize = 16;

/// The most parameters of a statement.
const PARAMETERS: usize = 65_535;

/// The most groups that are on their way to a server that is far away.
const TOGETHER: usize = 4;

/// How many go alone beside each other before the next one waits. The server shares a sync between two.
const BESIDE: usize = 2;

/// Statements whose rows are run together; a backend has two.
const LANES: usize = 16;

/// How long a group takes before any was seen.
const FIRST_GUESS: Duration = Duration::from_millis(4);

/// How long the first in the queue waits at least, before another group starts beside the one that is on its way.
const LEAST_WAIT: Duration = Duration::from_millis(5);

/// The bounds of how long the answer to a group is waited for.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// How long at most a group waits for those who were in the last one.
const MOST_GATHERING: Duration = Duration::from_millis(2);

/// How many rows of so many are run as one statement. Each number is a statement to be prepared on each connection, which keeps
/// only so many: there are four numbers between a power of two and the next.
pub(super) fn step(rows: usize) -> usize {
    let rows = rows.min(MOST);
    match rows.checked_ilog2() {
        Some(log) => rows & !((1 << log.saturating_sub(2)) - 1),
        None => 0,
    }
}

/// All lanes of a pool.
#[derive(Default)]
pub(super) struct Lanes {
    pub all: Vec<Lane>,
    numbers: u64,
}

impl Lanes {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.all.iter().map(|lane| lane.waiting.len()).sum()
    }

    /// A number that no row had before.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The number that the next row gets.
    pub fn next_number(&self) -> u64 {
        self.numbers + 1
    }

    /// The place of a statement's lane. None where there are too many others.
    pub fn find(&mut self, batch: &BatchText) -> Option<usize> {
        if let Some(found) = self.all.iter().position(|lane| lane.batch == *batch) {
            return Some(found);
        }
        if self.all.len() < LANES {
            self.all.push(Lane::new(batch));
            return Some(self.all.len() - 1);
        }
        let free = self.all.iter().position(|lane| lane.is_deserted() && lane.waiting.is_empty())?;
        self.all[free] = Lane::new(batch);
        Some(free)
    }
}

/// One statement.
pub(super) struct Lane {
    batch: BatchText,
    /// Of so many rows; none where the host does not let it through.
    texts: HashMap<usize, Option<Arc<str>>>,
    pub waiting: VecDeque<Row>,
    /// Since when those go who go alone.
    alone: Vec<StdInstant>,
    /// Groups that gather their rows.
    pub departing: usize,
    /// Groups on their way.
    running: Vec<Running>,
    /// How many wrote at the same time of late.
    crowd: usize,
    /// When the last group ended.
    ended: StdInstant,
    /// How long a group takes.
    typical: Duration,
    /// How much of that it spends on the network.
    away: Duration,
    /// How long the answer to a group is waited for.
    patience: Duration,
}

/// A group on its way.
struct Running {
    number: u64,
    /// The rows in the statement that the server has. None between two statements.
    rows: Vec<u64>,
    /// Where one of them was given up.
    hold: Option<Hold>,
}

/// How a statement of many rows ended.
pub(super) enum End {
    /// All rows are there, after this time.
    Done(Duration),
    Refused,
    Unanswered,
}

impl Lane {
    fn new(batch: &BatchText) -> Self {
        Self {
            batch: batch.clone(),
            texts: HashMap::new(),
            waiting: VecDeque::new(),
            alone: Vec::new(),
            departing: 0,
            running: Vec::new(),
            crowd: 0,
            ended: StdInstant::now(),
            typical: FIRST_GUESS,
            away: Duration::ZERO,
            patience: LEAST_PATIENCE,
        }
    }

    fn on_their_way(&self) -> usize {
        self.alone.len() + self.departing + self.running.len()
    }

    /// Whether nothing is on its way that would see to those who wait.
    pub fn is_deserted(&self) -> bool {
        self.on_their_way() == 0
    }

    /// Lets one more go alone, unless it should wait for a group. Returns since when it goes.
    pub fn enter_alone(&mut self) -> Option<StdInstant> {
        let is_crowded = self.crowd > 1 && self.ended.elapsed() < self.typical;
        let alone = self.alone.len();
        let goes = alone < BESIDE && alone == self.on_their_way() && self.waiting.is_empty() && !is_crowded;
        goes.then(|| self.go_alone())
    }

    fn go_alone(&mut self) -> StdInstant {
        let now = StdInstant::now();
        self.alone.push(now);
        now
    }

    /// The end of one who went alone since then.
    pub fn leave_alone(&mut self, since: StdInstant) {
        if let Some(place) = self.alone.iter().position(|other| *other == since) {
            self.alone.swap_remove(place);
        }
        if !self.waiting.is_empty() {
            self.crowd = self.crowd.max(self.waiting.len() + 1);
        }
    }

    /// How long the first in the queue waits before another group starts beside what is on its way.
    pub fn longest_wait(&self) -> Duration {
        LEAST_WAIT.max(self.typical * 2)
    }

    /// Whether it is time for the next group, with no more than `max` on their way.
    pub fn is_due(&self, max: usize) -> bool {
        let Some(first) = self.waiting.front() else { return false };
        let longest = self.longest_wait();
        // One who goes alone and takes that long waits for a lock.
        let is_free = self.running.len() < self.together() && self.alone.iter().all(|since| since.elapsed() >= longest);
        self.departing == 0
            && self.on_their_way() < max
            && (is_free || self.waiting.len() > MOST || first.since.elapsed() >= longest)
    }

    /// How many rows the next group should wait for, and how long.
    pub fn gathering(&self) -> (usize, Duration) {
        (self.crowd.min(MOST) - self.crowd.min(MOST) / 8, MOST_GATHERING.min(self.typical / 4))
    }

    /// How long the answer to a group is waited for.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How many groups should be on their way: one, unless the server would be idle for a good part of the time in which that one
    /// travels.
    fn together(&self) -> usize {
        let away = self.away.min(self.typical);
        if away * 4 < self.typical {
            return 1;
        }
        let work = (self.typical - away).as_nanos().max(1);
        usize::try_from(away.as_nanos().div_ceil(work)).map_or(TOGETHER, |more| TOGETHER.min(1 + more))
    }

    /// Takes out as many as one statement may have, for a server that is so far away. Their number is a [`step`].
    pub fn take(&mut self, away: Duration) -> Vec<Row> {
        self.away = away;
        let Some(first) = self.waiting.front() else { return Vec::new() };
        // A row with too many or too few would be made up for by the next one's.
        let each = first.parameters.len();
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(MOST).take_while(|row| {
            bytes += row.bytes;
            row.parameters.len() == each && bytes <= BYTES
        });
        let text = self.batch.row.len() + self.batch.between.len();
        let most = (PARAMETERS / each.max(1)).min(BYTES / text.max(1));
        let together = self.together();
        let all = self.waiting.len() + self.running.iter().map(|running| running.rows.len()).sum::<usize>();
        let share = if together > 1 { all.div_ceil(together) } else { MOST };
        let count = step(fitting.count().min(most).min(share)).max(1);
        self.departing -= 1;
        let mut rows: Vec<_> = self.waiting.drain(..count).collect();
        self.crowd = match count {
            1 => 0,
            _ if together > 1 => count,
            _ => count + self.waiting.len(),
        };
        match &mut rows[..] {
            [row] => row.since = self.go_alone(),
            rows => self.running.push(Running { number: rows[0].number, rows: Vec::new(), hold: None }),
        }
        rows
    }

    /// The text for so many rows, if it may be run.
    pub fn text(&mut self, rows: usize) -> Option<Arc<str>> {
        let batch = &self.batch;
        let checked = || {
            let text = batch.text(rows);
            guard::check(&text).is_ok().then(|| text.into())
        };
        self.texts.entry(rows).or_insert_with(checked).clone()
    }

    fn running(&mut self, number: u64) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.number == number)
    }

    /// These rows of a group are sent.
    pub fn begin(&mut self, group: u64, rows: &[Row]) {
        if let Some(running) = self.running(group) {
            running.rows = rows.iter().map(|row| row.number).collect();
        }
    }

    /// The rows that were sent have been answered, or their connection was given up.
    pub fn settle(&mut self, group: u64, end: End) {
        if let Some(running) = self.running(group) {
            running.rows.clear();
            running.hold = None;
        }
        match end {
            End::Done(took) => {
                self.typical = (self.typical * 7 + took) / 8;
                let patience = (self.typical * 10).max(self.patience * 7 / 8);
                self.patience = patience.clamp(LEAST_PATIENCE, MOST_PATIENCE);
            }
            End::Refused => {}
            // The server may be far away, or slow.
            End::Unanswered => self.patience = (self.patience * 2).min(MOST_PATIENCE),
        }
    }

    /// A group has ended.
    pub fn end(&mut self, group: u64) {
        self.running.retain(|running| running.number != group);
        self.ended = StdInstant::now();
    }

    /// Takes the rows out that came before one with this number.
    pub fn take_before(&mut self, number: u64) -> Vec<Row> {
        let count = self.waiting.partition_point(|row| row.number < number);
        self.waiting.drain(..count).collect()
    }

    /// Takes a row out whose caller gave it up. Where it is on its way, its group is held until it has ended. Says whether it is.
    pub fn leave(&mut self, number: u64, fence: &Arc<Fence>) -> (bool, Option<Row>) {
        if let Ok(place) = self.waiting.binary_search_by_key(&number, |row| row.number) {
            return (false, self.waiting.remove(place));
        }
        let running = self.running.iter_mut().find(|running| running.rows.contains(&number));
        let is_on_its_way = running.is_some();
        if let Some(running) = running {
            running.hold.get_or_insert_with(|| fence.hold());
        }
        (is_on_its_way, None)
    }
}

/// What one caller writes.
pub(super) struct Row {
    pub number: u64,
    pub parameters: Vec<Value>,
    pub deadline: Instant,
    bytes: usize,
    /// When it began to wait; of one that is alone in its group, since when it goes alone.
    pub since: StdInstant,
    done: oneshot::Sender<Reply>,
}

/// What a caller hears of its row.
pub(super) enum Reply {
    /// It was run.
    Done(Result<()>),
    /// It is to be run by the caller itself, as it would be without groups.
    Alone(Alone),
}

/// A row that its caller runs itself.
pub(super) struct Alone {
    pub parameters: Vec<Value>,
    /// A connection for it.
    pub given: Option<Box<Given>>,
    /// Why it is not known whether the row was written by its group.
    pub doubt: Option<SqlError>,
}

/// What one gets who is alone in its group.
pub(super) struct Given {
    // Given back before the next group starts.
    pub connection: MysqlConnection,
    pub turn: Turn,
}

impl Row {
    pub fn new(number: u64, parameters: Vec<Value>, deadline: Instant, done: oneshot::Sender<Reply>) -> Self {
        let size = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
        };
        let bytes = parameters.iter().map(|value| size(value) + OVERHEAD).sum();
        Self { number, parameters, deadline, bytes, since: StdInstant::now(), done }
    }

    /// Whether its caller gave it up.
    pub fn is_given_up(&self) -> bool {
        self.done.is_closed()
    }

    pub fn answer(self, result: Result<()>) {
        // Who has gone does not want it.
        let _ = self.done.send(Reply::Done(result));
    }

    /// Has its caller run it.
    pub fn leave_alone(self) {
        self.be_alone(None, None);
    }

    /// Has its caller run it, which may have been done already.
    pub fn leave_in_doubt(self, doubt: SqlError) {
        self.be_alone(None, Some(doubt));
    }

    /// Has its caller run it on this connection.
    pub fn give(self, given: Given) {
        self.be_alone(Some(Box::new(given)), None);
    }

    fn be_alone(self, given: Option<Box<Given>>, doubt: Option<SqlError>) {
        let _ = self.done.send(Reply::Alone(Alone { parameters: self.parameters, given, doubt }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        let part = |text: &str| text.to_owned();
        let batch =
            BatchText { head: part("INSERT INTO t VALUES "), row: part("(?)"), between: part(","), tail: part("") };
        Lane::new(&batch)
    }

    fn queue(lane: &mut Lane, rows: impl IntoIterator<Item = (u64, Vec<Value>)>) -> Vec<oneshot::Receiver<Reply>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let push = |(number, parameters)| {
            let (done, answer) = oneshot::channel();
            lane.waiting.push_back(Row::new(number, parameters, deadline, done));
            answer
        };
        rows.into_iter().map(push).collect()
    }

    fn numbers(rows: &[Row]) -> Vec<u64> {
        rows.iter().map(|row| row.number).collect()
    }

    #[test]
    fn there_are_few_numbers_of_rows_and_none_leaves_many_behind() {
        let steps: std::collections::BTreeSet<_> = (1..=1000).map(step).collect();
        assert_eq!(steps.len(), 24, "{steps:?}");
        assert_eq!((step(0), step(1), step(7), step(9), step(15), step(63), step(1000)), (0, 1, 7, 8, 14, 56, MOST));
        for rows in 1..=MOST {
            assert!(step(rows) <= rows && step(rows) * 5 > rows * 4, "{rows}");
        }
    }

    #[test]
    fn a_third_one_waits_and_goes_when_both_have_ended() {
        let mut lane = lane();
        // So long that nobody is waited for in vain.
        lane.typical = Duration::from_secs(3600);
        let (one, other) = (lane.enter_alone().unwrap(), lane.enter_alone().unwrap());
        assert!(lane.enter_alone().is_none());
        let _answers = queue(&mut lane, [(1, vec![Value::Null])]);
        assert!(!lane.is_due(10));
        lane.leave_alone(one);
        assert!(!lane.is_due(10) && lane.enter_alone().is_none());
        lane.leave_alone(other);
        assert!(lane.is_due(10));
    }

    #[test]
    fn a_group_has_rows_that_fit_together() {
        let mut lane = lane();
        let long = Value::Text("x".repeat(BYTES));
        let rows =
            [vec![Value::Null], vec![Value::Integer(1)], vec![long], vec![Value::Null], vec![], vec![Value::Null]];
        let _answers = queue(&mut lane, (1..).zip(rows));
        for expected in [vec![1, 2], vec![3], vec![4], vec![5], vec![6]] {
            lane.departing += 1;
            assert_eq!(numbers(&lane.take(Duration::ZERO)), expected);
        }
        lane.departing += 1;
        assert!(lane.take(Duration::ZERO).is_empty());
    }

    #[test]
    fn what_is_given_up_on_its_way_is_held_until_it_has_ended() {
        let (mut lane, fence) = (lane(), Arc::new(Fence::default()));
        let mut answers = queue(&mut lane, (1..=4).map(|number| (number, vec![Value::Null])));
        assert!(matches!(lane.leave(2, &fence), (false, Some(_))));
        answers.remove(1);
        let _more = queue(&mut lane, [(5, vec![Value::Null])]);
        lane.departing += 1;
        let rows = lane.take(Duration::ZERO);
        assert_eq!(numbers(&rows), [1, 3, 4, 5]);
        assert!(matches!(lane.leave(3, &fence), (false, None)));
        assert!(!fence.is_up());
        lane.begin(1, &rows);
        let before = fence.epoch();
        assert!(matches!(lane.leave(4, &fence), (true, None)));
        assert!(fence.is_up() && fence.epoch() != before);
        lane.settle(1, End::Refused);
        assert!(!fence.is_up());
    }

    #[test]
    fn a_server_that_is_far_away_is_waited_for_longer() {
        let mut lane = lane();
        for expected in [500, 1000, 2000, 2000] {
            lane.settle(1, End::Unanswered);
            assert_eq!(lane.patience(), Duration::from_millis(expected));
        }
        for _ in 0..100 {
            lane.settle(1, End::Done(Duration::from_millis(60)));
        }
        assert!((550..=600).contains(&lane.patience().as_millis()), "{:?}", lane.patience());
    }

    #[test]
    fn while_one_group_travels_others_are_at_work() {
        let mut lane = lane();
        for (away, typical, expected) in
            [(0, 4, 1), (1, 5, 1), (2, 7, 2), (2, 4, 2), (3, 4, TOGETHER), (9, 4, TOGETHER)]
        {
            (lane.away, lane.typical) = (Duration::from_millis(away), Duration::from_millis(typical));
            assert_eq!(lane.together(), expected, "{away} of {typical}");
        }
        (lane.away, lane.typical) = (Duration::from_millis(2), Duration::from_millis(4));
        let _answers = queue(&mut lane, (1..=64).map(|number| (number, vec![Value::Null])));
        for expected in [32, 32] {
            assert!(lane.is_due(10));
            lane.departing += 1;
            let rows = lane.take(Duration::from_millis(2));
            lane.begin(rows[0].number, &rows);
            assert_eq!(rows.len(), expected);
        }
        let _more = queue(&mut lane, [(65, vec![Value::Null])]);
        assert!(!lane.is_due(10));
    }

    #[test]
    fn one_who_waits_for_a_lock_alone_holds_up_no_group() {
        let mut lane = lane();
        lane.typical = Duration::ZERO;
        lane.enter_alone().unwrap();
        let _answers = queue(&mut lane, [(1, vec![Value::Null])]);
        std::thread::sleep(LEAST_WAIT);
        lane.waiting[0].since = StdInstant::now();
        assert!(lane.is_due(10));
    }

    #[test]
    fn what_the_host_does_not_let_through_is_not_run_for_many() {
        let mut lane = lane();
        lane.batch.between = "; DROP TABLE t; ".to_owned();
        assert!(lane.text(1).is_some() && lane.text(2).is_none());
    }
}
