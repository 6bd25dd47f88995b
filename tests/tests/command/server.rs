//! On a MySQL server, whose password it keeps to itself.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use cofferdam::config::{HostPort, MysqlConfig};
use cofferdam_tests::harness::command::{on_mysql, run, run_wrong};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::json;

use crate::{run_json, silent_server};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commands_work_on_a_server() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    run_wrong(&mut on_mysql(&config, &["check", "--no-upgrade"]), 4, &["no tables yet"]);
    let report = run_json(&mut on_mysql(&config, &["check", "--json", "--timeout", "1m"]));
    assert_eq!((&report["plugin"]["name"], &report["server"]["engine"]), (&json!("mysql"), &json!("mysql")));
    run(&mut on_mysql(&config, &["check", "--no-upgrade", "--timeout", "1m"]), 0);
    run(&mut on_mysql(&config, &["state", "put", "c", "--message", "\u{1f980}"]), 0);
    let state = run_json(&mut on_mysql(&config, &["state", "get", "c", "--json"]));
    assert_eq!(state["last_message_id"], "\u{1f980}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_reported_with_its_cause() {
    let server = MysqlServer::shared().await.unwrap();
    let database = server.create_database(DatabaseOptions::default()).await.unwrap();
    let config = database.config();
    run_wrong(on_mysql(&config, &["check"]).env("MYSQL_PASSWORD", "wrong"), 1, &["permission-denied", "1045"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", closed)], ..config };
    // With the five attempts of a bot this would take longer than the check may, and would not be the message.
    run_wrong(&mut on_mysql(&away, &["check"]), 3, &["unavailable", "MYSQL_"]);
    run_wrong(&mut on_mysql(&away, &["state", "list"]), 3, &["unavailable"]);
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
    let away = MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", closed)], ..config.clone() };
    let with = |mut command: Command, name: &str, value: &str| {
        command.env(name, value);
        command
    };
    let wrong_file = || {
        let mut command = on_mysql(&config, &["check"]);
        command.env_remove("MYSQL_PASSWORD").env("MYSQL_PASSWORD_FILE", &file);
        command
    };
    for mut command in [
        on_mysql(&config, &["check"]),
        on_mysql(&config, &["check", "--json"]),
        with(on_mysql(&config, &["check"]), "MYSQL_PASSWORD", MARKER),
        with(on_mysql(&away, &["check"]), "MYSQL_PASSWORD", MARKER),
        with(with(on_mysql(&config, &["check"]), "MYSQL_PASSWORD", MARKER), "MYSQL_PORT", "x"),
        with(with(on_mysql(&config, &["check"]), "MYSQL_PASSWORD", MARKER), "MYSQL_TLS", "x"),
        with(on_mysql(&config, &["check"]), "MYSQL_HOST", &format!("mysql://bot:{MARKER}@db")),
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
    let mut child = on_mysql(&config, &["check", "--timeout", "5m"]).stderr(Stdio::null()).spawn().unwrap();
    let _connection = listener.accept().unwrap();
    let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = String::from_utf8_lossy(&line);
    assert!(line.contains("check") && !line.contains(config.password.expose()), "{line}");
}
