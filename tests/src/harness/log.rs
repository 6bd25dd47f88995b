//! What is logged on a test's thread.

use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// A log in memory.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Keeps what is logged on this thread at level info and above, as long as the guard lives.
    ///
    /// A message that is first met on a thread without a subscriber may be taken for one that nobody wants, while another
    /// thread gets its own: one for all threads, which forgets everything, keeps that from happening.
    ///
    /// # Panics
    ///
    /// Somebody else has set a subscriber for all threads.
    pub fn start() -> (Self, DefaultGuard) {
        static FOR_ALL: Once = Once::new();
        FOR_ALL.call_once(|| {
            let forgets = tracing_subscriber::fmt().with_writer(io::sink).finish();
            tracing::subscriber::set_global_default(forgets).expect("nobody else sets one");
        });
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// What has come since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes())
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
