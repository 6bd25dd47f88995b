//! Plugins that are inspected, refused and missing.

use cofferdam_tests::harness::command::{on_sqlite, run, run_wrong};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;

use crate::{on_file, run_json};

#[test]
fn a_plugin_says_what_it_is_without_a_database() {
    let inspection = run_json(&mut on_sqlite(&["plugin", "inspect", plugins::MYSQL, "--json"]));
    assert_eq!(inspection["backend"]["name"], "mysql");
    assert_eq!(inspection["backend"]["engine"], "mysql");
    assert_eq!(inspection["size"], std::fs::metadata(plugins::MYSQL).unwrap().len());
    let imports = inspection["imports"].as_array().unwrap();
    assert!(imports.iter().any(|name| name.as_str().unwrap().starts_with("cofferdam:storage/sql@")), "{imports:?}");
    let (text, _) = run(&mut on_sqlite(&["plugin", "inspect", plugins::MYSQL]), 0);
    for part in ["contract", "exports", "cofferdam:storage/storage@", inspection["sha256"].as_str().unwrap()] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // The digest is the one that a configuration takes.
    let folder = SqliteFolder::new().unwrap();
    let sqlite = run_json(&mut on_sqlite(&["plugin", "inspect", plugins::SQLITE, "--json"]));
    let digest = sqlite["sha256"].as_str().unwrap();
    run(on_file(&folder, &["check"]).env("COFFERDAM_PLUGIN_SHA256", digest.to_uppercase()), 0);
    run_wrong(on_file(&folder, &["check"]).env("COFFERDAM_PLUGIN_SHA256", "0".repeat(64)), 2, &[plugins::SQLITE]);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = SqliteFolder::new().unwrap();
    let component = std::fs::read(plugins::SQLITE).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for path in [
        "/nowhere/sqlite.wasm".to_owned(),
        folder.path().to_str().unwrap().to_owned(),
        file("text", b"I am no component.\n"),
        file("empty", b""),
        file("half", &component[..component.len() / 2]),
        file("module", b"\0asm\x01\0\0\0"),
        file("other", b"\0asm\x0d\0\x01\0"),
    ] {
        run_wrong(&mut on_sqlite(&["plugin", "inspect", &path]), 2, &[&path]);
        run_wrong(on_file(&folder, &["check"]).env("COFFERDAM_PLUGIN", &path), 2, &[&path]);
    }
    assert!(!folder.database().exists(), "nothing is asked of a database before the plugin is good");
}

#[test]
fn a_folder_without_the_plugin_is_named() {
    let folder = SqliteFolder::new().unwrap();
    let looked = folder.path().join("sqlite.wasm");
    let mut command = on_file(&folder, &["check"]);
    command.env_remove("COFFERDAM_PLUGIN").env("COFFERDAM_PLUGINS", folder.path());
    run_wrong(&mut command, 2, &[looked.to_str().unwrap(), "COFFERDAM_PLUGINS"]);
}
