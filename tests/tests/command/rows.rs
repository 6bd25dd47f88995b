//! Rows that are put, found, listed and removed.

use cofferdam_tests::harness::command::{run, run_wrong};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::{Value, json};

use crate::{on_file, run_json};

fn initialized() -> SqliteFolder {
    let folder = SqliteFolder::new().unwrap();
    run(&mut on_file(&folder, &["check"]), 0);
    folder
}

#[test]
fn states_are_put_found_and_listed() {
    let folder = initialized();
    run(&mut on_file(&folder, &["state", "put", "c", "--message", "m1", "--seen", "2026-01-31T12:00:00Z"]), 0);
    run(&mut on_file(&folder, &["state", "put", "t", "t", "--message", "m2", "--seen", "1769860801"]), 0);
    let stored = run_json(&mut on_file(&folder, &["state", "put", "now", "--message", "m3", "--json"]));
    assert_eq!(stored["thread_id"], Value::Null);

    let state = run_json(&mut on_file(&folder, &["state", "get", "c", "--json"]));
    assert_eq!(state["last_seen_timestamp"], 1_769_860_800);
    let (table, _) = run(&mut on_file(&folder, &["state", "get", "t", "t"]), 0);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert_eq!(lines[0].find("LAST SEEN"), lines[1].find("2026-01-31T12:00:01Z"), "{table}");

    let channels = |arguments: &[&str]| -> Vec<String> {
        let states = run_json(&mut on_file(&folder, arguments));
        states.as_array().unwrap().iter().map(|state| state["channel_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(channels(&["state", "list", "--json"]), ["now", "t", "c"]);
    assert_eq!(channels(&["state", "list", "--json", "--limit", "2"]), ["now", "t"]);
    assert_eq!(channels(&["state", "list", "--json", "--window", "5m"]), ["now"]);

    run_wrong(&mut on_file(&folder, &["state", "get", "t"]), 4, &["no state of channel t"]);
    run_wrong(&mut on_file(&folder, &["state", "get", "c", "other"]), 4, &["thread other"]);
}

#[test]
fn ownerships_are_put_found_listed_and_removed() {
    let folder = initialized();
    let put = |thread: &str, made: &[&str]| {
        let arguments = [&["thread", "put", thread, "--user", "u", "--bot", "b"], made].concat();
        run(&mut on_file(&folder, &arguments), 0);
    };
    put("old", &["--made", "2020-01-01T00:00:00Z"]);
    put("new", &[]);
    let ownership = run_json(&mut on_file(&folder, &["thread", "get", "old", "--json"]));
    assert_eq!(ownership["creation_time"], 1_577_836_800);
    assert_eq!((&ownership["original_user_id"], &ownership["created_by"]), (&json!("u"), &json!("b")));
    let removed = run_json(&mut on_file(&folder, &["thread", "cleanup", "--older-than", "720h", "--json"]));
    assert_eq!(removed, json!({ "removed": 1 }));
    run_wrong(&mut on_file(&folder, &["thread", "get", "old"]), 4, &["no ownership of thread old"]);
    let left = run_json(&mut on_file(&folder, &["thread", "list", "--json"]));
    assert_eq!((left.as_array().unwrap().len(), &left[0]["thread_id"]), (1, &json!("new")));
}

#[test]
fn ids_that_the_storage_refuses_are_wrong_usage() {
    let folder = initialized();
    let long = "x".repeat(256);
    for arguments in [
        &["state", "put", "", "--message", "m"][..],
        &["state", "put", "c", "", "--message", "m"],
        &["state", "put", "c", "--message", &long],
        &["state", "get", &long],
        &["thread", "get", ""],
    ] {
        run_wrong(&mut on_file(&folder, arguments), 2, &["invalid-input"]);
    }
}

#[test]
fn stored_text_does_not_reach_the_terminal_as_commands() {
    let folder = initialized();
    let (channel, message) = ("red\x1b[31m", "two\r\nlines\u{202e}");
    let (table, _) = run(&mut on_file(&folder, &["state", "put", channel, "--message", message]), 0);
    assert!(table.contains(r"red\u{1b}[31m") && table.contains(r"two\r\nlines\u{202e}"), "{table:?}");
    assert!(!table.contains(['\x1b', '\r', '\u{202e}']), "{table:?}");
    let state = run_json(&mut on_file(&folder, &["state", "get", channel, "--json"]));
    assert_eq!(state["last_message_id"], message);
    let (_, stderr) = run(&mut on_file(&folder, &["state", "get", "blue\x1b[34m"]), 4);
    assert!(!stderr.contains('\x1b'), "{stderr:?}");
}

#[test]
fn looking_at_a_database_does_not_create_one() {
    let folder = SqliteFolder::new().unwrap();
    for arguments in [&["state", "list"][..], &["thread", "list"], &["state", "put", "c", "--message", "m"]] {
        run_wrong(&mut on_file(&folder, arguments), 4, &[folder.database().to_str().unwrap()]);
        assert!(!folder.database().exists());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = initialized();
    run(&mut on_file(&folder, &["state", "put", "c", "--message", "m"]), 0);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = on_file(&folder, &["state", "list"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
