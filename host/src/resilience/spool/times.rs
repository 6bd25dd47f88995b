//! The times that this host has given to its writes, also while its clock was wrong.
//!
//! `updated_at` says in which order hosts have written a row, as far as their clocks are right. Of one host alone the order in
//! which writes were accepted is known, whatever its clock said: its time is cut into eras, each of which begins where the
//! clock jumps. A stored row whose time lies in an era before that of a spooled write was there before that write, although its
//! time is greater.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard};

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
const ERAS: usize = 16;

/// The most replays whose times are remembered.
const RESTAMPED: usize = 64;

/// A clock that says less was never set: there was nobody yet to write this. The first second of 2023.
const NEVER_SET: i64 = 1_672_531_200;

/// What lies further ahead of the clock than this, in seconds, was written by one that was wrong.
const FUTURE: i64 = 60 * 60;

/// Where in the file with the lock the eras stand, behind the number of the last write.
const PLACE: u64 = 8;

const NUMBERS: usize = 4;
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

/// The eras of this host.
pub(in crate::resilience) struct Times {
    eras: Mutex<Vec<Era>>,
    /// When a spooled write got the time of its replay, and the write's number.
    restamped: Mutex<VecDeque<(RangeInclusive<i64>, i64)>>,
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
        let eras = file.as_ref().map(read).unwrap_or_default();
        Self { eras: Mutex::new(eras), restamped: Mutex::default(), file }
    }

    fn eras(&self) -> MutexGuard<'_, Vec<Era>> {
        lock(&self.eras)
    }

    /// The time that a write is given when the clock says `now`, and `next` is the number that the spool gives next. Notes it,
    /// and once a minute waits for the disk.
    pub fn give(&self, now: i64, next: i64) -> i64 {
        let mut eras = self.eras();
        match eras.last_mut() {
            Some(era) if (era.used - STEP_BACK..=era.used.saturating_add(STEP_AHEAD)).contains(&now) => {
                if now <= era.used {
                    return era.used;
                }
                era.used = now;
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
                eras.push(Era { first: next, from: now, used: now, bound: i64::MIN });
            }
        }
        if eras.len() > ERAS {
            let first = eras.remove(0);
            if let Some(second) = eras.first_mut() {
                second.first = first.first;
                second.from = second.from.min(first.from);
                second.used = second.used.max(first.used);
                second.bound = second.bound.max(first.bound);
            }
        }
        let mut must_sync = false;
        if let Some(era) = eras.last_mut()
            && era.used > era.bound
        {
            era.bound = era.used.saturating_add(AHEAD);
            must_sync = true;
        }
        if let Some(file) = &self.file
            && let Err(error) = write(file, &eras, must_sync)
        {
            tracing::warn!(%error, "the times of the spool's writes cannot be recorded");
        }
        eras.last().map_or(now, |era| era.used)
    }

    /// Notes that the spooled write of this number was stored with a time of its replay, which lies between these two.
    pub fn restamp(&self, one: i64, other: i64, sequence: i64) {
        let mut restamped = lock(&self.restamped);
        if restamped.len() == RESTAMPED {
            restamped.pop_front();
        }
        restamped.push_back((one.min(other)..=one.max(other), sequence));
    }

    /// Whether a row that is stored with this time, greater than that of the spooled write of this number, was there before
    /// the write was accepted. `updated_at` is that of the write.
    pub fn was_before(&self, stored: i64, sequence: i64, updated_at: i64) -> bool {
        if lock(&self.restamped).iter().any(|(times, earlier)| *earlier < sequence && times.contains(&stored)) {
            return true;
        }
        let eras = self.eras();
        let own = eras.iter().rposition(|era| era.first <= sequence).unwrap_or_default();
        let earlier = eras.get(..own).unwrap_or_default();
        if earlier.is_empty() {
            // A clock that was never set says nothing, and nobody knows more.
            return !is_set(updated_at);
        }
        earlier.iter().any(|era| (era.from..=era.bound).contains(&stored))
    }
}

fn read(file: &File) -> Vec<Era> {
    let length = file.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(PLACE);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default().min(4096)];
    if file.read_exact_at(&mut bytes, PLACE).is_err() || bytes.is_empty() {
        return Vec::new();
    }
    let parsed = parse(&bytes);
    if parsed.is_none() {
        tracing::warn!("the times of the spool's writes were damaged, and are recorded from now on");
    }
    parsed.unwrap_or_default()
}

/// `None` for what was not written by [`write`].
fn parse(bytes: &[u8]) -> Option<Vec<Era>> {
    let count = usize::from(*bytes.first()?);
    let (body, rest) = bytes.split_at_checked(1 + count * NUMBERS * 8)?;
    if rest.get(..CHECKSUM)? != checksum(body) {
        return None;
    }
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).ok();
    let era = |bytes: &[u8]| {
        let mut numbers = bytes.chunks_exact(8).filter_map(number);
        Some(Era { first: numbers.next()?, from: numbers.next()?, used: numbers.next()?, bound: numbers.next()? })
    };
    body.get(1..)?.chunks_exact(NUMBERS * 8).map(era).collect()
}

fn write(file: &File, eras: &[Era], must_sync: bool) -> std::io::Result<()> {
    let mut bytes = vec![u8::try_from(eras.len()).unwrap_or_default()];
    for era in eras {
        [era.first, era.from, era.used, era.bound].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    }
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
        times.restamp(NOW + 50, NOW, 3);
        assert!(times.was_before(NOW + 50, 4, NOW));
        assert!(!times.was_before(NOW + 50, 3, NOW) && !times.was_before(NOW + 51, 4, NOW));
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
        assert_eq!(times.eras().len(), 1);
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
        for number in 0..40 {
            times.give(if number % 2 == 0 { NOW + number } else { number }, number);
        }
        let again = Times::noted(Some(file.try_clone().unwrap()));
        assert_eq!(*again.eras(), *times.eras());
        assert_eq!(again.eras().len(), ERAS);
        file.write_all_at(&[1], PLACE + 20).unwrap();
        assert!(Times::noted(Some(file)).eras().is_empty());
    }
}
