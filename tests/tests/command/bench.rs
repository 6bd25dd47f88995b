//! Plugins side by side on databases that are made for it and removed, however it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use cofferdam::config::MysqlConfig;
use cofferdam_tests::harness::command::{heeding_signals, on_mysql, on_sqlite, run, run_wrong};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::plugins;
use mysql_async::prelude::Queryable as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run_json;

/// As short as a run can be that does everything.
const SHORT: [&str; 9] = ["bench", "--seconds", "0.2", "--warm-up", "0.05", "--rows", "150", "--callers", "3"];

/// Where folders for temporary files are made, so that those that are left are seen.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn set(&self, mut command: Command) -> Command {
        command.env("TMPDIR", self.0.path()).env("DATABASE_PATH", self.0.path().join("real.db"));
        command
    }

    fn left(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn bench(&self, arguments: &[&str]) -> Command {
        self.set(on_sqlite(&[&SHORT, arguments].concat()))
    }
}

/// A server on which nobody else measures, and how a bot without a database there reaches it.
async fn server() -> (MysqlServer, MysqlConfig) {
    let server = MysqlServer::start(&[]).await.unwrap();
    let config = server.create_database(DatabaseOptions::default()).await.unwrap().config();
    (server, MysqlConfig { database: "cofferdam_not_there".into(), ..config })
}

/// The databases that a measurement left, or that it had no business to make.
async fn left_on(server: &MysqlServer) -> Vec<String> {
    let mut administrator = server.administrator().await.unwrap();
    let names: Vec<String> = administrator.query("SHOW DATABASES").await.unwrap();
    administrator.disconnect().await.unwrap();
    names.into_iter().filter(|name| name.starts_with("cofferdam_bench_") || name == "cofferdam_not_there").collect()
}

