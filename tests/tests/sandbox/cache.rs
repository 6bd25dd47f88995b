//! The cache of compiled code: anything wrong with it means compiling again, and still working.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cofferdam::{Storage, StorageService};
use cofferdam_tests::harness::plugins::guests;
use cofferdam_tests::harness::sqlite::SqliteFolder;

use crate::rig::{LIMITS, assert_error, sqlite_config};

struct Cache {
    home: SqliteFolder,
}

impl Cache {
    fn new() -> Result<Self> {
        Ok(Self { home: SqliteFolder::new()? })
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("cache")
    }

    /// Loads a guest with this cache, and requires that it is the guest: the one that panics and no other does.
    async fn load(&self, guest: &str) -> Result<()> {
        let folder = SqliteFolder::new()?;
        let mut config = sqlite_config(&folder, guest);
        config.cache = Some(self.folder());
        let storage = Storage::builder(config).limits(LIMITS).build()?;
        storage.initialize().await?;
        let outcome = storage.get_message_state("c", None).await;
        if guest == guests::PANICS {
            assert_error(&outcome, cofferdam::ErrorKind::Internal, &["it panicked"]);
        } else {
            outcome?;
        }
        storage.health_check().await?;
        Ok(())
    }

    /// The one file in the cache, and what tells whether it was written again.
    fn file(&self) -> Result<(PathBuf, (u64, i64, i64))> {
        let files = files(&self.folder())?;
        assert_eq!(files.len(), 1, "{files:?}");
        let metadata = fs::metadata(&files[0])?;
        Ok((files[0].clone(), (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())))
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} was not made", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[tokio::test]
async fn a_second_load_takes_what_the_first_kept() -> Result<()> {
    let cache = Cache::new()?;
    cache.load(guests::PANICS).await?;
    let (path, first) = cache.file()?;
    assert_eq!(fs::metadata(cache.folder())?.mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o600);
    cache.load(guests::PANICS).await?;
    assert_eq!(cache.file()?, (path, first), "it was written again");
    Ok(())
}

/// Keeps compiled code, lets `damage` do something to it, and requires that it is made anew.
async fn is_made_anew_after(damage: impl FnOnce(&Path, Vec<u8>) -> Result<()>) -> Result<()> {
    let cache = Cache::new()?;
    cache.load(guests::PANICS).await?;
    let (path, _) = cache.file()?;
    let whole = fs::read(&path)?;
    damage(&path, whole.clone())?;
    let (_, damaged) = cache.file()?;
    cache.load(guests::PANICS).await?;
    let (again, renewed) = cache.file()?;
    assert_eq!(again, path);
    assert_ne!(renewed, damaged, "what was damaged is still there");
    assert_eq!(fs::read(&path)?.len(), whole.len());
    cache.load(guests::PANICS).await
}

#[tokio::test]
async fn damaged_code_is_compiled_again() -> Result<()> {
    for place in [0.0, 0.1, 0.5, 0.9, 0.9999] {
        is_made_anew_after(|path, mut content| {
            let byte = (content.len() as f64 * place) as usize;
            content[byte] ^= 1;
            Ok(fs::write(path, content)?)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn truncated_code_is_compiled_again() -> Result<()> {
    for kept in [0, 1, 31, 32, 33, 10_000] {
        is_made_anew_after(|path, content| Ok(fs::write(path, &content[..kept])?)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_code_of_another_plugin_is_compiled_again() -> Result<()> {
    let other = Cache::new()?;
    other.load(guests::OPENS_FILE).await?;
    let (other, _) = other.file()?;
    is_made_anew_after(|path, _| {
        fs::remove_file(path)?;
        fs::copy(other, path)?;
        Ok(())
    })
    .await
    .context("the plugin that is loaded is the one that was asked for")
}

#[tokio::test]
async fn a_folder_that_others_can_enter_is_not_used() -> Result<()> {
    for mode in [0o755, 0o750, 0o777, 0o701] {
        let cache = Cache::new()?;
        cache.load(guests::PANICS).await?;
        let (path, _) = cache.file()?;
        fs::write(&path, "anything")?;
        fs::set_permissions(cache.folder(), Permissions::from_mode(mode))?;
        let (_, before) = cache.file()?;
        cache.load(guests::PANICS).await?;
        assert_eq!(cache.file()?, (path, before), "mode {mode:o}: the folder was used");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_others_can_write_is_not_used() -> Result<()> {
    for mode in [0o666, 0o620] {
        is_made_anew_after(|path, _| Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_a_folder_is_lived_with() -> Result<()> {
    let cache = Cache::new()?;
    cache.load(guests::PANICS).await?;
    let (path, _) = cache.file()?;
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    cache.load(guests::PANICS).await
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_is_lived_with() -> Result<()> {
    let cache = Cache::new()?;
    fs::write(cache.folder(), "a file")?;
    cache.load(guests::PANICS).await
}
