use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::engine::Engine;
use crate::limit;

/// Bytes of the SHA-256 at the end of a cached file.
const DIGEST: usize = 32;

/// Compiled code on disk, in a folder that only this user can read or write.
///
/// A file is named by the SHA-256 of the component and a hash of everything in the engine that changes what it
/// compiles to, and ends with the SHA-256 of its own name and content, so that a file under another's name is
/// noticed.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made, or another user could have put a file there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        make(folder)?;
        let metadata = fs::metadata(folder)?;
        // A fresh file's owner is this process's user; asking the system for its id would need a dependency.
        let probe = folder.join(format!(".probe-{}", unique()));
        let owner = create(&probe).and_then(|file| file.metadata()).map(|metadata| metadata.uid());
        fs::remove_file(&probe).ok();
        if metadata.uid() != owner? {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "other users can enter the folder: its mode must be 700",
            ));
        }
        Ok(Self { folder: folder.into() })
    }

    fn file(&self, engine: &Engine, sha256: &str) -> PathBuf {
        let mut hasher = DigestHasher(Sha256::new());
        std::hash::Hash::hash(&engine.wasmtime().precompile_compatibility_hash(), &mut hasher);
        self.folder.join(format!("{sha256}-{:016x}.cwasm", std::hash::Hasher::finish(&hasher)))
    }

    /// The compiled component, if it is there and whole. A damaged file is removed.
    pub(super) fn load(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let file = self.file(engine, sha256);
        let metadata = fs::symlink_metadata(&file).ok()?;
        let private = metadata.is_file() && metadata.mode() & 0o077 == 0;
        // What cannot be read now is not damaged.
        let content = if private { fs::read(&file).ok()? } else { Vec::new() };
        let code = content.split_last_chunk::<DIGEST>();
        let code = code.filter(|(code, digest)| private && self::digest(&file, code)[..] == digest[..]);
        let component = code.map(|(code, _)| {
            // SAFETY: `deserialize` must be given what `serialize` of a compatible engine produced. The file
            // lies in a folder that only this user can write (checked in `open`), is named by the
            // compatibility hash of this engine, and its name and content are those that `store` wrote, to the
            // last bit, by their SHA-256.
            unsafe { Component::deserialize(engine.wasmtime(), code) }
        });
        let component = match component {
            Some(Err(error)) if limit::of_text(&format!("{error:#}")).is_some() => return None,
            component => component.and_then(Result::ok),
        };
        if component.is_none() {
            tracing::warn!(file = %file.display(), "cached code is damaged or accessible to other users; compiling \
                again");
            fs::remove_file(&file).ok();
        }
        component
    }

    /// Keeps a compiled component. Another process that does the same at the same time does no harm.
    pub(super) fn store(&self, engine: &Engine, sha256: &str, component: &Component) -> io::Result<()> {
        let mut content = component.serialize().map_err(io::Error::other)?;
        let file = self.file(engine, sha256);
        let digest = digest(&file, &content);
        content.extend_from_slice(&digest);
        let temporary = self.folder.join(format!(".{}", unique()));
        let written = create(&temporary).and_then(|mut file| file.write_all(&content));
        let stored = written.and_then(|()| fs::rename(&temporary, &file));
        if stored.is_err() {
            fs::remove_file(&temporary).ok();
        }
        stored
    }
}

/// Makes a folder and those above it. Not in a folder of another user's who alone writes there: as root it would be in their
/// way, as `~/.cache` is where somebody became root and kept their HOME.
fn make(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let above =
            fs::metadata(folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        if above.uid() != fs::metadata(folder)?.uid() && above.mode() & 0o022 == 0 {
            fs::remove_dir(folder)?;
            let message =
                format!("{} belongs to another user, who would get a folder of this one's in it", above_of(folder));
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    Ok(())
}

fn above_of(folder: &Path) -> String {
    folder.parent().unwrap_or(folder).display().to_string()
}

/// The SHA-256 of a file's name and the code in it.
fn digest(file: &Path, code: &[u8]) -> [u8; DIGEST] {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    Sha256::new().chain_update(name).chain_update([0]).chain_update(code).finalize().into()
}

fn create(file: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

/// A name that no other process or thread uses.
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Feeds what implements `Hash` to SHA-256; the standard hasher differs between versions of Rust.
struct DigestHasher(Sha256);

impl std::hash::Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
