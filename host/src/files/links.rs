//! Files whose logs would not be where another process looks for them.
//!
//! SQLite's write-ahead log lies beside the name under which a file was opened. Whoever opens the same file under another name
//! does not see the log, and what it acknowledged is overwritten: <https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file>.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a file has no log that all see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hazard {
    /// It has so many names.
    Links(u64),
    /// It is mounted by itself, without the folder that it is in.
    Mount,
}

/// Whether a file that is there can have a log that all see.
pub(crate) fn hazard(path: &Path) -> Option<Hazard> {
    let real = std::fs::canonicalize(path).ok()?;
    let file = std::fs::metadata(&real).ok().filter(std::fs::Metadata::is_file)?;
    if file.nlink() > 1 {
        return Some(Hazard::Links(file.nlink()));
    }
    is_mount(&real).then_some(Hazard::Mount)
}

/// Another device than the folder's would tell neither: a file that is mounted may be of the same one, and in an overlay others
/// are not. Where the system has no such list it is not known.
fn is_mount(real: &Path) -> bool {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .any(|place| Path::new(&unescaped(place)) == real)
}

/// Undoes what the kernel does to blanks and the like: `\040`.
fn unescaped(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if *first == b'\\' => {
                bytes.push(digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_is_told_and_one_with_a_link_to_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a b"), folder.path().join("link"));
        assert_eq!(hazard(&file), None);
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!((hazard(&file), hazard(&link)), (None, None));
        std::fs::hard_link(&file, folder.path().join("other")).unwrap();
        assert_eq!(hazard(&link), Some(Hazard::Links(2)));
    }

    #[test]
    fn places_of_mounts_are_read() {
        assert_eq!(unescaped(br"/a\040b\134c"), OsString::from("/a b\\c"));
        assert_eq!(unescaped(br"/a\04"), OsString::from("/a\\04"));
    }
}
