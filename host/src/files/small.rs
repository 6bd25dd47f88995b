//! Files that a person or a platform provides and that are read whole: passwords, tokens, certificates, components.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Result as IoResult};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

/// How long a pipe may take that is named in the place of a file, such as by `<(…)` of a shell.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a file of at most `most` bytes, and never waits for long: a pipe that nobody writes to counts as empty, and a device that never
/// ends as too large.
///
/// # Errors
///
/// What is wrong, in words that go behind the file's name.
pub fn read_small(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    match read_start(path, most) {
        Ok((bytes, true)) => Ok(bytes),
        Ok((_, false)) if most < 1 << 20 => Err(format!("it is larger than {} KiB", most >> 10)),
        Ok((_, false)) => Err(format!("it is larger than {} MiB", most >> 20)),
        Err(cause) => Err(format!("it cannot be read: {cause}")),
    }
}

/// The first bytes of a file, at most so many, and whether they are all. Waits no longer than [`read_small`].
pub(crate) fn read_start(path: &Path, most: u64) -> IoResult<(Vec<u8>, bool)> {
    // Opening a pipe would wait for somebody who writes.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let (mut bytes, begun) = (Vec::new(), Instant::now());
    let mut start = file.take(most.saturating_add(1));
    loop {
        match start.read_to_end(&mut bytes) {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let problem = format!("nothing came from this pipe or device for {} s", PATIENCE.as_secs());
                return Err(std::io::Error::new(ErrorKind::TimedOut, problem));
            }
            Err(error) => return Err(error),
        }
    }
    let is_whole = bytes.len() as u64 <= most;
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((bytes, is_whole))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_file_neither_hangs_nor_fills_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "secret\n").unwrap();
        assert_eq!(read_small(&at("file"), 1024).unwrap(), b"secret\n");
        assert!(read_small(Path::new("/dev/zero"), 1024).unwrap_err().contains("larger than 1 KiB"));
        assert!(read_small(folder.path(), 1024).unwrap_err().contains("Is a directory"));
        assert!(read_small(&at("nothing"), 1024).unwrap_err().contains("No such file"));
        let pipe = at("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_small(&pipe, 1024).unwrap(), b"", "nobody writes to it");
        // Both ends are open before anything is written.
        let late = format!("exec 3<>{}; sleep 0.3; echo late >&3; exec 3>&-", pipe.display());
        let mut writer = Command::new("sh").args(["-c", &late]).spawn().unwrap();
        let begun = Instant::now();
        let mut read = Vec::new();
        while read.is_empty() && begun.elapsed() < PATIENCE {
            read = read_small(&pipe, 1024).unwrap();
        }
        assert_eq!(read, b"late\n");
        writer.wait().unwrap();
    }
}
