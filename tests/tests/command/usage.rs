//! What it says of itself, and of mistakes in its arguments and its environment.

use std::path::Path;

use cofferdam::config::VARIABLES;
use cofferdam_tests::harness::command::{on_sqlite, run, run_wrong};

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
        "export",
        "import",
        "spool status",
        "spool replay",
        "spool export",
        "bench",
    ] {
        let mut arguments: Vec<_> = path.split(' ').collect();
        arguments.push("--help");
        let (help, _) = run(&mut on_sqlite(&arguments), 0);
        for part in ["Usage: ", "Example", "Exit codes"] {
            assert!(help.contains(part), "{path}: no {part} in {help}");
        }
        assert!(help.contains(&format!("\n  cofferdam {path}")), "{path}: no example of itself in {help}");
    }
}

#[test]
fn the_help_lists_every_variable_with_its_default() {
    let (help, _) = run(&mut on_sqlite(&["--help"]), 0);
    for variable in VARIABLES {
        let default = variable.default.trim_matches(['(', ')']);
        assert!(help.contains(&format!("  {} [{default}]\n", variable.name)), "{}", variable.name);
    }
}

#[test]
fn the_page_on_the_configuration_lists_every_variable_and_no_other() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    run(on_sqlite(&["generate"]).arg(folder.path()), 0);
    let table = std::fs::read_to_string(folder.path().join("doc/cofferdam/variables.md")).unwrap();
    assert!(
        page.contains(&table),
        "run `cargo xtask docs --write`: docs/configuration.md must contain this table:\n{table}"
    );
    let row = |line: &&str| {
        let name = line.strip_prefix("| `").and_then(|line| line.split('`').next()).unwrap_or_default();
        ["DATABASE_", "MYSQL_", "COFFERDAM_", "MESSAGE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    assert_eq!(page.lines().filter(row).count(), VARIABLES.len());
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
        &["bench"],
        &[],
    ] {
        let (stdout, stderr) = run(&mut on_sqlite(arguments), 2);
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.contains("Usage:") || stderr.contains("invalid value"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn all_mistakes_of_the_environment_come_in_one_message() {
    let wrong = |arguments: &[&str]| {
        let mut command = on_sqlite(arguments);
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
    run_wrong(on_sqlite(&["state", "list"]).env("COFFERDAM_LOG", "a=b=c"), 2, &["COFFERDAM_LOG"]);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("share");
    run(&mut on_sqlite(&["generate", place.to_str().unwrap()]), 0);
    let read = |file: &str| std::fs::read_to_string(place.join(file)).unwrap();
    let bash = place.join("bash-completion/completions/cofferdam.bash");
    assert!(std::process::Command::new("bash").arg("-n").arg(&bash).status().unwrap().success());
    for file in ["zsh/site-functions/_cofferdam", "fish/vendor_completions.d/cofferdam.fish", "man/man1/cofferdam.1"] {
        for command in ["check", "status", "serve", "migrate", "spool"] {
            assert!(read(file).contains(command), "{file}: {command}");
        }
    }
    assert!(read("man/man1/cofferdam-status.1").contains("administration socket"));
    run_wrong(&mut on_sqlite(&["generate", "/proc/nothing"]), 1, &["FOLDER", "/proc/nothing"]);
}
