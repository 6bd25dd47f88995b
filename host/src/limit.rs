//! The limits that a machine sets on a process, by the names of their settings.

use std::io;

/// Explains a system error: adds the limit of the machine that caused it, if there is one.
pub fn explain(error: &io::Error) -> String {
    match error.raw_os_error().and_then(of_code) {
        Some(limit) => format!("{error}: {limit}"),
        None => error.to_string(),
    }
}

/// The limit that an error number of a system call stands for, and where it is set.
pub fn of_code(code: i32) -> Option<&'static str> {
    Some(match code {
        // Of a thread that cannot be made: for want of its stack the system says the same.
        EAGAIN if Vec::<u8>::new().try_reserve_exact(STACK).is_err() => MEMORY,
        EAGAIN => PROCESSES,
        ENOMEM => MEMORY,
        EMFILE => FILES,
        ENFILE => "the whole system has as many files open as it may: raise fs.file-max",
        EFBIG => FILE_SIZE,
        ENOSPC => "the disk is full",
        EDQUOT => "the disk quota of this user is used up",
        _ => return None,
    })
}

/// Of threads and processes.
pub const PROCESSES: &str = "no more threads can be created: raise the limit of processes (ulimit -u, RLIMIT_NPROC; \
    systemd TasksMax; \
     docker --pids-limit)";

/// Of memory and addresses.
pub const MEMORY: &str = "there is no memory left: raise the limit of address space (ulimit -v, RLIMIT_AS) or of \
    memory (ulimit -d, RLIMIT_DATA; docker \
     --memory; systemd MemoryMax)";

/// Of open files.
pub const FILES: &str =
    "no more files can be opened: raise the limit of open files (ulimit -n, RLIMIT_NOFILE; systemd LimitNOFILE)";

/// Of the size of a file.
pub const FILE_SIZE: &str =
    "the file has reached the limit of file size: raise it (ulimit -f, RLIMIT_FSIZE; systemd LimitFSIZE)";

/// Where either a limit of file size or the disk is in the way.
pub(crate) const FILE_SIZE_OR_DISK: &str =
    "make room, or raise the limit of file size (ulimit -f, RLIMIT_FSIZE; systemd LimitFSIZE), which is set";

/// Whether the system has set a limit of this name, such as `Max file size`, as far as it tells.
pub(crate) fn is_set(name: &str) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let values = limits.lines().find_map(|line| line.strip_prefix(name));
    values.is_some_and(|values| !values.trim_start().starts_with("unlimited"))
}

/// Of memory that may be executed.
pub const EXECUTABLE: &str = "this process may not make memory executable, which compiled components need: allow it \
    (systemd MemoryDenyWriteExecute=no; no \
     PR_SET_MDWE; SELinux execmem)";

/// The limit behind an error of the engine of components, which has the system's error among its words. Where it may not, it could
/// not make code executable.
pub fn of_text(text: &str) -> Option<&'static str> {
    if ["out of memory", "OutOfMemory"].iter().any(|words| text.contains(words)) {
        return Some(MEMORY);
    }
    let (_, code) = text.rsplit_once("(os error ")?;
    match code.split_once(')')?.0.parse().ok()? {
        EACCES | EPERM => Some(EXECUTABLE),
        code => of_code(code),
    }
}

/// Whether an error number says that there is no room in a file or on its disk.
pub(crate) fn is_room(code: i32) -> bool {
    matches!(code, EFBIG | ENOSPC | EDQUOT)
}

/// What a thread needs.
const STACK: usize = 2 << 20;

// The numbers are those of Linux and, but for the first and the last, of every Unix.
const EAGAIN: i32 = if cfg!(target_os = "linux") { 11 } else { 35 };
const EDQUOT: i32 = if cfg!(target_os = "linux") { 122 } else { 69 };
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_beside_the_systems_own_words() {
        let explained = explain(&io::Error::from_raw_os_error(EMFILE));
        assert!(explained.contains("os error 24") && explained.contains("RLIMIT_NOFILE"), "{explained}");
        assert_eq!(explain(&io::Error::other("its own words")), "its own words");
        assert!(is_set("Max open files") && !is_set("Max nothing"));
        // The numbers are the system's.
        for (code, kind) in [
            (EFBIG, io::ErrorKind::FileTooLarge),
            (ENOSPC, io::ErrorKind::StorageFull),
            (EDQUOT, io::ErrorKind::QuotaExceeded),
            (ENOMEM, io::ErrorKind::OutOfMemory),
            (EAGAIN, io::ErrorKind::WouldBlock),
            (EPERM, io::ErrorKind::PermissionDenied),
            (EACCES, io::ErrorKind::PermissionDenied),
        ] {
            assert_eq!(io::Error::from_raw_os_error(code).kind(), kind);
        }
    }
}
