//! Files that a person or a platform provides and that are read whole: passwords, tokens, certificates, components.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
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
    let read = || -> io::Result<_> {
        let mut start = Start::of(path)?;
        Ok(start.read_to(most)?.then_some(start.bytes))
    };
    match read() {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) if most < 1 << 20 => Err(format!("it is larger than {} KiB", most >> 10)),
        Ok(None) => Err(format!("it is larger than {} MiB", most >> 20)),
        Err(cause) => Err(format!("it cannot be read: {cause}")),
    }
}

/// What has been read of a file, which is open for more.
pub(crate) struct Start {
    file: File,
    pub bytes: Vec<u8>,
}

impl Start {
    /// Opens a file. Waits for nobody who would write into a pipe.
    pub fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { file, bytes: Vec::new() })
    }

    /// Reads on until there are more than `most` bytes, and says whether the file has ended before. Waits no longer than
    /// [`read_small`].
    pub fn read_to(&mut self, most: u64) -> io::Result<bool> {
        let begun = Instant::now();
        let mut rest = (&self.file).take(most.saturating_add(1).saturating_sub(self.bytes.len() as u64));
        loop {
            match rest.read_to_end(&mut self.bytes) {
                Ok(_) => return Ok(self.bytes.len() as u64 <= most),
                Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let problem = format!("nothing came from this pipe or device for {} s", PATIENCE.as_secs());
                    return Err(io::Error::new(ErrorKind::TimedOut, problem));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use rustix::io::ioctl_fionread;

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
        // It is waited for what comes late. The pipe keeps what is written, as long as this end is open.
        let mut writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let reader = std::thread::spawn(move || read_small(&pipe, 1024));
        std::thread::sleep(Duration::from_millis(50));
        writer.write_all(b"late\n").unwrap();
        while !reader.is_finished() && ioctl_fionread(&writer).unwrap() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(writer);
        assert_eq!(reader.join().unwrap().unwrap(), b"late\n");
    }
}