/// What one plugin's part of a report must be like, whatever was measured.
#[track_caller]
fn assert_consistent(contestant: &Value) {
    let number = |kind: &str, name: &str| contestant[kind][name].as_u64().expect(name);
    for name in ["operations", "errors"] {
        assert_eq!(number("reads", name) + number("writes", name), number("all", name), "{contestant}");
    }
    let measured = contestant["measured_seconds"].as_f64().unwrap();
    assert!(measured >= 0.2, "{contestant}");
    for kind in ["reads", "writes", "all"] {
        let operations = number(kind, "operations") as f64;
        let per_second = contestant[kind]["per_second"].as_f64().unwrap();
        assert!((per_second * measured - operations).abs() < 0.01, "{contestant}");
        let seconds = &contestant[kind]["seconds"];
        let times: Vec<_> = ["p50", "p95", "p99", "max"].iter().filter_map(|name| seconds[name].as_f64()).collect();
        assert_eq!(times.len(), if operations > 0.0 { 4 } else { 0 }, "{contestant}");
        assert!(times.is_sorted() && times.iter().all(|time| *time > 0.0), "{contestant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_both_databases_are_measured_side_by_side() {
    let (server, config) = server().await;
    let place = Place::new();
    let mut command =
        place.set(on_mysql(&config, &[&SHORT[..], &["--json", plugins::SQLITE, plugins::MYSQL]].concat()));
    let report = run_json(&mut command);
    assert_eq!((&report["ok"], &report["errors"]), (&json!(true), &json!(0)));
    let settings = &report["settings"];
    for (name, value) in [("reads_percent", 80), ("writes_percent", 20), ("callers", 3), ("rows", 150), ("seed", 1)] {
        assert_eq!(settings[name], value, "{settings}");
    }
    assert_eq!(settings["seconds"], 0.2);
    let contestants = report["contestants"].as_array().unwrap();
    let names: Vec<_> = contestants.iter().map(|contestant| &contestant["name"]).collect();
    assert_eq!(names, [plugins::SQLITE, plugins::MYSQL]);
    for (contestant, engine) in contestants.iter().zip(["sqlite", "mysql"]) {
        assert_consistent(contestant);
        assert_eq!((&contestant["server"]["engine"], &contestant["plugin"]["name"]), (&json!(engine), &json!(engine)));
        for kind in ["reads", "writes"] {
            assert_ne!(contestant[kind]["operations"], 0, "{contestant}");
            assert_eq!(contestant[kind]["errors"], 0, "{contestant}");
        }
        assert_eq!((&contestant["wrong_rows"], &contestant["problems"]), (&json!(0), &json!([])));
    }
    assert_eq!((place.left(), left_on(&server).await), (Vec::new(), Vec::new()));
}

#[test]
fn a_table_has_a_row_for_each_plugin_and_kind() {
    let place = Place::new();
    let folder = std::path::Path::new(plugins::SQLITE).parent().unwrap();
    let mut command = place.bench(&["sqlite", plugins::SQLITE, "sqlite"]);
    let (stdout, stderr) = run(command.env("COFFERDAM_PLUGIN", plugins::MYSQL).env("COFFERDAM_PLUGINS", folder), 0);
    let lines: Vec<_> = stdout.lines().collect();
    assert!(lines[0].contains("80 % reads") && lines[0].contains("150 rows by 3 callers"), "{stdout}");
    assert!(lines[2].starts_with("PLUGIN ") && lines[2].ends_with(" ERRORS"), "{stdout}");
    let column = lines[2].find("OPERATION").unwrap();
    let rows: Vec<_> = lines[3..]
        .iter()
        .map(|line| (line[..column].split("  ").next().unwrap(), line[column..].split(' ').next().unwrap()))
        .collect();
    let expected = ["sqlite", plugins::SQLITE, "sqlite (2)"];
    let expected: Vec<_> =
        expected.iter().flat_map(|name| ["reads", "writes", "all"].map(|kind| (*name, kind))).collect();
    assert_eq!(rows, expected, "{stdout}");
    assert!(lines[3..].iter().all(|line| line.len() == lines[2].len() && line.ends_with(" 0")), "{stdout}");
    // Nobody looks at a terminal here, so nothing is rewritten.
    assert!(stderr.contains("measuring\n") && !stderr.contains(['\r', '\x1b']), "{stderr:?}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn the_mix_is_the_one_that_was_asked_for() {
    let place = Place::new();
    for (arguments, reads) in
        [(["--reads", "100"], true), (["--reads", "0"], false), (["--writes", "0"], true), (["--writes", "100"], false)]
    {
        let report = run_json(&mut place.bench(&[&["--json", plugins::SQLITE], &arguments[..]].concat()));
        let contestant = &report["contestants"][0];
        assert_consistent(contestant);
        let [asked, other] = if reads { ["reads", "writes"] } else { ["writes", "reads"] };
        assert_ne!(contestant[asked]["operations"], 0, "{contestant}");
        assert_eq!(contestant[other]["operations"], 0, "{contestant}");
    }
}

#[test]
fn few_rows_for_many_callers_are_answered_rightly() {
    let place = Place::new();
    let arguments =
        ["--json", "--rows", "1", "--callers", "40", "--writes", "50", "--warm-up", "0", "--seconds", "0.2"];
    let report = run_json(&mut place.set(on_sqlite(&[&["bench", plugins::SQLITE], &arguments[..]].concat())));
    assert_consistent(&report["contestants"][0]);
}

#[test]
fn what_cannot_be_measured_is_refused_with_one_message() {
    let place = Place::new();
    for (arguments, parts) in [
        (&["--reads", "101"][..], ["--reads", "101"]),
        (&["--writes", "-1"], ["--writes", "-1"]),
        (&["--reads", "80", "--writes", "20"], ["--reads", "--writes"]),
        (&["--callers", "0"], ["--callers", "0"]),
        (&["--rows", "0"], ["--rows", "0"]),
        (&["--seconds", "0"], ["--seconds", "0.001"]),
        (&["--seconds", "NaN"], ["--seconds", "NaN"]),
        (&["--seconds", "1e99"], ["--seconds", "86400"]),
        (&["--warm-up", "-1"], ["--warm-up", "-1"]),
        (&["--seed", "x"], ["--seed", "x"]),
    ] {
        let arguments = [&["bench", plugins::SQLITE], arguments].concat();
        let (stdout, stderr) = run(&mut place.set(on_sqlite(&arguments)), 2);
        assert!(stderr.starts_with("error: ") && stderr.matches("error: ").count() == 1, "{stderr}");
        assert!(stdout.is_empty() && parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
    let folder = place.0.path().to_str().unwrap();
    run_wrong(&mut place.bench(&["/nowhere/mine.wasm"]), 2, &["/nowhere/mine.wasm"]);
    run_wrong(&mut place.bench(&[plugins::SQLITE, "/nowhere/mine.wasm"]), 2, &["/nowhere/mine.wasm"]);
    run_wrong(&mut place.bench(&[folder]), 2, &[folder]);
    run_wrong(place.bench(&["mysql"]).env("COFFERDAM_PLUGINS", folder), 2, &["mysql.wasm", "COFFERDAM_PLUGINS"]);
    run_wrong(&mut place.bench(&["--folder", "/nowhere/else", plugins::SQLITE]), 2, &["/nowhere/else", "--folder"]);
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_mysql_plugin_without_a_server_is_said() {
    let place = Place::new();
    let mut command = place.bench(&[plugins::SQLITE, plugins::MYSQL]);
    run_wrong(&mut command, 2, &[plugins::MYSQL, "MYSQL_USERNAME", "MYSQL_PASSWORD"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    // Without MYSQL_HOST it is looked for on this machine.
    command.env("MYSQL_USERNAME", "u").env("MYSQL_PASSWORD", "hunter2-marker").env("MYSQL_PORT", port);
    run_wrong(&mut command, 3, &["unavailable", "localhost", "MYSQL_"]);
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn an_error_half_way_removes_what_was_made() {
    let place = Place::new();
    // It keeps no row.
    let (stdout, stderr) = run(&mut place.bench(&[plugins::SQLITE, plugins::guests::PANICS]), 1);
    assert!(stdout.is_empty() && stderr.contains("inserted 0 of 150 rows"), "{stderr}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_make_databases_is_told_what_it_needs() {
    let (server, config) = server().await;
    let mut administrator = server.administrator().await.unwrap();
    administrator.query_drop("CREATE USER visitor@'%' IDENTIFIED BY 'hunter2-marker'").await.unwrap();
    let place = Place::new();
    let arguments = [&SHORT[..], &[plugins::SQLITE, plugins::MYSQL]].concat();
    let mut command = place.set(on_mysql(&config, &arguments));
    command.env("MYSQL_USERNAME", "visitor").env("MYSQL_PASSWORD", "hunter2-marker");
    let grant = r"GRANT ALL ON `cofferdam\_bench\_%`.* TO";
    run_wrong(&mut command, 1, &["permission-denied", "1044", "cofferdam_bench_", grant]);
    // What the message says is enough.
    administrator.query_drop(format!("{grant} visitor@'%'")).await.unwrap();
    administrator.disconnect().await.unwrap();
    run(&mut command, 0);
    assert_eq!((place.left(), left_on(&server).await), (Vec::new(), Vec::new()));
    run_wrong(command.env("MYSQL_PASSWORD", "wrong"), 1, &["permission-denied", "1045", "MYSQL_"]);
}

/// Starts it, and waits until it says this.
fn started(command: &mut Command, saying: &str) -> (Child, BufReader<ChildStderr>) {
    let mut child = heeding_signals(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(saying) {
        assert_ne!(progress.read_line(&mut said).unwrap(), 0, "it ended without {saying:?}: {said}");
    }
    (child, progress)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_removes_what_was_made() {
    let (server, config) = server().await;
    let place = Place::new();
    let many = ["bench", plugins::SQLITE, plugins::MYSQL, "--rows", "1000000"];
    let long = ["bench", plugins::SQLITE, plugins::MYSQL, "--rows", "100", "--seconds", "3600"];
    let short = ["--warm-up", "0"];
    for (arguments, moment) in [(&many[..], "filling"), (&long[..], "measuring")] {
        for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
            let mut command = place.set(on_mysql(&config, &[arguments, &short[..]].concat()));
            let (mut child, mut progress) = started(&mut command, moment);
            assert_eq!((place.left().len(), left_on(&server).await.len()), (1, 1));
            assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
            let mut rest = String::new();
            progress.read_to_string(&mut rest).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code), "{rest}");
            assert_eq!((place.left(), left_on(&server).await), (Vec::new(), Vec::new()), "{rest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_and_names_what_is_left() {
    let (mut server, config) = server().await;
    let place = Place::new();
    let arguments = ["bench", plugins::SQLITE, plugins::MYSQL, "--rows", "100", "--seconds", "3600", "--warm-up", "0"];
    let (mut child, mut progress) = started(&mut place.set(on_mysql(&config, &arguments)), "measuring");
    let left = left_on(&server).await;
    let [database] = &left[..] else { panic!("{left:?}") };
    let Some(process) = server.process() else { panic!("a server of its own is needed, which can be stopped") };
    process.pause().unwrap();
    let interrupt = |child: &Child| {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    };
    interrupt(&child);
    let mut said = String::new();
    while !said.contains("removing") {
        assert_ne!(progress.read_line(&mut said).unwrap(), 0, "it ended without the second signal: {said}");
    }
    interrupt(&child);
    progress.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("left behind") && said.contains(database.as_str()), "{said}");
    process.resume().unwrap();
    // The other one was removed before, or goes with the command.
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_hangup_that_is_ignored_ends_nothing() {
    let place = Place::new();
    let mut command = place.set(Command::new("nohup"));
    let bench = place.set(on_sqlite(&["bench", plugins::SQLITE, "--rows", "100", "--seconds", "2", "--warm-up", "0"]));
    command.arg(bench.get_program()).args(bench.get_args()).env_clear();
    command.envs(bench.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    let (child, mut progress) = started(&mut command, "measuring");
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{rest}");
    assert!(!output.stdout.is_empty());
}

#[test]
fn wrong_answers_are_counted_and_shown() {
    let place = Place::new();
    let arguments = ["bench", "--json", "--rows", "100", "--warm-up", "0", "--seconds", "4", plugins::SQLITE];
    let (child, mut progress) = started(&mut place.set(on_sqlite(&arguments)), "measuring");
    let folders = place.left();
    let [folder] = &folders[..] else { panic!("{folders:?}") };
    let other = rusqlite::Connection::open(folder.join("bench.db")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    // Another process takes one half of the rows away and changes the other; what is written after that is right again.
    other
        .execute_batch(
            "BEGIN IMMEDIATE; DELETE FROM message_states WHERE thread_id IS NULL;
             UPDATE message_states SET last_seen_timestamp = 1; COMMIT",
        )
        .unwrap();
    drop(other);
    let mut stderr = String::new();
    progress.read_to_string(&mut stderr).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let contestant = &report["contestants"][0];
    assert_ne!(contestant["reads"]["errors"], 0, "{contestant}");
    assert_eq!(contestant["writes"]["errors"], 0, "{contestant}");
    assert_eq!(
        contestant["all"]["errors"].as_u64().unwrap() + contestant["wrong_rows"].as_u64().unwrap(),
        report["errors"].as_u64().unwrap()
    );
    for problem in ["a row was not found", "a row holds parts of two writes"] {
        assert!(stderr.contains(problem), "{stderr}");
    }
    // The last sentence says what happened most often, for who reads no more than that.
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("cofferdam: ") && last.contains("most of them of ") && last.contains("wrong answer: a row "),
        "{stderr}"
    );
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}
