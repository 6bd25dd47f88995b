//! The command as its users meet it: what it prints, where, and with which exit code.

mod check;
mod plugin;
mod rows;
mod server;
mod usage;

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cofferdam::config::{MysqlConfig, Secret, Tls, TlsMode};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::{command, plugins};
use serde_json::Value;

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

/// The configuration of a server that accepts connections and says nothing.
fn silent_server() -> (TcpListener, MysqlConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = MysqlConfig {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        database: "bot".into(),
        username: "bot".into(),
        password: Secret::new("hunter2-marker"),
        connect_timeout: Duration::from_secs(30),
        round_trip_timeout: Duration::from_secs(30),
        connect_attempts: 1,
        tls: Tls { mode: TlsMode::Preferred, ca: None },
    };
    (listener, config)
}
