//! The times that this host has given to its writes, also while its clock was wrong.
//!
//! `updated_at` says in which order hosts have written a row, as far as their clocks are right. Of one host alone the order in
//! which writes were accepted is known, whatever its clock said: its time is cut into eras, each of which begins where the
//! clock jumps. A stored row whose time lies in an era before that of a spooled write was there before that write, although its
//! time is greater. Replay gives some rows a time of its own, which is noted too: what was accepted meanwhile goes over it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::threads::lock;

/// A clock that goes back by less is corrected, and did not jump: times stand still until it has caught up. In seconds.
const STEP_BACK: i64 = 120;

/// Who says nothing for longer may have been away, or his clock has jumped.
const STEP_AHEAD: i64 = 24 * 60 * 60;

/// How far ahead the end of an era is noted, so that it is synced once in so many seconds: what was written in between is in it
/// also where the machine loses power.
const AHEAD: i64 = 60;

/// More jumps than this are not told from each other.
const ERAS: usize = 64;

/// The most replays whose times are remembered.
const REPLAYS: usize = 32;

/// A clock that says less was never set: there was nobody yet to write this. The first second of 2023.
const NEVER_SET: i64 = 1_672_531_200;

/// What lies further ahead of the clock than this, in seconds, was written by one that was wrong.
const FUTURE: i64 = 60 * 60;

/// Where in the file with the lock the times stand, behind the number of the last write.
const PLACE: u64 = 8;

/// The greatest length of the times in the file.
const LENGTH: usize = 4096;
const CHECKSUM: usize = 8;

/// A time in which the clock did not jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Era {
    /// The number of the first write that the spool can have accepted in it.
    first: i64,
    from: i64,
    /// The greatest time that was given.
    used: i64,
    /// As `used`, or a little more, and on the disk.
    bound: i64,
}

/// Times that replay has given to rows, since the writes' own could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replayed {
    /// The number of the first write that the spool can have accepted after that replay began.
    first: i64,
    from: i64,
    to: i64,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Noted {
    eras: Vec<Era>,
    replays: Vec<Replayed>,
}

/// What changed of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    None,
    /// Times within what is on the disk.
    Times,
    /// What must be on the disk before the row with that time is anywhere.
    Bound,
}

/// The times of this host.
pub(in crate::resilience) struct Times {
    noted: Mutex<Noted>,
    file: Option<File>,
}

/// Whether a clock can be right.
pub(in crate::resilience) fn is_set(now: i64) -> bool {
    now >= NEVER_SET
}

/// Whether a time lies in the future of a clock that can be right, so that it says nothing of when it was.
pub(in crate::resilience) fn is_future(time: i64, now: i64) -> bool {
    is_set(now) && time > now.saturating_add(FUTURE)
}

impl Times {
    /// Those that are noted in a file, or none.
    pub fn noted(file: Option<File>) -> Self {
        let noted = file.as_ref().map(read).unwrap_or_default();
        Self { noted: Mutex::new(noted), file }
    }

    /// The time that a write is given when the clock says `now`, and `next` is the number that the spool gives next. Notes it,
    /// and once a minute waits for the disk.
    pub fn give(&self, now: i64, next: i64) -> i64 {
        let mut noted = lock(&self.noted);
        let (time, change) = noted.give(now, next);
        self.save(&noted, change);
        time
    }

    /// Notes that replay gives a row the time that the clock says, which is `now` or a little later. `first` is the number that
    /// the spool gave next when that row's write was the last one of its row. Once a minute waits for the disk.
    pub fn replay(&self, now: i64, next: i64, first: i64) {
        let mut noted = lock(&self.noted);
        let (_, change) = noted.give(now, next);
        let change = change.max(noted.replay(now, first));
        self.save(&noted, change);
    }

    /// Whether a row that is stored with this time, greater than that of the spooled write of this number, was there before
    /// the write was accepted. `updated_at` is that of the write.
    pub fn was_before(&self, stored: i64, sequence: i64, updated_at: i64) -> bool {
        let noted = lock(&self.noted);
        let is_of = |replay: &Replayed| replay.first <= sequence && (replay.from..=replay.to).contains(&stored);
        if noted.replays.iter().any(is_of) {
            return true;
        }
        let own = noted.eras.iter().rposition(|era| era.first <= sequence).unwrap_or_default();
        let earlier = noted.eras.get(..own).unwrap_or_default();
        if earlier.is_empty() {
            // A clock that was never set says nothing, and nobody knows more.
            return !is_set(updated_at);
        }
        earlier.iter().any(|era| (era.from..=era.bound).contains(&stored))
    }

    fn save(&self, noted: &Noted, change: Change) {
        if change > Change::None
            && let Some(file) = &self.file
            && let Err(error) = write(file, noted, change == Change::Bound)
        {
            tracing::warn!(%error, "the times of the spool's writes cannot be recorded");
        }
    }
}

