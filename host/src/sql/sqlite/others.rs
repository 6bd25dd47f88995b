//! Other processes that lock the file, as far as those know who wait for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sql::pause::Pause;
use crate::threads::lock;

/// How long a lock of another process is believed in after it was last met: some pauses between attempts, also on a busy
/// machine.
const MEMORY: Duration = Duration::from_millis(250);

/// How long to wait for one between attempts: its commits take a fraction of the first, and nobody notices the last.
pub(super) fn busy_pause() -> Pause {
    Pause::new(Duration::from_millis(1), Duration::from_millis(50))
}

/// What is known of them.
#[derive(Default)]
pub(super) struct Others {
    /// Whether the writer waits for one at the moment.
    blocked: AtomicBool,
    /// When somebody last met the lock of one.
    met: Mutex<Option<Instant>>,
}

impl Others {
    /// Notes that the writer waits for one, as long as the result lives.
    pub fn block(&self) -> Blocked<'_> {
        self.note_lock();
        self.blocked.store(true, Ordering::Relaxed);
        Blocked(&self.blocked)
    }

    /// Notes that the lock of one was met.
    pub fn note_lock(&self) {
        *lock(&self.met) = Some(Instant::now());
    }

    /// Whether one has the file locked: those who wait try several times within [`MEMORY`].
    pub fn have_it_locked(&self) -> bool {
        let met = *lock(&self.met);
        self.blocked.load(Ordering::Relaxed) || met.is_some_and(|met| met.elapsed() < MEMORY)
    }
}

/// The writer waits for another process, as long as this lives.
pub(super) struct Blocked<'a>(&'a AtomicBool);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
