use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use cofferdam::config::{Config, PluginSource};
use cofferdam::plugin::{Embedded, Limits};
use cofferdam::{StartError, Storage};
use cofferdam_tests::harness::plugins::guests;
use cofferdam_tests::harness::sqlite::SqliteFolder;

use crate::rig::{LIMITS, sqlite_config};

/// Requires that a component is refused with one sentence that names its file and has these words, and that nothing
/// was done about the database.
#[track_caller]
fn assert_refused(plugin: &Path, words: &[&str]) {
    assert_refused_with(plugin, words, LIMITS, |_| {});
}

#[track_caller]
fn assert_refused_with(plugin: &Path, words: &[&str], limits: Limits, change: impl FnOnce(&mut Config)) {
    let folder = SqliteFolder::new().expect("a folder");
    let mut config = sqlite_config(&folder, "");
    config.plugin = PluginSource::File(plugin.to_owned());
    change(&mut config);
    let refusal = Storage::builder(config).limits(limits).build().err();
    let Some(StartError::Plugin(error)) = refusal else { panic!("{} was taken", plugin.display()) };
    let message = error.to_string();
    let file = plugin.to_string_lossy();
    for word in words.iter().copied().chain([&*file]) {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert!(!message.contains('\n') && message.len() < 600, "one sentence: {message}");
    assert!(!folder.database().exists(), "the database was touched");
}

#[test]
fn a_program_may_bring_a_component_of_its_own() {
    let folder = SqliteFolder::new().expect("a folder");
    let build = |component| {
        let mut config = sqlite_config(&folder, "");
        config.plugin = PluginSource::Embedded(Embedded::new("mine", component));
        Storage::builder(config).limits(LIMITS).build()
    };
    let storage = build(cofferdam_backends::SQLITE).expect("the component is sound");
    assert_eq!(storage.backend().name, "sqlite");
    assert_eq!(storage.plugin().origin.to_string(), "mine (embedded)");
    assert_eq!(storage.plugin().size, cofferdam_backends::SQLITE.len() as u64);
    let refusal = build(cofferdam_backends::MYSQL).err().expect("the other database is configured").to_string();
    assert!(refusal.starts_with("plugin mine (embedded) is a backend for mysql"), "{refusal}");
    let refusal = build(b"").err().expect("there is no component").to_string();
    assert!(refusal.starts_with("mine (embedded) is not a WebAssembly component (it is empty)"), "{refusal}");
}

/// A file of one's own with this content.
fn file(name: &str, content: &[u8]) -> Result<(SqliteFolder, PathBuf)> {
    let folder = SqliteFolder::new()?;
    let path = folder.path().join(name);
    fs::write(&path, content)?;
    Ok((folder, path))
}

pub mod other_version {
    use super::*;

    #[test]
    fn is_refused() {
        assert_refused(
            Path::new(guests::OTHER_VERSION),
            &[
                "speaks cofferdam:storage 0.3.0, this host speaks 0.2.0",
                "use a plugin built for 0.2.0, or update the host",
            ],
        );
    }
}

pub mod lacks_export {
    use super::*;

    #[test]
    fn is_refused() {
        let words = ["does not export cofferdam:storage/storage@0.2.0", "build it with cofferdam-guest"];
        assert_refused(Path::new(guests::LACKS_EXPORT), &words);
    }
}

pub mod forbidden_import {
    use super::*;

    #[test]
    fn is_refused() {
        let words = ["imports example:forbidden/thing", "grants to no backend", "build it against cofferdam:storage"];
        assert_refused(Path::new(guests::FORBIDDEN_IMPORT), &words);
    }
}

pub mod altered_types {
    use super::*;

    #[test]
    fn are_refused() {
        let words =
            ["does not match the contract", "expected record of 4 fields, found 5 fields", "rebuild it with the wit/"];
        assert_refused(Path::new(guests::ALTERED_TYPES), &words);
    }
}

pub mod describe_traps {
    use super::*;

    #[test]
    fn is_refused() {
        assert_refused(Path::new(guests::DESCRIBE_TRAPS), &["fails immediately", "it panicked"]);
    }

    #[tokio::test]
    async fn is_refused_within_a_runtime() {
        assert_refused(Path::new(guests::DESCRIBE_TRAPS), &["fails immediately", "it panicked"]);
    }
}

pub mod describe_loops {
    use super::*;

    #[test]
    fn is_refused() {
        let limits = Limits { compute: Duration::from_millis(200), ..LIMITS };
        let words = ["fails immediately", "computed for more than 200 ms"];
        assert_refused_with(Path::new(guests::DESCRIBE_LOOPS), &words, limits, |_| {});
    }
}

pub mod describe_lies {
    use super::*;

    #[test]
    fn is_refused() {
        assert_refused(Path::new(guests::DESCRIBE_LIES), &["fails immediately", "its name"]);
    }
}

mod files {
    use super::*;

    #[test]
    fn a_missing_file_is_refused() {
        assert_refused(Path::new("/nowhere/at/all.wasm"), &["cannot read plugin", "No such file"]);
    }

    #[test]
    fn an_empty_file_is_refused() -> Result<()> {
        let (_folder, path) = file("empty.wasm", b"")?;
        assert_refused(&path, &["is not a WebAssembly component", "it is empty", "wasm32-wasip2"]);
        Ok(())
    }

    #[test]
    fn a_text_is_refused() -> Result<()> {
        let (_folder, path) = file("text.wasm", b"(component)")?;
        assert_refused(&path, &["is not a WebAssembly component", "does not begin like WebAssembly", "wasm32-wasip2"]);
        Ok(())
    }

    #[test]
    fn a_core_module_is_refused() -> Result<()> {
        let (_folder, path) = file("core.wasm", b"\0asm\x01\0\0\0")?;
        assert_refused(&path, &["is not a WebAssembly component", "it is a core module", "wasm32-wasip2"]);
        Ok(())
    }

    #[test]
    fn a_truncated_component_is_refused_wherever_it_ends() -> Result<()> {
        let whole = fs::read(guests::PANICS)?;
        for sixteenths in 0..16 {
            let (_folder, path) = file("truncated.wasm", &whole[..whole.len() * sixteenths / 16])?;
            // One that ends between two sections is sound, but lacks the exports, which come last.
            assert_refused(&path, &["component"]);
        }
        Ok(())
    }

    #[test]
    fn a_component_whose_code_is_damaged_is_refused() -> Result<()> {
        let mut content = fs::read(guests::PANICS)?;
        let middle = content.len() / 2;
        content[middle - 512..middle + 512].fill(0xff);
        let (_folder, path) = file("damaged.wasm", &content)?;
        // Whether the code is damaged or what is around it depends on what lies in the middle.
        assert_refused(&path, &["damaged.wasm", "WebAssembly"]);
        Ok(())
    }
}

mod expectations {
    use super::*;

    const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn another_checksum_is_refused() {
        let words = ["has SHA-256", WRONG, "COFFERDAM_PLUGIN_SHA256"];
        let change = |config: &mut Config| config.plugin_sha256 = Some(WRONG.into());
        assert_refused_with(Path::new(guests::PANICS), &words, LIMITS, change);
    }

    #[test]
    fn the_right_checksum_is_taken_in_either_case() -> Result<()> {
        let folder = SqliteFolder::new()?;
        let sha256 = cofferdam::plugin::inspect(Path::new(guests::PANICS))?.sha256;
        let mut config = sqlite_config(&folder, guests::PANICS);
        config.plugin_sha256 = Some(sha256.to_uppercase());
        Storage::builder(config).limits(LIMITS).build()?;
        Ok(())
    }

    #[test]
    fn a_plugin_for_another_database_is_refused() {
        let words = ["is a backend for mysql, but DATABASE_TYPE is sqlite", "or change DATABASE_TYPE"];
        assert_refused(Path::new(guests::SLEEPING_QUERY), &words);
    }

    #[test]
    fn a_plugin_with_a_table_over_the_limit_is_refused() {
        let limits = Limits { table_elements: 4, ..LIMITS };
        assert_refused_with(Path::new(guests::PANICS), &["table"], limits, |_| {});
    }

    #[test]
    fn a_plugin_with_more_memory_than_the_limit_is_refused() {
        let limits = Limits { memory: 64 << 10, ..LIMITS };
        assert_refused_with(Path::new(guests::PANICS), &["memory"], limits, |_| {});
    }
}

pub mod newer_schema {
    use std::sync::Arc;

    use anyhow::Result;
    use cofferdam::clock::SystemClock;
    use cofferdam::config::PluginSource;
    use cofferdam::{ErrorKind, Storage, StorageService};
    use cofferdam_tests::harness::plugins::guests;
    use cofferdam_tests::harness::storage::Home;

    #[tokio::test]
    async fn upgrades_a_file_that_the_backend_before_refuses_then() -> Result<()> {
        let home = Home::sqlite()?;
        home.open().await?.close().await?;
        let mut config = home.config();
        config.plugin = PluginSource::File(guests::NEWER_SCHEMA.into());
        let newer = Storage::builder(config).build()?;
        newer.initialize().await?;
        assert_eq!(newer.schema_version().await?, Some(newer.backend().schema_version));
        newer.health_check().await?;
        newer.close().await?;
        let before = home.storage(Arc::new(SystemClock))?;
        assert_eq!(before.initialize().await.unwrap_err().kind(), ErrorKind::SchemaMismatch);
        Ok(())
    }
}