impl Noted {
    /// The time for a write.
    fn give(&mut self, now: i64, next: i64) -> (i64, Change) {
        match self.eras.last_mut() {
            Some(era) if (era.from.max(era.used - STEP_BACK)..=era.used).contains(&now) => {
                return (era.used, Change::None);
            }
            Some(era) if (era.used - STEP_BACK..=era.used.saturating_add(STEP_AHEAD)).contains(&now) => {
                // A row that goes to the database at once is given the clock's time, though it stands still for the spool.
                era.from = era.from.min(now);
                era.used = era.used.max(now);
            }
            before => {
                if let Some(before) = before
                    && now < before.used
                {
                    tracing::warn!(
                        seconds = before.used - now,
                        "the clock was set back: writes to one row are ordered by their acceptance, not by their time"
                    );
                }
                self.eras.push(Era { first: next, from: now, used: now, bound: i64::MIN });
            }
        }
        if self.eras.len() > ERAS {
            self.join_eras();
        }
        let Some(era) = self.eras.last_mut() else { return (now, Change::None) };
        if era.used <= era.bound {
            return (era.used, Change::Times);
        }
        era.bound = era.used.saturating_add(AHEAD);
        (era.used, Change::Bound)
    }

    fn replay(&mut self, now: i64, first: i64) -> Change {
        let to = now.saturating_add(AHEAD);
        match self.replays.last_mut() {
            Some(last) if (last.from..=last.to).contains(&now) => return Change::None,
            Some(last) if now > last.to && now <= last.to.saturating_add(AHEAD) => last.to = to,
            _ => self.replays.push(Replayed { first, from: now, to }),
        }
        if self.replays.len() > REPLAYS {
            self.replays.remove(0);
        }
        Change::Bound
    }

    /// Makes one of the two old eras that are nearest to each other in time: a visit to another century stays one by itself.
    fn join_eras(&mut self) {
        let old = self.eras.get(..ERAS / 2).unwrap_or_default();
        let pairs = (1..old.len()).flat_map(|later| (0..later).map(move |earlier| (earlier, later)));
        let apart = |(a, b): &(usize, usize)| {
            old[*a].from.max(old[*b].from).saturating_sub(old[*a].bound.min(old[*b].bound)).max(0)
        };
        if let Some((earlier, later)) = pairs.min_by_key(apart) {
            let Era { from, used, bound, .. } = self.eras.remove(earlier);
            let era = &mut self.eras[later - 1];
            (era.from, era.used, era.bound) = (era.from.min(from), era.used.max(used), era.bound.max(bound));
        }
    }
}

fn read(file: &File) -> Noted {
    let length = file.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(PLACE);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default().min(LENGTH)];
    if file.read_exact_at(&mut bytes, PLACE).is_err() || bytes.is_empty() {
        return Noted::default();
    }
    let parsed = parse(&bytes);
    if parsed.is_none() {
        tracing::warn!("the times of the spool's writes were damaged, and are recorded from now on");
    }
    parsed.unwrap_or_default()
}

/// `None` for what was not written by [`write`].
fn parse(bytes: &[u8]) -> Option<Noted> {
    let (counts, _) = bytes.split_first_chunk::<2>()?;
    let [eras, replays] = counts.map(usize::from);
    let (body, rest) = bytes.split_at_checked(2 + 8 * (4 * eras + 3 * replays))?;
    if rest.get(..CHECKSUM)? != checksum(body) {
        return None;
    }
    let mut numbers = body[2..].chunks_exact(8).map(|bytes| bytes.try_into().map(i64::from_le_bytes).ok());
    let mut number = || numbers.next().flatten();
    let mut era = || Some(Era { first: number()?, from: number()?, used: number()?, bound: number()? });
    let eras = (0..eras).map(|_| era()).collect::<Option<_>>()?;
    let mut replay = || Some(Replayed { first: number()?, from: number()?, to: number()? });
    Some(Noted { eras, replays: (0..replays).map(|_| replay()).collect::<Option<_>>()? })
}

