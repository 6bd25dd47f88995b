//! Who reads a file: the processes that hold a read mark in the index of its write-ahead log.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bytes of the index that stand for the read marks of the log. One before them is for those who read the file alone,
/// which nobody minds.
const MARKS: std::ops::RangeInclusive<u64> = 124..=127;

/// Such as `process 4321 (sqlite3)`. Empty where the system does not tell.
pub(super) fn of(index: &Path) -> Vec<String> {
    let Ok(inode) = std::fs::metadata(index).map(|file| file.ino()) else { return Vec::new() };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut found: Vec<u32> = locks.lines().filter_map(|line| reader(line, inode)).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(name).collect()
}

/// The process of a line of `/proc/locks`, such as `1: POSIX  ADVISORY  READ 4321 fe:00:5678 124 124`.
fn reader(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(3);
    let (mode, process, file, first) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_its = file.rsplit(':').next()?.parse() == Ok(inode);
    let is_mark = first.parse().is_ok_and(|first| MARKS.contains(&first));
    (mode == "READ" && is_its && is_mark).then(|| process.parse().ok()).flatten()
}

fn name(process: u32) -> String {
    if process == std::process::id() {
        return format!("process {process}, this one,");
    }
    match std::fs::read_to_string(format!("/proc/{process}/comm")) {
        Ok(name) => format!("process {process} ({})", name.trim_end().escape_debug()),
        Err(_) => format!("process {process}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_mark_is_told_from_other_locks() {
        let mark = "2: POSIX  ADVISORY  READ 4321 fe:00:5678 124 124";
        assert_eq!(reader(mark, 5678), Some(4321));
        for (other, inode) in [
            (mark, 567),
            ("2: POSIX  ADVISORY  READ 4321 fe:00:5678 123 123", 5678),
            ("2: POSIX  ADVISORY  READ 4321 fe:00:5678 128 128", 5678),
            ("2: POSIX  ADVISORY  WRITE 4321 fe:00:5678 124 124", 5678),
            ("2: FLOCK  ADVISORY  READ -1 fe:00:5678 0 EOF", 5678),
            ("", 5678),
        ] {
            assert_eq!(reader(other, inode), None, "{other}");
        }
    }
}
