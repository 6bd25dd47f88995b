//! The integrity check of a file, before everything in it is relied upon.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Storage;
use crate::config::format_duration;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{self, Database};

/// The longest that looking through a file may take where nobody waits for a start.
const WHOLE_FILE: Duration = Duration::from_secs(6 * 3600);

/// The share of the time for initialising that a look through the file gets before an upgrade.
const SHARE: u32 = 4;

/// The result of an integrity check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// The whole file was checked, and it is undamaged.
    Sound,
    /// The file was not checked, since `COFFERDAM_INTEGRITY_CHECK` is `off`.
    Skipped,
    /// There is nothing to check: no file yet, or a server, which checks itself.
    Nothing,
}

impl Storage {
    /// Checks the whole file for damage that ordinary statements do not detect, such as an index that lacks rows of its
    /// table. Needs an open storage, writes nothing, and takes longer the larger the file is.
    ///
    /// # Errors
    ///
    /// [`CorruptData`](ErrorKind::CorruptData) with the engine's findings and the remedy, and as any operation.
    pub async fn check_integrity(&self) -> Result<Integrity> {
        let database = self.open_database()?;
        if !database.can_check_integrity() {
            return Ok(Integrity::Nothing);
        }
        if !self.config.integrity_check {
            return Ok(Integrity::Skipped);
        }
        database.check_integrity(Instant::now() + WHOLE_FILE).await?;
        Ok(Integrity::Sound)
    }

    /// Looks through a file that is about to be upgraded, within a share of the time that is left: an upgrade reads by the old
    /// indexes and builds new ones, and what an index lacks would be missed for good. Where that time is not enough, the upgrade
    /// goes on, and a remark tells.
    pub(super) async fn check_before_upgrade(
        &self,
        database: &Arc<dyn Database>,
        is_upgrade: impl Future<Output = bool>,
        deadline: Instant,
    ) -> Result<()> {
        if !database.can_check_integrity() || !self.config.integrity_check || !is_upgrade.await {
            return Ok(());
        }
        let share = deadline.saturating_duration_since(Instant::now()) / SHARE;
        tracing::info!(at_most = %format_duration(share), "checking the database file for damage before its upgrade");
        match database.check_integrity(Instant::now() + share).await {
            Err(error) if error.kind == sql::ErrorKind::Timeout => {
                self.upgraded_unchecked.store(true, Ordering::Relaxed);
                if let Some(remark) = self.remark_on_integrity() {
                    tracing::warn!("{remark}");
                }
                Ok(())
            }
            Err(error) => {
                let error = Error::from(error);
                let message = match error.kind() {
                    ErrorKind::CorruptData => format!("before its upgrade, {}", error.message()),
                    _ => error.message().to_owned(),
                };
                let code = error.code().map(str::to_owned);
                let error = Error::new(error.kind(), message);
                Err(match code {
                    Some(code) => error.with_code(code),
                    None => error,
                })
            }
            Ok(()) => {
                tracing::info!("the database file is undamaged");
                Ok(())
            }
        }
    }

    pub(super) fn remark_on_integrity(&self) -> Option<String> {
        self.upgraded_unchecked.load(Ordering::Relaxed).then(|| {
            "the file was upgraded without an integrity check, which would have taken more than a quarter of \
             COFFERDAM_INITIALIZE_TIMEOUT: run `cofferdam export`, which checks the file first"
                .to_owned()
        })
    }
}
