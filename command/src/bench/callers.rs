//! Those who call a storage, each one operation after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Storage, StorageService};
use fastrand::Rng;
use tokio::task::JoinSet;

use super::rows::Rows;
use crate::failure::Failure;

/// After an error, so that a database that is away is not asked as fast as it can refuse.
const PAUSE: Duration = Duration::from_millis(10);

/// One caller's samples of one slice.
#[derive(Default)]
pub struct Samples {
    /// Nanoseconds of each read that was answered rightly.
    pub reads: Vec<u64>,
    pub writes: Vec<u64>,
    pub read_errors: Vec<String>,
    pub write_errors: Vec<String>,
}

/// Those who call one plugin, with what their next choices come from.
pub struct Callers {
    random: Vec<Rng>,
    /// Of a hundred operations.
    reads: u8,
}

impl Callers {
    /// The same seed makes the same choices.
    pub fn new(count: usize, reads: u8, seed: u64) -> Self {
        let mut seeds = Rng::with_seed(seed);
        Self { random: (0..count).map(|_| seeds.fork()).collect(), reads }
    }

    /// Calls for so long, and says how long it really was: the last operations are waited for.
    pub async fn call(
        &mut self,
        storage: &Arc<Storage>,
        rows: &Arc<Rows>,
        length: Duration,
    ) -> Result<(Duration, Vec<Samples>), Failure> {
        let start = Instant::now();
        let until = start + length;
        let mut tasks = JoinSet::new();
        for random in self.random.drain(..) {
            tasks.spawn(caller(random, self.reads, storage.clone(), rows.clone(), until));
        }
        let finished = tasks.join_all().await;
        let elapsed = start.elapsed();
        let (random, samples) = finished.into_iter().unzip();
        self.random = random;
        Ok((elapsed, samples))
    }
}

async fn caller(mut random: Rng, reads: u8, storage: Arc<Storage>, rows: Arc<Rows>, until: Instant) -> (Rng, Samples) {
    let mut samples = Samples::default();
    while Instant::now() < until {
        let row = random.usize(..rows.count());
        let failed = if random.u8(..100) < reads {
            let outcome = read(&storage, &rows, row).await;
            settle(outcome, &mut samples.reads, &mut samples.read_errors)
        } else {
            let outcome = write(&storage, &rows, row).await;
            settle(outcome, &mut samples.writes, &mut samples.write_errors)
        };
        if failed {
            tokio::time::sleep(PAUSE).await;
        }
    }
    (random, samples)
}

fn settle(outcome: Result<Duration, String>, times: &mut Vec<u64>, errors: &mut Vec<String>) -> bool {
    match outcome {
        Ok(time) => times.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        Err(error) => {
            errors.push(error);
            return true;
        }
    }
    false
}

async fn read(storage: &Storage, rows: &Rows, row: usize) -> Result<Duration, String> {
    let key = Rows::state(row, 0);
    let oldest = rows.oldest(row);
    let start = Instant::now();
    let answer = storage.get_message_state(&key.channel_id, key.thread_id.as_deref()).await;
    let elapsed = start.elapsed();
    let found = answer.map_err(|error| error.to_string())?;
    rows.check(row, found.as_ref(), oldest)?;
    Ok(elapsed)
}

async fn write(storage: &Storage, rows: &Rows, row: usize) -> Result<Duration, String> {
    let state = Rows::state(row, rows.begin_write(row));
    let start = Instant::now();
    let answer = storage.upsert_message_state(&state).await;
    let elapsed = start.elapsed();
    rows.end_write(row, answer.is_ok());
    answer.map(|_| elapsed).map_err(|error| error.to_string())
}
