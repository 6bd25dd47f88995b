//! The demo as its users meet it: a bot that is killed loses nothing and answers nothing twice.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cofferdam::config::MysqlConfig;
use cofferdam_tests::harness::command::{self, run};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::plugins;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A place of its own for a demo's folder, and the command that uses it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn demo(&self, arguments: &[&str]) -> Command {
        self.here(command::on_sqlite(&[&["demo"], arguments].concat()))
    }

    fn demo_on(&self, config: &MysqlConfig, arguments: &[&str]) -> Command {
        self.here(command::on_mysql(config, &[&["demo"], arguments].concat()))
    }

    fn here(&self, mut command: Command) -> Command {
        command.env("TMPDIR", self.folder.path());
        command
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn left(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// Runs it with `--json` and wants everything to hold.
#[track_caller]
fn report(command: &mut Command) -> Value {
    let (stdout, stderr) = run(command.arg("--json"), 0);
    let report: Value = serde_json::from_str(&stdout).expect("standard output is JSON");
    assert_eq!(report["ok"], true, "{report}\n{stderr}");
    for name in ["lost", "answered_twice", "answered_unasked", "answered_out_of_order"] {
        assert_eq!(report[name], 0, "{name}: {report}\n{stderr}");
    }
    assert_eq!(report["answered"], report["addressed"]);
    for name in ["states", "ownerships"] {
        assert_eq!(report[name]["expected"], report[name]["right"], "{report}");
    }
    report
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_killed_bot_loses_nothing_and_leaves_nothing_behind() {
    let place = Place::new();
    let (stdout, stderr) = run(&mut place.demo(&[]), 0);
    assert_eq!(stderr, "");
    assert!(stdout.contains("with SIGKILL at event 100"), "{stdout}");
    let row = |name: &str| -> Vec<String> {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(&format!("{name}  "))).expect(name);
        line.trim_start()[name.len()..].split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(row("lost"), ["0", "ok"]);
    assert_eq!(row("answered twice"), ["0", "ok"]);
    // The first bot was killed between a reply and its record.
    assert_eq!(row("replies deduplicated by nonce"), ["1"]);
    assert_ne!(row("after recovery"), ["0"]);
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn the_moment_of_the_kill_does_not_matter() {
    for (index, moment) in ["event", "reply"].into_iter().enumerate() {
        for kill in [1, 2, 76, 77, 78, 400 + index, 777, 1226, 1500 + index, 1999, 2000] {
            let place = Place::new();
            report(&mut place.demo(&["--kill-when", moment, "--kill-at", &kill.to_string()]));
            assert_eq!(place.left(), Vec::<PathBuf>::new());
        }
    }
}

#[test]
fn a_bot_that_is_killed_again_while_it_recovers_loses_nothing() {
    for moment in ["event", "reply"] {
        let kills = "500,501,502,503,504,505,1000,1001,1002,1500";
        report(&mut Place::new().demo(&["--kill-when", moment, "--kill-at", kills, "--outage", "60"]));
    }
}

#[test]
fn more_missed_messages_than_a_page_holds_are_all_fetched() {
    let place = Place::new();
    let report = report(&mut place.demo(&["--kill-at", "300", "--outage", "1500"]));
    assert!(report["answered_after_recovery"].as_u64() > Some(300), "{report}");
}

#[test]
fn a_window_shorter_than_the_outage_is_found_out() {
    let place = Place::new();
    let mut command = place.demo(&["--outage", "900"]);
    let (stdout, stderr) = run(command.env("MESSAGE_RECOVERY_WINDOW_MINUTES", "1"), 1);
    assert!(stdout.contains("warning ") && stdout.contains("WRONG"), "{stdout}");
    assert!(stderr.contains("messages were lost"), "{stderr}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

#[test]
fn events_come_from_a_file_or_from_standard_input() {
    let place = Place::new();
    let events = std::fs::read_to_string(root().join("command/demo/events.ndjson")).unwrap();
    let first: String = events.split_inclusive('\n').take(700).collect();
    let file = place.file("events", first.as_bytes());
    let from_file = report(&mut place.demo(&["--events", file.to_str().unwrap()]));
    assert_eq!(from_file["events"], 700);
    let from_input = report(place.demo(&["--events", "-"]).stdin(std::fs::File::open(&file).unwrap()));
    assert_eq!(from_file["addressed"], from_input["addressed"]);
}

#[test]
fn the_committed_events_are_those_that_the_generator_makes() {
    let script = root().join("command/demo/make_events.py");
    let output =
        Command::new("python3").arg(script).output().expect("python3, which makes the demo's events, is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == std::fs::read(root().join("command/demo/events.ndjson")).unwrap());
}

#[test]
fn bad_events_are_refused_with_their_line() {
    const READY: &str = r#"{"op":0,"t":"READY","d":{"user":{"id":"9"}}}"#;
    let place = Place::new();
    let file = |name: &str, content: &[u8]| place.file(name, content).to_str().unwrap().to_owned();
    let with_ready = |line: &str| format!("{READY}\n{line}\n").into_bytes();
    for (path, problem) in [
        ("/nowhere/events".to_owned(), "/nowhere/events cannot be read"),
        (place.folder.path().to_str().unwrap().to_owned(), "directory"),
        (file("empty", b""), "contains no events"),
        (file("nobody", &with_ready("")), "no message is addressed to the bot 9"),
        (file("broken", &with_ready("{\"op\":0,\"t\":\"MESS")), "line 2: is not JSON"),
        (file("text", b"hello\n"), "line 1: is not JSON"),
        (file("binary", b"\xff\xfe\0\0"), "line 1: is not JSON"),
        (file("array", &with_ready("[0]")), "line 2: is no"),
        (
            file("fields", &with_ready(r#"{"op":0,"t":"MESSAGE_CREATE","d":{"id":"1","channel_id":"2"}}"#)),
            "line 2: MESSAGE_CREATE: missing field `author`",
        ),
        (file("no ready", r#"{"op":0,"t":"TYPING_START","d":{}}"#.as_bytes()), "no READY event"),
    ] {
        let (stdout, stderr) = run(&mut place.demo(&["--events", &path]), 2);
        assert_eq!(stdout, "");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(problem), "{stderr}");
    }
}

#[test]
fn a_kill_that_cannot_be_is_refused() {
    for kill in ["0", "2001"] {
        let (_, stderr) = run(&mut Place::new().demo(&["--kill-at", kill]), 2);
        assert!(stderr.contains("--kill-at") && stderr.contains("2000 events"), "{stderr}");
    }
}

#[test]
fn a_database_that_is_named_is_kept_and_can_be_used_again() {
    let place = Place::new();
    let path = place.folder.path().join("kept.db");
    let first = report(&mut place.demo(&["--database", path.to_str().unwrap()]));
    report(&mut place.demo(&["--database", path.to_str().unwrap()]));
    let rows: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM message_states", (), |row| row.get(0))
        .unwrap();
    assert_eq!(Some(rows), first["states"]["expected"].as_i64().map(|states| 2 * states));
}

#[test]
fn a_real_bots_database_is_not_touched() {
    let place = Place::new();
    let path = place.folder.path().join("real.db");
    report(place.demo(&[]).env("DATABASE_PATH", &path));
    assert!(!path.exists());
}

#[test]
fn a_folder_that_is_kept_is_named() {
    let place = Place::new();
    let (stdout, _) = run(&mut place.demo(&["--keep"]), 0);
    let kept = place.left();
    let [folder] = &kept[..] else { panic!("{kept:?}") };
    assert!(stdout.contains(folder.to_str().unwrap()), "{stdout}");
    let replies = std::fs::read_to_string(folder.join("replies.ndjson")).unwrap();
    assert!(replies.lines().count() > 300);
    assert!(folder.join("bot_state.db").is_file());
}

#[test]
fn a_bot_that_does_not_start_is_said_once_and_ends_the_demo() {
    let place = Place::new();
    let (_, stderr) = run(place.demo(&[]).env("COFFERDAM_PLUGIN", "/nowhere/sqlite.wasm"), 2);
    assert!(stderr.contains("/nowhere/sqlite.wasm") && stderr.contains("bot 1 ended with exit code 2"), "{stderr}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
}

/// The running processes whose parent this is, with their command lines.
fn children(parent: u32) -> Vec<(u32, String)> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        if status.lines().any(|line| line == format!("PPid:\t{parent}")) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            children.push((process, String::from_utf8_lossy(&line).into_owned()));
        }
    }
    children
}

/// Waits for the bot of a running demo.
fn bot_of(demo: &mut Child) -> (u32, String) {
    loop {
        let bot = children(demo.id()).into_iter().find(|(_, line)| line.contains("demo-bot"));
        if let Some(bot) = bot {
            return bot;
        }
        assert!(demo.try_wait().unwrap().is_none(), "the demo ended without a bot");
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_ends_the_demo_with_its_bot_and_its_folder() {
    let place = Place::new();
    let mut demo = place.demo(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (bot, _) = bot_of(&mut demo);
    assert!(Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().unwrap().success());
    let output = demo.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert_eq!(place.left(), Vec::<PathBuf>::new());
    // The kernel has the bot's end under way; what remains of it for a moment is not the demo any more.
    let alive = || std::fs::read_to_string(format!("/proc/{bot}/cmdline")).is_ok_and(|line| line.contains("demo-bot"));
    while alive() {
        std::thread::yield_now();
    }
}

#[test]
fn a_bot_whose_demo_is_gone_ends() {
    let mut bot = Command::new(command::cofferdam().unwrap());
    let folder = tempfile::tempdir().unwrap();
    bot.arg("demo-bot")
        .env_clear()
        .env("COFFERDAM_PLUGIN", plugins::SQLITE)
        .env("COFFERDAM_CACHE", plugins::CODE_CACHE);
    bot.env("DATABASE_PATH", folder.path().join("bot.db")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut bot = bot.spawn().unwrap();
    let mut gateway = bot.stdin.take().unwrap();
    gateway.write_all(b"{\"op\":0,\"s\":1,\"t\":\"TYPING_START\",\"d\":{}}\n").unwrap();
    drop(gateway);
    let output = bot.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(r#"{"heartbeat":1}"#), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_other_rows() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    let cofferdam = |arguments: &[&str]| command::on_mysql(&config, arguments);
    run(&mut cofferdam(&["check", "--timeout", "1m"]), 0);
    run(&mut cofferdam(&["state", "put", "real", "--message", "m", "--seen", "1700000000"]), 0);
    run(&mut cofferdam(&["thread", "put", "real", "--user", "u", "--bot", "b", "--made", "1500000000"]), 0);
    let rows = || -> Vec<Value> {
        [["state", "get"], ["thread", "get"]]
            .map(|[noun, verb]| {
                serde_json::from_str(&run(&mut cofferdam(&[noun, verb, "real", "--json"]), 0).0).unwrap()
            })
            .into()
    };
    let before = rows();
    let place = Place::new();
    let first = report(&mut place.demo_on(&config, &["--kill-at", "600,1200"]));
    report(&mut place.demo_on(&config, &["--kill-when", "event"]));
    assert_eq!(rows(), before);
    let stored: Value = serde_json::from_str(&run(&mut cofferdam(&["state", "list", "--json"]), 0).0).unwrap();
    let states = first["states"]["expected"].as_u64().unwrap();
    assert_eq!(json!(stored.as_array().unwrap().len()), json!(2 * states + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_reaches_the_bot_but_nobody_else() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    let place = Place::new();
    let mut command = place.demo_on(&config, &["--keep"]);
    let mut demo = command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Read all the time, so that a full pipe does not hold the demo up.
    let mut pipes = Vec::new();
    let (stdout, stderr) = (demo.stdout.take().unwrap(), demo.stderr.take().unwrap());
    pipes.push(std::thread::spawn(move || std::io::read_to_string(stdout).unwrap()));
    pipes.push(std::thread::spawn(move || std::io::read_to_string(stderr).unwrap()));
    let (_, line) = bot_of(&mut demo);
    assert!(demo.wait().unwrap().success());
    let mut shown = line;
    for pipe in pipes {
        shown += &pipe.join().unwrap();
    }
    for folder in place.left() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            shown += &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap());
        }
    }
    assert!(shown.contains("with SIGKILL"));
    assert!(!shown.contains(config.password.expose()), "the password was shown");
}
