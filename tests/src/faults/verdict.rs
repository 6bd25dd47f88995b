//! Whether the promises held.

use std::time::Duration;

use cofferdam::ErrorKind;

use super::ledger::{Ledger, Tally, is_of};
use super::look::Found;
use super::strictness;

/// Within which service is promised to be back after a fault has ended.
pub const RECOVERY: Duration = Duration::from_secs(5);

/// What a fault may do to callers.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The kinds of errors that callers may see.
    pub kinds: &'static [ErrorKind],
    /// Whether somebody must see an error: otherwise the fault was none.
    pub is_felt: bool,
    /// Within which service is promised to be back after the fault has ended.
    pub recovery: Duration,
}

impl Expected {
    /// Errors of these kinds, one at least.
    pub const fn errors(kinds: &'static [ErrorKind]) -> Self {
        Self { kinds, is_felt: true, recovery: RECOVERY }
    }

    /// No error at all.
    pub const NONE: Self = Self { kinds: &[], is_felt: false, recovery: RECOVERY };
}

/// How long after the end of a fault callers were answered with a success again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The first of them; `None` for none.
    pub first: Option<Duration>,
    /// All of them; `None` where one was not.
    pub all: Option<Duration>,
}

impl Recovery {
    /// The longer of each. None is longer than anything.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let longer = |(one, two): (Duration, Duration)| one.max(two);
        Self { first: self.first.zip(other.first).map(longer), all: self.all.zip(other.all).map(longer) }
    }
}

/// What a fault did: a row of the table.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The fault's name.
    pub fault: String,
    /// How often it was provoked.
    pub rounds: u64,
    /// What callers saw.
    pub tally: Tally,
    /// Rows that lack an acknowledged write, or hold what nobody wrote.
    pub lost: u64,
    /// Rows beyond the first of a key.
    pub duplicated: u64,
    /// The longest of all rounds; `None` where the fault has no end to recover from.
    pub recovery: Option<Recovery>,
    /// Other figures, each a sentence.
    pub notes: Vec<String>,
    /// The promises that were broken, each a sentence. Empty where all is well.
    pub broken: Vec<String>,
}

impl Verdict {
    /// Compares what was answered with what is there.
    pub fn of(fault: &str, expected: &Expected, ledger: &Ledger, recovery: Option<Recovery>, found: &Found) -> Self {
        let tally = ledger.tally();
        let mut broken = Vec::new();
        let (mut lost, mut duplicated) = (0, 0);
        for (key, writes) in ledger.rows() {
            let numbers = found.get(&key).map_or(&[0][..], Vec::as_slice);
            duplicated += numbers.len() as u64 - 1;
            if !numbers.iter().all(|&number| writes.allow(number)) {
                lost += 1;
                broken.push(format!(
                    "{key:?} holds {numbers:?}, where {} was acknowledged and {} attempted",
                    writes.acknowledged, writes.attempted
                ));
            }
        }
        if duplicated > 0 {
            broken.push(format!("{duplicated} rows are duplicated"));
        }
        if tally.late > 0 {
            let deadline = ledger.limit();
            broken.push(format!("{} operations took longer than {deadline:?}, up to {:?}", tally.late, tally.longest));
        }
        broken.extend(tally.wrong_reads.iter().take(5).cloned());
        for (kind, count) in &tally.errors {
            if !is_of(kind, expected.kinds) {
                let message = tally.messages.get(kind).map_or("", String::as_str);
                broken.push(format!("{count} errors of a kind that this fault should not cause: {message}"));
            }
        }
        if expected.is_felt && tally.errors.is_empty() && tally.spooled == 0 {
            broken.push("nobody felt the fault, so that nothing was tested".into());
        }
        if tally.acknowledged == 0 {
            broken.push("no write was acknowledged, so that nothing was tested".into());
        }
        if let Some(recovery) = recovery {
            let limit = strictness::back_within(expected.recovery);
            match recovery.all {
                Some(all) if all <= limit => {}
                Some(all) => {
                    broken.push(format!("service was back after {all:.1?}, not within {limit:?}"));
                }
                None => broken.push("service did not come back for every caller".into()),
            }
        }
        Self { fault: fault.into(), rounds: 1, tally, lost, duplicated, recovery, notes: Vec::new(), broken }
    }

