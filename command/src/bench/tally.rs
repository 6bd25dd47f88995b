//! What was measured of one plugin.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::callers::Samples;

/// One kind of operation.
#[derive(Clone)]
pub struct Operations {
    /// Nanoseconds of those that were answered rightly, to three digits.
    times: Histogram<u64>,
    /// Those that failed or were answered wrongly.
    pub errors: u64,
}

impl Operations {
    fn new() -> Self {
        // From 1 ns to an hour: no deadline is longer by default, and a longer time counts as an hour.
        let times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
        Self { times: times.unwrap_or_else(|_| unreachable!("the bounds are constants that fit")), errors: 0 }
    }

    fn add(&mut self, times: Vec<u64>, errors: usize) {
        for time in times {
            self.times.saturating_record(time.max(1));
        }
        self.errors += errors as u64;
    }

    /// How many were answered rightly.
    pub fn count(&self) -> u64 {
        self.times.len()
    }

    /// The time within which this share of them was answered; nothing where there are none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.times.value_at_quantile(share)))
    }
}

/// What was measured of one plugin.
pub struct Tally {
    /// How long it was measured.
    pub elapsed: Duration,
    pub reads: Operations,
    pub writes: Operations,
    /// Errors of the warm-up, which is not measured.
    pub warm_up_errors: u64,
    /// Rows that were not there, or not as written, in the end.
    pub wrong_rows: u64,
    /// What went wrong, and how often.
    pub problems: BTreeMap<String, u64>,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            elapsed: Duration::ZERO,
            reads: Operations::new(),
            writes: Operations::new(),
            warm_up_errors: 0,
            wrong_rows: 0,
            problems: BTreeMap::new(),
        }
    }

    /// A slice that counts.
    pub fn add(&mut self, elapsed: Duration, callers: Vec<Samples>) {
        self.elapsed += elapsed;
        for samples in callers {
            self.reads.add(samples.reads, samples.read_errors.len());
            self.writes.add(samples.writes, samples.write_errors.len());
            self.note(samples.read_errors.into_iter().chain(samples.write_errors));
        }
    }

    /// A warm-up, of which only errors count.
    pub fn add_warm_up(&mut self, callers: Vec<Samples>) {
        for samples in callers {
            self.warm_up_errors += (samples.read_errors.len() + samples.write_errors.len()) as u64;
            self.note(samples.read_errors.into_iter().chain(samples.write_errors));
        }
    }

    pub fn note(&mut self, problems: impl IntoIterator<Item = String>) {
        /// Some messages have numbers in them, so that each is another one.
        const MOST: usize = 20;
        for problem in problems {
            let is_known = self.problems.contains_key(&problem);
            let problem = if is_known || self.problems.len() < MOST { problem } else { "others".into() };
            *self.problems.entry(problem).or_default() += 1;
        }
    }

    /// Reads and writes together.
    pub fn all(&self) -> Operations {
        let mut all = Operations::new();
        for operations in [&self.reads, &self.writes] {
            // They have the same bounds, so that nothing is left out.
            let _ = all.times.add(&operations.times);
            all.errors += operations.errors;
        }
        all
    }

    /// Everything that went wrong.
    pub fn errors(&self) -> u64 {
        self.reads.errors + self.writes.errors + self.warm_up_errors + self.wrong_rows
    }

    /// Operations in a second.
    pub fn per_second(&self, operations: &Operations) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { operations.count() as f64 / self.elapsed.as_secs_f64() }
    }
}
