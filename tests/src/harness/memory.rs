//! How much memory another process needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

/// Short beside a run of the command, and long beside a look.
const PAUSE: Duration = Duration::from_millis(5);

/// What a process has in memory at this moment, in KiB.
///
/// # Errors
///
/// It has ended.
pub fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What a process has in memory, looked at every few milliseconds.
pub struct Memory {
    stop: Arc<AtomicBool>,
    now: Arc<AtomicU64>,
    peak: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Memory {
    /// Looks at the process of this number from now on.
    pub fn watch(process: u32) -> Self {
        let (stop, now, peak) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (stop, now, peak) = (stop.clone(), now.clone(), peak.clone());
            move || {
                let file = format!("/proc/{process}/status");
                while !stop.load(Ordering::Relaxed) {
                    let text = std::fs::read_to_string(&file).unwrap_or_default();
                    for (name, value) in [("VmRSS:", &now), ("VmHWM:", &peak)] {
                        let line = text.lines().find_map(|line| line.strip_prefix(name));
                        if let Some(kibibytes) = line.and_then(|line| line.split_whitespace().next()?.parse().ok()) {
                            value.store(kibibytes, Ordering::Relaxed);
                        }
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        });
        Self { stop, now, peak, thread }
    }

    /// What is resident at the moment, in KiB; 0 where it was not looked at yet.
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The most that was resident, in KiB; 0 where the process ended before it was looked at.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed)
    }
}
