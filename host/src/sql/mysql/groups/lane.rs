//! Who waits for one statement, and what of it is on its way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use super::row::Row;
use crate::sql::BatchText;
use crate::sql::mysql::fence::{Fence, Hold};
use crate::sql::mysql::guard;

/// The most rows in a group.
pub(super) const MOST: usize = 128;

/// The most that the parameters of a group may have, in bytes, whatever else a packet holds: servers take 64 KiB at least.
const BYTES: usize = 48 * 1024;

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

#[cfg(test)]
mod tests;
