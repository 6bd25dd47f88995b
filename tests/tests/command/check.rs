//! The check of a database, and its end before it is done.

use std::process::{Command, Stdio};

use cofferdam_tests::harness::command::{on_mysql, run, run_wrong};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::{Value, json};

use crate::{on_file, run_json, silent_server};

#[test]
fn check_creates_what_is_missing_and_reports() {
    let folder = SqliteFolder::new().unwrap();
    let (text, stderr) = run(&mut on_file(&folder, &["check"]), 0);
    let names: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["plugin", "database", "server", "schema", "pool", "load", "initialize", "health"]);
    assert_eq!(stderr, "");
    let report = run_json(&mut on_file(&folder, &["check", "--json", "--no-upgrade"]));
    assert_eq!(report["ok"], true);
    assert_eq!(report["plugin"]["name"], "sqlite");
    assert_eq!(report["server"]["engine"], "sqlite");
    assert!(report["schema_version"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["pool"]["max"], 10);
}

#[test]
fn check_without_upgrade_creates_nothing() {
    let folder = SqliteFolder::new().unwrap();
    run_wrong(&mut on_file(&folder, &["check", "--no-upgrade"]), 4, &["DATABASE_PATH", "cofferdam check"]);
    assert!(!folder.database().exists());
    let output = on_file(&folder, &["check", "--no-upgrade", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["ok"], &report["error"]["exit_code"]), (&json!(false), &json!(4)));
}

#[test]
fn a_file_that_cannot_be_opened_has_one_remedy() {
    let folder = SqliteFolder::new().unwrap();
    std::os::unix::fs::symlink("/nowhere/bot.db", folder.database()).unwrap();
    let end = "which is not there and cannot be made: make it, or name another file [SQLITE_CANTOPEN]\n";
    let (_, stderr) = run(&mut on_file(&folder, &["check"]), 3);
    assert!(stderr.ends_with(end), "{stderr}");
}

#[test]
fn check_without_upgrade_leaves_an_old_schema_alone() {
    let folder = SqliteFolder::new().unwrap();
    let old = rusqlite::Connection::open(folder.database()).unwrap();
    old.execute_batch(
        "CREATE TABLE message_states (id INTEGER PRIMARY KEY AUTOINCREMENT, channel_id TEXT NOT NULL, thread_id TEXT NULL,
           last_message_id TEXT NOT NULL, last_seen_timestamp INTEGER NOT NULL, created_at INTEGER NOT NULL,
           updated_at INTEGER NOT NULL, UNIQUE(channel_id, thread_id));
         CREATE TABLE thread_ownerships (id INTEGER PRIMARY KEY AUTOINCREMENT, thread_id TEXT NOT NULL UNIQUE,
           original_user_id TEXT NOT NULL, created_by TEXT NOT NULL, creation_time INTEGER NOT NULL,
           created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
         INSERT INTO message_states VALUES (7, 'c', NULL, 'm', 1700000000, 1700000000, 1700000000);",
    )
    .unwrap();
    let schema = || -> Vec<String> {
        let mut statement = old.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = schema();
    run_wrong(&mut on_file(&folder, &["check", "--no-upgrade"]), 1, &["schema version 1", "cofferdam check"]);
    run_wrong(&mut on_file(&folder, &["state", "list"]), 1, &["schema version 1"]);
    assert_eq!(schema(), before);
    run(&mut on_file(&folder, &["check"]), 0);
    assert_ne!(schema(), before);
    let state = run_json(&mut on_file(&folder, &["state", "get", "c", "--json"]));
    assert_eq!((&state["last_message_id"], &state["last_seen_timestamp"]), (&json!("m"), &json!(1_700_000_000)));
}

#[test]
fn check_does_not_wait_for_ever() {
    let (_listener, config) = silent_server();
    run_wrong(&mut on_mysql(&config, &["check", "--timeout", "2s"]), 3, &["check that the database"]);
}

#[test]
fn a_signal_ends_it() {
    let (listener, config) = silent_server();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut command = on_mysql(&config, &["check", "--timeout", "5m"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It has connected and waits for an answer, which does not come.
        let _connection = listener.accept().unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}
