//! Programs with everything that they start: none outlives this process, however that ends.
//!
//! Each is a group of processes, which is killed when it has ended, when its answer is not wanted any more, and when this process ends.
//! For an end in which this process has no part (SIGKILL, or too little memory) there is a shell that waits for it: a parent's death is
//! signalled to its children alone, and not to theirs.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// Reads `+ GROUP` and `- GROUP` for each that begins and ends, until whoever writes that is gone, and kills those that are left. It
/// needs nothing but the shell itself.
const WATCHER: &str = "
    trap '' HUP INT TERM
    running=
    while read -r what group; do
        others=
        for other in $running; do [ \"$other\" = \"$group\" ] || others=\"$others $other\"; done
        case $what in +) running=\"$others $group\" ;; *) running=$others ;; esac
    done
    for group in $running; do kill -s KILL -- \"-$group\"; done";

static RUNNING: Mutex<Running> = Mutex::new(Running { groups: Vec::new(), watcher: Watcher::Missing });

/// The groups of this process.
struct Running {
    groups: Vec<Pid>,
    watcher: Watcher,
}

enum Watcher {
    /// It is to be started.
    Missing,
    Reads {
        shell: process::Child,
        pipe: ChildStdin,
    },
    /// There is none on this machine, or none is needed.
    Never,
}

/// The processes of a program, which are killed when this is dropped.
pub struct Group(Option<Pid>);

impl Group {
    /// Starts a program as a group of its own, which a signal to this process's group does not reach.
    pub fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        // Held until it is known, so that none is missed when all are killed.
        let mut running = running();
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            running.begins(group);
        }
        Ok((child, Self(group)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let mut running = running();
            // Most often there is none left.
            let _ = kill_process_group(group, Signal::KILL);
            running.ends(group);
        }
    }
}

/// Kills all programs, and lets none begin: for a process that exits now.
pub fn kill_all() {
    // One may just then be begun, from a file system that hangs.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        let running = match RUNNING.try_lock() {
            Ok(running) => running,
            Err(TryLockError::Poisoned(running)) => running.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        for group in &running.groups {
            let _ = kill_process_group(*group, Signal::KILL);
        }
        std::mem::forget(running);
        return;
    }
}

impl Running {
    fn begins(&mut self, group: Pid) {
        self.groups.push(group);
        self.watcher.tell('+', group);
        if matches!(self.watcher, Watcher::Missing) {
            self.watcher = Watcher::start();
            let groups = self.groups.clone();
            groups.into_iter().for_each(|group| self.watcher.tell('+', group));
        }
    }

    fn ends(&mut self, group: Pid) {
        self.groups.retain(|other| *other != group);
        self.watcher.tell('-', group);
    }
}

impl Watcher {
    fn start() -> Self {
        if process::id() == 1 {
            // With the first process of a container the system ends all others.
            return Self::Never;
        }
        let mut shell = process::Command::new("/bin/sh");
        shell.args(["-c", WATCHER, "cofferdam-bot-watcher"]).env_clear().current_dir("/").process_group(0);
        let started = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let started = started.and_then(|mut shell| {
            let pipe = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
            // One that is stopped must hold up nobody.
            ioctl_fionbio(&pipe, true)?;
            Ok(Self::Reads { shell, pipe })
        });
        started.unwrap_or_else(|error| {
            tracing::warn!("a program outlives the bot if that is killed: /bin/sh does not start: {error}");
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Self::Never,
                // The machine is short of something: the next program tries again.
                _ => Self::Missing,
            }
        })
    }

    fn tell(&mut self, what: char, group: Pid) {
        let Self::Reads { shell, pipe } = self else { return };
        if pipe.write_all(format!("{what} {}\n", group.as_raw_nonzero()).as_bytes()).is_err() {
            // Somebody has ended it, or stopped it: it must not take the end of its pipe for that of the bot.
            let _ = shell.kill();
            let _ = shell.wait();
            *self = Self::Missing;
        }
    }
}

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
