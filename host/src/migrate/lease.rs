//! Who may write to a destination.
//!
//! A lease is a row in the destination with its owner's name and a count of beats, which grows with every page and every
//! two seconds. One that does not grow for [`PATIENCE`] is dead; so is one whose process is known to be gone. Clocks of
//! different machines are not compared.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::error::{LEASE_LOST, Result};
use super::side::Side;
use crate::model::migration::Lease;
use crate::service::MigrationService;

/// How long a lease may stand still until it is dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a lease is shown to be alive while no page does it.
const BEAT: Duration = Duration::from_secs(2);

/// How often somebody who waits looks at the lease.
const LOOK: Duration = Duration::from_millis(200);

/// The lease of a destination, kept alive as long as this lives.
pub(super) struct Held {
    storage: Arc<dyn MigrationService>,
    owner: String,
    beating: AbortOnDropHandle<()>,
}

impl Held {
    /// Takes the lease, after waiting for one that may be dead.
    pub async fn take(side: &Side) -> Result<Self> {
        let owner = owner();
        let storage = side.storage();
        let mut seen: Option<(Lease, Instant)> = None;
        loop {
            let held = storage.held_lease().await.map_err(|error| side.failed(error))?;
            let is_dead = match (&held, &seen) {
                (None, _) => true,
                (Some(held), _) if is_gone(&held.owner) => true,
                (Some(held), Some((before, since))) if held == before => since.elapsed() >= PATIENCE,
                (Some(held), Some((before, _))) if held.owner == before.owner => {
                    return Err(side.taken(held.owner.clone()));
                }
                (Some(held), _) => {
                    seen = Some((held.clone(), Instant::now()));
                    false
                }
            };
            if is_dead && storage.take_lease(&owner, held.as_ref()).await.map_err(|error| side.failed(error))? {
                break;
            }
            if !is_dead {
                sleep(LOOK).await;
            }
        }
        let beating = AbortOnDropHandle::new(tokio::spawn(beat(Arc::clone(storage), owner.clone())));
        Ok(Self { storage: Arc::clone(storage), owner, beating })
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Gives the lease back. Where that fails it is dead soon.
    pub async fn release(self) {
        self.beating.abort();
        if let Err(error) = self.storage.drop_lease(&self.owner).await {
            tracing::debug!(%error, "the lease of the destination was not released; it expires by itself");
        }
    }
}

async fn beat(storage: Arc<dyn MigrationService>, owner: String) {
    loop {
        sleep(BEAT).await;
        match storage.keep_lease(&owner).await {
            // The next page finds out.
            Err(error) if error.code() == Some(LEASE_LOST) => return,
            Err(error) => tracing::debug!(%error, "the lease of the destination was not renewed"),
            Ok(()) => {}
        }
    }
}

/// A name that no other process has: the machine's boot and namespace of processes, the process, when it started, and a
/// random number.
fn owner() -> String {
    use std::hash::{BuildHasher, RandomState};
    let pid = std::process::id();
    let random = RandomState::new().hash_one(pid);
    format!("{}/{pid}/{}/{random:016x}", machine(), started(pid).unwrap_or_default())
}

/// Where numbers of processes mean the same. Empty where that cannot be told.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    match (boot.trim(), namespace.to_string_lossy()) {
        ("", _) => String::new(),
        (boot, namespace) => format!("{boot}.{}", namespace.trim_matches(|c: char| !c.is_ascii_digit())),
    }
}

/// When a process started, in ticks since the machine did: numbers of processes are given again.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything. A process that ended and is not buried yet is gone too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}

/// Whether this owner was a process on this machine and is no more.
fn is_gone(owner: &str) -> bool {
    let mut parts = owner.split('/');
    let (Some(machine), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let here = self::machine();
    let Ok(pid) = pid.parse() else { return false };
    !here.is_empty() && machine == here && !start.is_empty() && started(pid).as_deref() != Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_gone() {
        assert!(!is_gone(&owner()));
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pid, start) = (child.id(), "1");
        child.wait().unwrap();
        assert!(is_gone(&format!("{}/{pid}/{start}/0", machine())));
    }

    #[test]
    fn of_another_machine_nothing_is_known() {
        assert!(!is_gone("0000.1/4000000/1/0"));
        assert!(!is_gone("somebody"));
    }
}
