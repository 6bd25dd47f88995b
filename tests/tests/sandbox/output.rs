use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::plugins::guests;
use tracing_subscriber::fmt::MakeWriter;

use crate::rig::{Sandbox, assert_error};

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs everything on this thread as the command does, as long as the result lives.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Requires that no byte of a log steers a terminal.
fn assert_printable(log: &[u8]) {
    let controls = log.iter().filter(|byte| byte.is_ascii_control() && **byte != b'\n').count();
    assert_eq!(controls, 0, "{}", log.escape_ascii());
}

pub mod prints_a_lot {
    use super::*;

    #[tokio::test]
    async fn reaches_the_log_bounded_and_escaped() -> Result<()> {
        let sandbox = Sandbox::new(guests::PRINTS_A_LOT).await?;
        let (log, _guard) = Log::start();
        // In the second operation the guest may print anew.
        for _ in 0..2 {
            let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
            assert_eq!(outcome, Ok(None));
            assert_eq!(discarded, 0);
            let logged = log.take();
            assert_printable(&logged);
            let text = String::from_utf8_lossy(&logged);
            assert!(text.contains(r"\x1b[31mred\x1b[0m\r\x07 marker-escape"), "{text}");
            assert!(text.contains("dropped output of the plugin over its limit"), "{text}");
            // The limit is 4 KiB; the rest is what the log says of itself.
            assert!(logged.len() < 8 << 10, "{} bytes were logged", logged.len());
        }
        Ok(())
    }
}

pub mod huge_error {
    use super::*;

    #[tokio::test]
    async fn keeps_its_kind_and_is_cut_and_escaped() -> Result<()> {
        let sandbox = Sandbox::new(guests::HUGE_ERROR).await?;
        let (outcome, discarded) = sandbox.beside(sandbox.storage.get_message_state("c", None)).await?;
        assert_error(&outcome, ErrorKind::Conflict, &[r"\u{1b}[2J", "ERROR forged"]);
        assert_eq!(discarded, 0);
        let shown = outcome.map_err(|error| format!("{error} {error:?}")).unwrap_err();
        assert!(shown.len() < 8 << 10, "{} bytes", shown.len());
        assert_printable(shown.as_bytes());
        assert!(!shown.contains('\n'), "a message is one line");
        Ok(())
    }
}
