//! The command as its users meet it: what it prints, where, and with which exit code.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cofferdam::config::{MysqlConfig, VARIABLES};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::{command, plugins};
use serde_json::{Value, json};

/// The command with nothing else in its environment than the SQLite component.
fn cofferdam(arguments: &[&str]) -> Command {
    let mut command = Command::new(command::cofferdam().expect("the command compiles"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.env("COFFERDAM_PLUGIN", plugins::SQLITE).env("COFFERDAM_CACHE", plugins::CODE_CACHE);
    command
}

/// The same on a SQLite file.
fn on_file(folder: &SqliteFolder, arguments: &[&str]) -> Command {
    let mut command = cofferdam(arguments);
    command.env("DATABASE_PATH", folder.database());
    command
}

/// The same on a MySQL server.
fn on_server(config: &MysqlConfig, arguments: &[&str]) -> Command {
    let mut command = cofferdam(arguments);
    command
        .env("COFFERDAM_PLUGIN", plugins::MYSQL)
        .env("DATABASE_TYPE", "mysql")
        .env("MYSQL_HOST", &config.host)
        .env("MYSQL_PORT", config.port.to_string())
        .env("MYSQL_DATABASE", &config.database)
        .env("MYSQL_USERNAME", &config.username)
        .env("MYSQL_PASSWORD", config.password.expose());
    command
}

/// Runs it and wants this exit code.
#[track_caller]
fn run(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(status.code(), Some(code), "{command:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Runs it, wants success, and reads what it prints as JSON.
#[track_caller]
fn run_json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command, 0).0).expect("standard output is JSON")
}

/// Runs it, wants this exit code, nothing on standard output and one line on standard error.
#[track_caller]
fn run_wrong(command: &mut Command, code: i32, parts: &[&str]) {
    let (stdout, stderr) = run(command, code);
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

fn initialized() -> SqliteFolder {
    let folder = SqliteFolder::new().unwrap();
    run(&mut on_file(&folder, &["check"]), 0);
    folder
}

#[test]
fn every_command_explains_itself() {
    for path in [
        "check",
        "plugin inspect",
        "state get",
        "state list",
        "state put",
        "thread get",
        "thread list",
        "thread put",
        "thread cleanup",
        "demo",
    ] {
        let mut arguments: Vec<_> = path.split(' ').collect();
        arguments.push("--help");
        let (help, _) = run(&mut cofferdam(&arguments), 0);
        for part in ["Usage: ", "Example", "Exit codes"] {
            assert!(help.contains(part), "{path}: no {part} in {help}");
        }
        assert!(help.contains(&format!("\n  cofferdam {path}")), "{path}: no example of itself in {help}");
    }
}

#[test]
fn the_help_lists_every_variable_with_its_default() {
    let (help, _) = run(&mut cofferdam(&["--help"]), 0);
    for variable in VARIABLES {
        let default = variable.default.trim_matches(['(', ')']);
        assert!(help.contains(&format!("  {} [{default}]\n", variable.name)), "{}", variable.name);
    }
}

#[test]
fn the_readme_lists_every_variable_and_no_other() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let mut expected = String::new();
    for variable in VARIABLES {
        let default = match variable.default_value() {
            Some(value) => format!("`{value}`"),
            None => variable.default.trim_matches(['(', ')']).to_owned(),
        };
        writeln!(expected, "| `{}` | {default} | {} |", variable.name, variable.meaning).unwrap();
    }
    assert!(readme.contains(&expected), "README.md must contain this table:\n{expected}");
    let row = |line: &&str| {
        let name = line.strip_prefix("| `").and_then(|line| line.split('`').next()).unwrap_or_default();
        ["DATABASE_", "MYSQL_", "COFFERDAM_", "MESSAGE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    assert_eq!(readme.lines().filter(row).count(), VARIABLES.len());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &["state"],
        &["state", "get"],
        &["state", "put", "1"],
        &["state", "list", "--limit", "0"],
        &["state", "list", "--window", "5"],
        &["state", "list", "--window", "0s"],
        &["state", "put", "1", "--message", "2", "--seen", "yesterday"],
        &["thread", "cleanup"],
        &["thread", "cleanup", "--older-than", "30d"],
        &["check", "--timeout", "soon"],
        &["demo", "--kill-when", "never"],
        &[],
    ] {
        let (stdout, stderr) = run(&mut cofferdam(arguments), 2);
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.contains("Usage:") || stderr.contains("invalid value"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn all_mistakes_of_the_environment_come_in_one_message() {
    let wrong = |arguments: &[&str]| {
        let mut command = cofferdam(arguments);
        command
            .env("DATABASE_TYPE", "mysql")
            .env("MYSQL_PORT", "0")
            .env("MYSQL_PASSWORD_FILE", "/nowhere/password")
            .env("MYSQL_TIMEOUT", "30")
            .env("COFFERDAM_PLUGIN_SHA256", "abc")
            .env("MESSAGE_RECOVERY_WINDOW_MINUTES", "-5");
        command
    };
    let names = [
        "MYSQL_PORT",
        "MYSQL_USERNAME",
        "MYSQL_PASSWORD_FILE",
        "MYSQL_TIMEOUT",
        "COFFERDAM_PLUGIN_SHA256",
        "MESSAGE_RECOVERY_WINDOW_MINUTES",
    ];
    let (stdout, stderr) = run(&mut wrong(&["state", "list"]), 2);
    assert_eq!(stdout, "");
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), names.len(), "{stderr}");
    for (line, name) in lines.iter().zip(names) {
        assert!(line.starts_with(&format!("cofferdam: {name} ")), "{line}");
    }
    // A probe's message is one line.
    run_wrong(&mut wrong(&["check"]), 2, &names);
}

#[test]
fn a_wrong_log_filter_is_said() {
    run_wrong(cofferdam(&["state", "list"]).env("COFFERDAM_LOG", "a=b=c"), 2, &["COFFERDAM_LOG"]);
}

#[test]
fn check_creates_what_is_missing_and_reports() {
    let folder = SqliteFolder::new().unwrap();
    let (text, stderr) = run(&mut on_file(&folder, &["check"]), 0);
    let names: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["plugin", "server", "schema", "pool", "load", "initialize", "health"]);
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
fn a_plugin_says_what_it_is_without_a_database() {
    let inspection = run_json(&mut cofferdam(&["plugin", "inspect", plugins::MYSQL, "--json"]));
    assert_eq!(inspection["backend"]["name"], "mysql");
    assert_eq!(inspection["backend"]["engine"], "mysql");
    assert_eq!(inspection["size"], std::fs::metadata(plugins::MYSQL).unwrap().len());
    let imports = inspection["imports"].as_array().unwrap();
    assert!(imports.iter().any(|name| name.as_str().unwrap().starts_with("cofferdam:storage/sql@")), "{imports:?}");
    let (text, _) = run(&mut cofferdam(&["plugin", "inspect", plugins::MYSQL]), 0);
    for part in ["contract", "exports", "cofferdam:storage/storage@", inspection["sha256"].as_str().unwrap()] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // The digest is the one that a configuration takes.
    let folder = SqliteFolder::new().unwrap();
    let sqlite = run_json(&mut cofferdam(&["plugin", "inspect", plugins::SQLITE, "--json"]));
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
        run_wrong(&mut cofferdam(&["plugin", "inspect", &path]), 2, &[&path]);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commands_work_on_a_server() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    run_wrong(&mut on_server(&config, &["check", "--no-upgrade"]), 4, &["no tables yet"]);
    let report = run_json(&mut on_server(&config, &["check", "--json", "--timeout", "1m"]));
    assert_eq!((&report["plugin"]["name"], &report["server"]["engine"]), (&json!("mysql"), &json!("mysql")));
    run(&mut on_server(&config, &["check", "--no-upgrade", "--timeout", "1m"]), 0);
    run(&mut on_server(&config, &["state", "put", "c", "--message", "\u{1f980}"]), 0);
    let state = run_json(&mut on_server(&config, &["state", "get", "c", "--json"]));
    assert_eq!(state["last_message_id"], "\u{1f980}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_reported_with_its_cause() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    run_wrong(on_server(&config, &["check"]).env("MYSQL_PASSWORD", "wrong"), 1, &["permission-denied", "1045"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = MysqlConfig { port: closed, ..config };
    // With the five attempts of a bot this would take longer than the check may, and would not be the message.
    run_wrong(&mut on_server(&away, &["check"]), 3, &["unavailable", "MYSQL_"]);
    run_wrong(&mut on_server(&away, &["state", "list"]), 3, &["unavailable"]);
}

/// The configuration of a server that accepts connections and says nothing.
fn silent_server() -> (TcpListener, MysqlConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = MysqlConfig {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        database: "bot".into(),
        username: "bot".into(),
        password: cofferdam::config::Secret::new("hunter2-marker"),
        connect_timeout: Duration::from_secs(30),
        round_trip_timeout: Duration::from_secs(30),
        connect_attempts: 1,
        tls: cofferdam::config::Tls { mode: cofferdam::config::TlsMode::Preferred, ca: None },
    };
    (listener, config)
}

#[test]
fn check_does_not_wait_for_ever() {
    let (_listener, config) = silent_server();
    run_wrong(&mut on_server(&config, &["check", "--timeout", "2s"]), 3, &["check that the database"]);
}

#[test]
fn a_signal_ends_it() {
    let (listener, config) = silent_server();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut command = on_server(&config, &["check", "--timeout", "5m"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It has connected and waits for an answer, which does not come.
        let _connection = listener.accept().unwrap();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_shown_nowhere() {
    const MARKER: &str = "hunter2-marker";
    let folder = SqliteFolder::new().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{MARKER}\n")).unwrap();
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    let right = config.password.expose();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = MysqlConfig { port: closed, ..config.clone() };
    let with = |mut command: Command, name: &str, value: &str| {
        command.env(name, value);
        command
    };
    let wrong_file = || {
        let mut command = on_server(&config, &["check"]);
        command.env_remove("MYSQL_PASSWORD").env("MYSQL_PASSWORD_FILE", &file);
        command
    };
    for mut command in [
        on_server(&config, &["check"]),
        on_server(&config, &["check", "--json"]),
        with(on_server(&config, &["check"]), "MYSQL_PASSWORD", MARKER),
        with(on_server(&away, &["check"]), "MYSQL_PASSWORD", MARKER),
        with(with(on_server(&config, &["check"]), "MYSQL_PASSWORD", MARKER), "MYSQL_PORT", "x"),
        with(with(on_server(&config, &["check"]), "MYSQL_PASSWORD", MARKER), "MYSQL_TLS", "x"),
        with(on_server(&config, &["check"]), "MYSQL_HOST", &format!("mysql://bot:{MARKER}@db")),
        wrong_file(),
        with(wrong_file(), "MYSQL_PASSWORD", MARKER),
        with(wrong_file(), "MYSQL_DATABASE", "no_such_database"),
    ] {
        let output = command.env("RUST_LOG", "trace").output().unwrap();
        let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for secret in [MARKER, right] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_password_is_not_on_the_command_line_of_a_running_process() {
    let (listener, config) = silent_server();
    let mut child = on_server(&config, &["check", "--timeout", "5m"]).stderr(Stdio::null()).spawn().unwrap();
    let _connection = listener.accept().unwrap();
    let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = String::from_utf8_lossy(&line);
    assert!(line.contains("check") && !line.contains(config.password.expose()), "{line}");
}
