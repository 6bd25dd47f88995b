//! The command as its users meet it: what it prints, where, and with which exit code.

mod bench;
mod check;
mod plugin;
mod rows;
mod server;
mod usage;

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use cofferdam::config::{HostPolicy, HostPort, MysqlConfig, Secret, Tls, TlsMode};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::Value;

/// The command on a SQLite file.
fn on_file(folder: &SqliteFolder, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(arguments);
    command.env("DATABASE_PATH", folder.database());
    command
}

/// Runs it, wants success, and reads what it prints as JSON.
#[track_caller]
fn run_json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command, 0).0).expect("standard output is JSON")
}

/// The configuration of a server that accepts connections and says nothing.
fn silent_server() -> (TcpListener, MysqlConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = MysqlConfig {
        hosts: vec![HostPort::new("127.0.0.1", listener.local_addr().unwrap().port())],
        host_policy: HostPolicy::Ordered,
        database: "bot".into(),
        username: "bot".into(),
        password: Secret::new("hunter2-marker"),
        password_file: None,
        connect_timeout: Duration::from_secs(30),
        round_trip_timeout: Duration::from_secs(30),
        connect_attempts: 1,
        tls: Tls { mode: TlsMode::Preferred, ca: None },
    };
    (listener, config)
}
