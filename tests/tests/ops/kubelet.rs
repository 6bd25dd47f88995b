//! A kubelet, as far as the probes of a container go. Its time is compressed: a second of it is a millisecond.

use std::time::Duration;

use anyhow::Result;

use crate::rig::Rig;

/// What `docs/operations.md` advises, in seconds.
const READINESS_PERIOD: u64 = 5;
const LIVENESS_PERIOD: u64 = 10;

/// Failures in a row after which a kubelet acts, unless it is told otherwise.
const FAILURE_THRESHOLD: u32 = 3;

/// What it has done about one container.
#[derive(Debug, Default)]
pub struct Kubelet {
    /// Whether the container gets requests.
    pub is_ready: bool,
    /// How often that has changed.
    pub changes: u32,
    /// How often the container was to be restarted.
    pub restarts: u32,
    seconds: u64,
    unready: u32,
    dead: u32,
}

impl Kubelet {
    /// Probes for so many minutes.
    pub async fn watch(&mut self, rig: &Rig, minutes: u64) -> Result<()> {
        for _ in 0..minutes * 60 / READINESS_PERIOD {
            self.seconds += READINESS_PERIOD;
            tokio::time::sleep(Duration::from_millis(READINESS_PERIOD)).await;
            self.unready = if rig.get("/readyz").await?.status == 200 { 0 } else { self.unready + 1 };
            let is_ready = self.unready == 0 || (self.is_ready && self.unready < FAILURE_THRESHOLD);
            self.changes += u32::from(is_ready != self.is_ready);
            self.is_ready = is_ready;
            if self.seconds.is_multiple_of(LIVENESS_PERIOD) {
                self.dead = if rig.get("/livez").await?.status == 200 { 0 } else { self.dead + 1 };
                self.restarts += u32::from(self.dead == FAILURE_THRESHOLD);
            }
        }
        Ok(())
    }
}
