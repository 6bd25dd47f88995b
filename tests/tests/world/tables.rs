//! Tables that others made are what the operations rely on, are made so, or are refused by name.

mod mysql;
mod sqlite;

use std::process::Command;

use anyhow::Result;
use cofferdam_tests::harness::command::{on, on_sqlite, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use serde_json::Value;

/// It works, and prints this document.
#[track_caller]
fn json(home: &Home, arguments: &[&str]) -> Value {
    let (stdout, _) = run(on(home, arguments).arg("--json"), 0);
    serde_json::from_str(&stdout).expect("standard output is JSON")
}

/// It fails with `schema-mismatch` and says all of this.
#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    assert_says(&run(command, 1).1, parts);
}

#[track_caller]
fn assert_says(stderr: &str, parts: &[&str]) {
    for part in [&["schema-mismatch"], parts].concat() {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

/// `cofferdam migrate` between two databases, which ends with this exit code.
#[track_caller]
fn migrate(from: &Home, to: &Home, arguments: &[&str], code: i32) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let plugins = std::path::Path::new(plugins::SQLITE).parent().expect("components lie in a folder");
    let mut command = on_sqlite(&["migrate"]);
    command.args(arguments).args(["--from", &from.spec(), "--to", &to.spec()]).current_dir(folder.path());
    command.env_remove("COFFERDAM_PLUGIN").env("COFFERDAM_PLUGINS", plugins).env("MYSQL_TLS", "disabled");
    for home in [from, to] {
        if let Home::Mysql(database) = home {
            command.env("MYSQL_PASSWORD", database.config().password.expose());
        }
    }
    run(&mut command, code)
}

/// States as channel, thread, message and times, in the order of their keys.
type States = Vec<(String, Option<String>, String, [i64; 3])>;

/// The states of the databases that these tests make.
fn rows_of_made() -> States {
    let keys = [("AbC", None), ("other", Some("Thread".to_owned())), ("\u{e9}", None)];
    let rows = keys.into_iter().zip(0..).map(|((channel, thread), number): ((&str, _), i64)| {
        (channel.to_owned(), thread, format!("message {number}"), [100 + number, 200 + number, 300 + number])
    });
    rows.collect()
}

fn states(home: &Home) -> States {
    let text = |state: &Value, name: &str| state[name].as_str().map(str::to_owned);
    let number = |state: &Value, name: &str| state[name].as_i64().expect("a number");
    let listed = json(home, &["state", "list"]);
    let mut states: States = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|state| {
            let times = ["last_seen_timestamp", "created_at", "updated_at"].map(|name| number(state, name));
            let [channel, message] = ["channel_id", "last_message_id"].map(|name| text(state, name).expect("a text"));
            (channel, text(state, "thread_id"), message, times)
        })
        .collect();
    states.sort();
    states
}

/// What every usable database does: rows that differ in case, spaces or a thread alone are rows of their own, and what is moved
/// elsewhere is equal.
#[track_caller]
fn assert_works(home: &Home) -> Result<()> {
    let before = states(home);
    let keys = [("Key", None), ("key", None), ("key ", None), ("key", Some("T")), ("key", Some("t"))];
    for (number, (channel, thread)) in keys.iter().enumerate() {
        let message = format!("m{number}");
        let mut put = vec!["state", "put", channel];
        put.extend(thread);
        run(on(home, &put).args(["--message", &message, "--seen", "5000000000"]), 0);
    }
    for (number, (channel, thread)) in keys.iter().enumerate() {
        let mut get = vec!["state", "get", channel];
        get.extend(thread);
        assert_eq!(json(home, &get)["last_message_id"], format!("m{number}"), "{channel:?}, {thread:?}");
    }
    for thread in ["Own", "own"] {
        run(&mut on(home, &["thread", "put", thread, "--user", thread, "--bot", "b"]), 0);
        assert_eq!(json(home, &["thread", "get", thread])["original_user_id"], thread);
    }
    let after = states(home);
    assert_eq!(after.len(), before.len() + keys.len());
    assert!(before.iter().all(|row| after.contains(row)), "a row was changed: {before:?}, {after:?}");

    let folder = tempfile::tempdir()?;
    let snapshot = folder.path().join("snapshot.ndjson");
    run(on(home, &["export"]).arg(&snapshot), 0);
    let copy = Home::sqlite()?;
    run(&mut on(&copy, &["check"]), 0);
    run(on(&copy, &["import"]).arg(&snapshot), 0);
    assert_eq!(states(&copy), after);
    migrate(home, &copy, &["verify"], 0);
    run(&mut on(home, &["thread", "cleanup", "--older-than", "1ms"]), 0);
    Ok(())
}

/// Moving an untouched database elsewhere gives the same rows as upgrading it, and says that both are equal.
#[track_caller]
fn assert_moves(home: &Home, expected: &States) -> Result<()> {
    let elsewhere = Home::sqlite()?;
    migrate(home, &elsewhere, &["--execute"], 0);
    migrate(home, &elsewhere, &["verify"], 0);
    assert_eq!(&states(&elsewhere), expected);
    Ok(())
}