    /// Adds another round of the same fault.
    pub fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.tally.add(other.tally);
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.recovery = match (self.recovery, other.recovery) {
            (Some(one), Some(two)) => Some(one.worse(two)),
            (one, two) => one.or(two),
        };
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.broken.extend(other.broken);
    }

    /// Whether every promise held.
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    /// Errors by kind, such as `timeout 12, unavailable 3`.
    pub fn errors(&self) -> String {
        if self.tally.errors.is_empty() {
            return "none".into();
        }
        let errors: Vec<_> = self.tally.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        errors.join(", ")
    }

    /// One line.
    pub fn sentence(&self) -> String {
        let Self { fault, tally, lost, duplicated, .. } = self;
        format!(
            "{fault}: {} operations, {} writes checked ({} spooled), {lost} lost, {duplicated} duplicated; errors: {}; \
             longest {:.2?}; back after {}",
            tally.operations,
            tally.acknowledged,
            tally.spooled,
            self.errors(),
            tally.longest,
            self.recovered()
        )
    }

    /// How long recovery took, for a table.
    pub fn recovered(&self) -> String {
        match self.recovery {
            None => "-".into(),
            Some(Recovery { all: Some(all), .. }) => format!("{:.2} s", all.as_secs_f64()),
            Some(_) => "never".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::ledger::{Kept, Key};
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    fn written(acknowledged: u64) -> (Ledger, Key) {
        let (ledger, key) = (Ledger::new(1, DEADLINE), Key::Ownership("a".into()));
        for number in 1..=acknowledged {
            ledger.attempt(0, &key, number);
            ledger.wrote(0, &key, number, Instant::now(), &Ok(Kept::Stored));
        }
        (ledger, key)
    }

    fn judge(ledger: &Ledger, numbers: &[(Key, Vec<u64>)]) -> Verdict {
        Verdict::of("x", &Expected::NONE, ledger, None, &numbers.iter().cloned().collect())
    }

    #[test]
    fn a_row_that_lacks_an_acknowledged_write_is_lost() {
        let (ledger, key) = written(3);
        assert!(judge(&ledger, &[(key.clone(), vec![3])]).is_kept());
        for numbers in [vec![], vec![(key.clone(), vec![2])], vec![(key.clone(), vec![4])]] {
            let verdict = judge(&ledger, &numbers);
            assert!(verdict.lost == 1 && !verdict.is_kept(), "{verdict:?}");
        }
        let twice = judge(&ledger, &[(key, vec![3, 3])]);
        assert!(twice.duplicated == 1 && !twice.is_kept(), "{twice:?}");
    }

    #[test]
    fn a_late_operation_and_an_error_of_another_kind_break_a_promise() {
        let (ledger, key) = written(1);
        let (rows, started) = ([(key.clone(), vec![1])], Instant::now() - 2 * DEADLINE);
        ledger.read(0, &key, started, &Ok(1));
        assert_eq!(judge(&ledger, &rows).broken.len(), 1);
        let error = cofferdam::Error::new(ErrorKind::Internal, "odd");
        ledger.read(0, &key, Instant::now(), &Err(error));
        assert_eq!(judge(&ledger, &rows).broken.len(), 2);
    }

    #[test]
    fn a_fault_that_nobody_felt_proves_nothing() {
        let (ledger, key) = written(1);
        let expected = Expected::errors(&[ErrorKind::Timeout]);
        let verdict = Verdict::of("x", &expected, &ledger, None, &Found::from([(key, vec![1])]));
        assert!(!verdict.is_kept());
    }

    #[test]
    fn service_must_be_back_in_time() {
        let (ledger, key) = written(1);
        let found = Found::from([(key, vec![1])]);
        let after = |all| Some(Recovery { first: Some(Duration::ZERO), all });
        let judge = |recovery| Verdict::of("x", &Expected::NONE, &ledger, recovery, &found).is_kept();
        let limit = strictness::back_within(RECOVERY);
        assert!(judge(after(Some(limit))));
        assert!(!judge(after(Some(limit * 2))) && !judge(after(None)));
    }
}
