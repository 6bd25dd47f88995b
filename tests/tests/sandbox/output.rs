use anyhow::Result;
use cofferdam::{ErrorKind, StorageService};
use cofferdam_tests::harness::log::Log;
use cofferdam_tests::harness::plugins::guests;

use crate::rig::{Sandbox, assert_error};

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