fn write(file: &File, noted: &Noted, must_sync: bool) -> std::io::Result<()> {
    let counts = [noted.eras.len(), noted.replays.len()];
    let mut bytes: Vec<u8> = counts.iter().map(|count| u8::try_from(*count).unwrap_or_default()).collect();
    let eras = noted.eras.iter().flat_map(|era| [era.first, era.from, era.used, era.bound]);
    let replays = noted.replays.iter().flat_map(|replay| [replay.first, replay.from, replay.to]);
    eras.chain(replays).for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend(checksum(&bytes));
    file.write_all_at(&bytes, PLACE)?;
    if must_sync { file.sync_data() } else { Ok(()) }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&Sha256::digest(body)[..CHECKSUM]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const YEAR_2099: i64 = 4_070_908_800;

    #[test]
    fn what_was_stored_with_the_time_of_its_replay_was_before_what_was_accepted_after_it() {
        let times = Times::noted(None);
        times.give(NOW, 1);
        times.replay(NOW + 50, 5, 4);
        assert!(times.was_before(NOW + 50, 4, NOW) && times.was_before(NOW + 50 + AHEAD, 4, NOW));
        assert!(!times.was_before(NOW + 50, 3, NOW), "it waited with that one, and was of another row");
        assert!(!times.was_before(NOW + 51 + AHEAD, 4, NOW));
        times.replay(NOW + 51 + AHEAD, 5, 4);
        assert!(times.was_before(NOW + 51 + AHEAD, 4, NOW));
    }

    #[test]
    fn the_time_of_a_replay_is_one_of_this_host() {
        let times = Times::noted(None);
        times.give(YEAR_2099, 1);
        times.replay(NOW, 2, 2);
        times.give(NOW - 20_000, 2);
        assert!(times.was_before(NOW, 2, NOW - 20_000));
    }

    #[test]
    fn a_row_of_an_era_before_was_there_before() {
        let times = Times::noted(None);
        assert_eq!(times.give(NOW, 1), NOW);
        assert_eq!(times.give(10, 4), 10);
        // Accepted in 1970, over a row of this host's and over one that somebody else has written since.
        assert!(times.was_before(NOW, 4, 10) && !times.was_before(NOW + 2 * AHEAD, 4, 10));
        // Accepted before the clock was set back, so that a greater time is a later one.
        assert!(!times.was_before(NOW + 1, 3, NOW));
    }

    #[test]
    fn one_visit_to_the_future_does_not_make_all_later_times_earlier() {
        let times = Times::noted(None);
        for now in [NOW, YEAR_2099, NOW + 100] {
            assert_eq!(times.give(now, 1), now);
        }
        assert!(times.was_before(YEAR_2099, 1, NOW + 100));
        assert!(!times.was_before(NOW + 300, 1, NOW + 100), "another host's row, written after it");
    }

    #[test]
    fn a_clock_that_is_corrected_stands_still() {
        let times = Times::noted(None);
        assert_eq!(times.give(NOW, 1), NOW);
        assert_eq!(times.give(NOW - STEP_BACK, 1), NOW);
        assert_eq!(times.give(NOW + 1, 1), NOW + 1);
        assert_eq!(lock(&times.noted).eras.len(), 1);
        // A row that went to the database before the clock had caught up.
        times.give(YEAR_2099, 2);
        assert!(times.was_before(NOW - STEP_BACK, 2, NOW - 1000));
    }

    #[test]
    fn a_clock_that_is_set_back_within_an_era_begins_another() {
        let times = Times::noted(None);
        times.give(NOW, 1);
        times.give(NOW + 10 * STEP_BACK, 1);
        assert_eq!(times.give(NOW + STEP_BACK, 2), NOW + STEP_BACK);
        assert!(times.was_before(NOW + 2 * STEP_BACK, 2, NOW + STEP_BACK));
    }

    #[test]
    fn a_clock_that_was_never_set_says_nothing() {
        let times = Times::noted(None);
        times.give(5, 1);
        assert!(times.was_before(NOW, 1, 5));
        assert!(is_future(NOW + FUTURE + 1, NOW) && !is_future(NOW + FUTURE, NOW) && !is_future(NOW, 5));
    }

    #[test]
    fn eras_outlive_the_process_and_damage_to_them_is_noticed() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 8], 0).unwrap();
        let times = Times::noted(Some(file.try_clone().unwrap()));
        let jumps = 2 * ERAS as i64;
        for number in 0..jumps {
            times.give(if number % 2 == 0 { NOW + number } else { number }, number);
            times.replay(number * 1000, number, number);
        }
        let again = Times::noted(Some(file.try_clone().unwrap()));
        let noted = lock(&again.noted).clone();
        assert_eq!(noted, *lock(&times.noted));
        assert_eq!((noted.eras.len(), noted.replays.len()), (ERAS, REPLAYS));
        assert!(file.metadata().unwrap().len() < LENGTH as u64);
        let widest = noted.eras.iter().map(|era| era.bound - era.from).max();
        assert!(widest < Some(NOW / 2), "two centuries became one: {widest:?}");
        assert!(again.was_before(NOW, jumps, jumps) && !again.was_before(NOW / 2, jumps, jumps));
        file.write_all_at(&[0xa5], PLACE + 20).unwrap();
        assert_eq!(*lock(&Times::noted(Some(file)).noted), Noted::default());
    }
}
