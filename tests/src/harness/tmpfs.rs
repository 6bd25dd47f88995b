//! A small file system in memory, to be filled.
//!
//! A small shell is between this process and the mount. It holds a pipe from this process: however this process ends,
//! the pipe closes, and the shell unmounts and removes the folder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Reads the options of one remount a line, and answers each with `done` or the reason why not. Arguments: the folder,
/// and the options of the mount.
const SUPERVISOR: &str = r#"
folder=$1
if reason=$(mount -t tmpfs -o "$2" cofferdam-tests "$folder" 2>&1); then
    echo done
    while read -r options; do
        if reason=$(mount -o "remount,$options" "$folder" 2>&1); then echo done; else echo $reason; fi
    done
    # What still has files open there keeps them until it ends.
    umount "$folder" || umount -l "$folder"
else
    echo $reason
fi
rmdir "$folder"
"#;

/// A mounted tmpfs. It is unmounted when this is dropped or this process ends.
pub struct Tmpfs {
    supervisor: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// This process may not mount.
    pub fn mount(bytes: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cofferdam-tmpfs-").tempdir()?.keep();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "tmpfs-supervisor"])
            .arg(&folder)
            .arg(format!("size={bytes},mode=777"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the group of the tests must not keep the shell from unmounting.
            .process_group(0)
            .spawn()
            .context("sh does not start")?;
        let orders = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().context("sh has no output")?);
        let mut mounted = Self { supervisor, orders, answers, folder };
        mounted.answer().context(
            "a tmpfs cannot be mounted: tests that fill a disk need the rights to mount one (root, or a container \
             with CAP_SYS_ADMIN)",
        )?;
        Ok(mounted)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Gives it another size in bytes. What is there stays, also where it is more.
    ///
    /// # Errors
    ///
    /// It is smaller than what is there.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        self.remount(&format!("size={bytes}"))
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Errors
    ///
    /// Some process has a file open there for writing.
    pub fn set_read_only(&mut self, read_only: bool) -> Result<()> {
        self.remount(if read_only { "ro" } else { "rw" })
    }

    fn remount(&mut self, options: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the tmpfs is unmounted")?;
        writeln!(orders, "{options}").context("the shell that mounted the tmpfs is gone")?;
        self.answer().with_context(|| format!("{} cannot be remounted with {options}", self.folder.display()))
    }

    fn answer(&mut self) -> Result<()> {
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(answer == "done\n", "mount said {:?}", answer.trim());
        Ok(())
    }

    /// Fills what is left of it with a file.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn fill(&self) -> Result<Filler> {
        let path = self.folder.join("filler");
        let mut file = std::fs::File::create(&path).context("no file to fill a tmpfs with")?;
        let mut piece = 1 << 20;
        while piece > 0 {
            match file.write(&vec![b'x'; piece]) {
                Ok(1..) => {}
                // What does not fit as a whole may fit in part.
                Ok(0) | Err(_) => piece /= 2,
            }
        }
        Ok(Filler(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends as soon as it has read the end of the pipe; there is nobody to tell if it cannot be waited for.
        let _ = self.supervisor.wait();
    }
}

/// A file that takes the place of others until this is dropped.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        // A file system that is gone took it along.
        let _ = std::fs::remove_file(&self.0);
    }
}
