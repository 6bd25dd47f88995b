//! The `cofferdam` command.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use cofferdam::config::MysqlConfig;

use super::plugins;
use super::storage::Home;

/// The variable that names a command to test instead of one built here.
pub const BINARY_VARIABLE: &str = "COFFERDAM_TEST_BIN";

const BOT: &str = "cofferdam-bot";
const DEMO: &str = "cofferdam-demo";

/// Where the command is: `COFFERDAM_TEST_BIN`, or it is built once in each process, which costs nothing where it
/// is up to date.
///
/// # Errors
///
/// It does not compile.
pub fn cofferdam() -> Result<PathBuf> {
    static BUILT: Built = Built::new();
    match std::env::var_os(BINARY_VARIABLE) {
        Some(path) => Ok(path.into()),
        None => built(&BUILT, &["cofferdam"]),
    }
}

/// Where the bot is: beside the command that `COFFERDAM_TEST_BIN` names, or it is built as the command is.
///
/// # Errors
///
/// It does not compile.
pub fn bot() -> Result<PathBuf> {
    static BUILT: Built = Built::new();
    beside(BOT).map_or_else(|| built(&BUILT, &[BOT]), Ok)
}

/// Where the demo is, with the bot and the command beside it: as for [`bot`].
///
/// # Errors
///
/// They do not compile.
pub fn demo() -> Result<PathBuf> {
    static BUILT: Built = Built::new();
    beside(DEMO).map_or_else(|| built(&BUILT, &[DEMO, BOT, "cofferdam"]), Ok)
}

/// The command with nothing else in its environment than the SQLite component.
///
/// # Panics
///
/// It does not compile.
#[track_caller]
pub fn on_sqlite(arguments: &[&str]) -> Command {
    let mut command = Command::new(cofferdam().expect("the command compiles"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.env("COFFERDAM_PLUGIN", plugins::SQLITE).env("COFFERDAM_CACHE", plugins::CODE_CACHE);
    command
}

/// The same command, which heeds signals also where whoever started the tests has them ignored, as `nohup` does.
pub fn heeding_signals(command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    wrapped.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    wrapped
}

/// The command with nothing else in its environment than the MySQL component and this server.
///
/// # Panics
///
/// It does not compile.
#[track_caller]
pub fn on_mysql(config: &MysqlConfig, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(arguments);
    command.env("COFFERDAM_PLUGIN", plugins::MYSQL).envs(mysql_environment(config));
    command
}

/// The command on the database of a test.
///
/// # Panics
///
/// It does not compile.
#[track_caller]
pub fn on(home: &Home, arguments: &[&str]) -> Command {
    match home {
        Home::Sqlite(folder) => {
            let mut command = on_sqlite(arguments);
            command.env("DATABASE_PATH", folder.database());
            command
        }
        Home::Mysql(database) => on_mysql(&database.config(), arguments),
    }
}

/// The variables that name this server and its database.
pub fn mysql_environment(config: &MysqlConfig) -> [(&'static str, String); 7] {
    let hosts: Vec<_> = config.hosts.iter().map(ToString::to_string).collect();
    [
        ("DATABASE_TYPE", "mysql".to_owned()),
        ("MYSQL_HOST", hosts.join(",")),
        ("MYSQL_HOST_POLICY", config.host_policy.name().to_owned()),
        ("MYSQL_DATABASE", config.database.clone()),
        ("MYSQL_USERNAME", config.username.clone()),
        ("MYSQL_PASSWORD", config.password.expose().to_owned()),
        ("MYSQL_TLS", config.tls.mode.name().to_owned()),
    ]
}

/// Runs it, wants this exit code, and returns what it wrote to standard output and to standard error.
///
/// # Panics
///
/// It does not start, ends with another exit code, or writes what is no UTF-8.
#[track_caller]
pub fn run(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = |bytes| String::from_utf8(bytes).expect("the command writes UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "{command:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// Runs it, wants this exit code, nothing on standard output and one line on standard error with all of these parts.
///
/// # Panics
///
/// As [`run`], and where it says something else.
#[track_caller]
pub fn run_wrong(command: &mut Command, code: i32, parts: &[&str]) {
    let (stdout, stderr) = run(command, code);
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

type Built = OnceLock<Result<PathBuf, String>>;

/// A program beside the command that `COFFERDAM_TEST_BIN` names.
fn beside(program: &str) -> Option<PathBuf> {
    let command = std::env::var_os(BINARY_VARIABLE).map(PathBuf::from)?;
    Some(command.with_file_name(program)).filter(|path| path.is_file())
}

/// Builds programs, once in this process, and says where the first is.
fn built(built: &Built, programs: &[&str]) -> Result<PathBuf> {
    let build = || build(programs).map_err(|error| format!("{error:#}"));
    Ok(built.get_or_init(build).clone().map_err(anyhow::Error::msg)?.join(programs[0]))
}

/// Builds programs, and says in which folder they are.
fn build(programs: &[&str]) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet"])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .args(["--target-dir", plugins::TARGET_DIR])
        // The workspace's folder, so that cargo takes the same features as for the tests.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What cargo says of this package to its tests. Build scripts that look at it would run again, and what depends on
    // them would be compiled again, here and at the next build of the tests.
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    if plugins::PROFILE == "release" {
        command.arg("--release");
    }
    let output = command.output().context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "{} does not compile:\n{}",
        programs.join(", "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok([plugins::TARGET_DIR, plugins::PROFILE].iter().collect())
}
