//! How much memory another process needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    figure(process, "VmRSS:")
}

fn figure(process: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("its memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The most that a process has had in memory, looked at every few milliseconds.
pub struct Memory {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Memory {
    /// Looks at the process of this number from now on.
    pub fn watch(process: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let mut peak = 0;
                while !stop.load(Ordering::Relaxed) {
                    peak = figure(process, "VmHWM:").unwrap_or(peak);
                    std::thread::sleep(PAUSE);
                }
                peak
            }
        });
        Self { stop, thread }
    }

    /// The most that was resident, in KiB; 0 where the process ended before it was looked at.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
