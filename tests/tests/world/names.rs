//! Names that nobody meant: each is refused with the name as it was received, and no file comes of it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cofferdam_tests::harness::command::{on_mysql, on_sqlite, run};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::Value;

/// The command in a folder, with nothing in its environment but a home.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(arguments);
    command.current_dir(folder).env("HOME", "/home/bot");
    command
}

/// Everything under a folder, by its path.
fn files(folder: &Path) -> Vec<OsString> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry.clone());
            }
            found.push(entry.into_os_string());
        }
    }
    found.sort();
    found
}

/// Runs it, wants exit code 2 and one line with these parts, and that no file came or went.
#[track_caller]
fn refused(folder: &Path, command: &mut Command, parts: &[&str]) {
    let before = files(folder);
    let (stdout, stderr) = run(command, 2);
    assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"), "{stdout}{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{command:?}: no {part:?} in: {stderr}");
    }
    assert_eq!(files(folder), before, "{command:?}");
}

/// A name as it is received, as it is shown, and a part of what is said of it.
const NAMES: [(&str, &str, &str); 44] = [
    (
        "./bot.db?_journal_mode=WAL&_busy_timeout=5000",
        "\"./bot.db?_journal_mode=WAL&_busy_timeout=5000\"",
        "write ./bot.db",
    ),
    ("bot.db?cache=shared", "\"bot.db?cache=shared\"", "write bot.db"),
    ("Data Source=bot.db;Cache=Shared", "\"Data Source=bot.db;Cache=Shared\"", "write bot.db"),
    ("~/bot/bot.db", "\"~/bot/bot.db\"", "write /home/bot/bot/bot.db"),
    ("~root/bot.db", "\"~root/bot.db\"", "home folder"),
    ("%h/bot.db", "\"%h/bot.db\"", "write /home/bot/bot.db"),
    ("x.db\n", "\"x.db\\n\"", "write x.db"),
    ("x.db\r\n", "\"x.db\\r\\n\"", "write x.db"),
    ("x\t.db", "\"x\\t.db\"", "a tab"),
    ("\x1b[31mx.db", "\"\\u{1b}[31mx.db\"", "invisible"),
    (" x.db", "\" x.db\"", "write x.db"),
    ("x.db\u{a0}", "\"x.db\\u{a0}\"", "write x.db"),
    ("\u{feff}x.db", "\"\\u{feff}x.db\"", "write x.db"),
    ("x.db\u{200b}", "\"x.db\\u{200b}\"", "write x.db"),
    ("x\u{202e}bd.", "\"x\\u{202e}bd.\"", "invisible"),
    ("\"./x.db\"", "\"\\\"./x.db\\\"\"", "write ./x.db"),
    ("'./x.db'", "\"'./x.db'\"", "write ./x.db"),
    ("\u{201c}x.db\u{201d}", "x.db", "a quote"),
    ("./x.db # the state", "\"./x.db # the state\"", "write ./x.db"),
    ("DATABASE_PATH=./x.db", "\"DATABASE_PATH=./x.db\"", "write ./x.db"),
    ("$DATA/x.db", "\"$DATA/x.db\"", "was not replaced"),
    ("${DATA:-/srv}/x.db", "\"${DATA:-/srv}/x.db\"", "was not replaced"),
    ("$(pwd)/x.db", "\"$(pwd)/x.db\"", "was not replaced"),
    ("srv/`pwd`/x.db", "\"srv/`pwd`/x.db\"", "was not replaced"),
    ("%APPDATA%/x.db", "\"%APPDATA%/x.db\"", "was not replaced"),
    ("{{ .Values.path }}/x.db", "\"{{ .Values.path }}/x.db\"", "was not replaced"),
    ("file:x.db", "\"file:x.db\"", "write x.db"),
    ("FILE:///srv/x.db?mode=rwc", "\"FILE:///srv/x.db?mode=rwc\"", "write /srv/x.db"),
    ("sqlite:x.db", "\"sqlite:x.db\"", "write x.db"),
    ("sqlite3:///x.db", "\"sqlite3:///x.db\"", "write x.db"),
    ("sqlite+aiosqlite:////srv/x.db", "\"sqlite+aiosqlite:////srv/x.db\"", "write /srv/x.db"),
    ("jdbc:sqlite:x.db", "\"jdbc:sqlite:x.db\"", "write x.db"),
    ("mysql://bot:hunter2@db/bot", "\"mysql://***@db/bot\"", "DATABASE_TYPE=mysql"),
    ("bot:hunter2@tcp(db:3306)/bot?parseTime=true", "***@tcp(db:3306)/bot", "DATABASE_TYPE=mysql"),
    ("x.db?_auth&_auth_pass=hunter2", "_auth_pass=***", "write x.db"),
    (":memory:", "\":memory:\"", "in memory"),
    ("file::memory:?cache=shared", "\"file::memory:?cache=shared\"", "in memory"),
    ("C:\\bot\\x.db", "\"C:\\\\bot\\\\x.db\"", "Windows"),
    ("data\\x.db", "\"data\\\\x.db\"", "write data/x.db"),
    ("undefined", "\"undefined\"", "word for no value"),
    ("null", "\"null\"", "word for no value"),
    ("off", "\"off\"", "a switch"),
    ("data/*.db", "\"data/*.db\"", "a pattern"),
    ("x.db-wal", "\"x.db-wal\"", "write x.db"),
];

#[test]
fn a_database_of_a_name_that_nobody_meant_is_not_made() -> Result<()> {
    let folder = SqliteFolder::new()?;
    for (name, received, says) in NAMES {
        for arguments in
            [&["check"][..], &["state", "put", "c", "--message", "m"], &["export", "-"], &["state", "list"]]
        {
            let mut command = command(folder.path(), arguments);
            refused(folder.path(), command.env("DATABASE_PATH", name), &["DATABASE_PATH is ", received, says]);
        }
    }
    assert_eq!(files(folder.path()), Vec::<OsString>::new());
    for (name, says) in [
        (".", "is a folder"),
        ("..", "is a folder"),
        ("data/", "is a folder"),
        ("/dev/null", "not a regular file"),
        ("/dev/new", "not a regular file"),
        ("//srv/x.db", "write /srv/x.db"),
        ("x.db;", "write x.db"),
        ("my%20x.db", "write my x.db"),
        ("<path>", "was not replaced"),
        ("x.db-shm", "write x.db"),
        ("x.db-journal", "write x.db"),
    ] {
        let mut command = command(folder.path(), &["check", "--json"]);
        refused(folder.path(), command.env("DATABASE_PATH", name), &["DATABASE_PATH is ", says]);
    }
    Ok(())
}

#[test]
fn every_variable_and_option_that_takes_a_file_refuses_such_a_name() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let place = folder.path();
    fs::write(place.join("bot.db"), "")?;
    let named = ["~/x", "x\n", "\"x\"", "file:///x", "$X/x", "{{x}}", "./x?_journal_mode=WAL", "C:\\x", "undefined"];
    for name in named {
        for variable in ["COFFERDAM_SPOOL", "COFFERDAM_CACHE", "COFFERDAM_PLUGIN", "COFFERDAM_PLUGINS"] {
            let mut command = command(place, &["check"]);
            refused(place, command.env("DATABASE_PATH", "bot.db").env(variable, name), &[variable, "which "]);
        }
        let mut check = command(place, &["check"]);
        let mirror = format!("sqlite:{name}");
        refused(place, check.env("DATABASE_PATH", "bot.db").env("COFFERDAM_MIRROR", mirror), &["COFFERDAM_MIRROR"]);
        for variable in ["MYSQL_PASSWORD_FILE", "MYSQL_TLS_CA"] {
            let mut command = command(place, &["check"]);
            command.env("DATABASE_TYPE", "mysql").env("MYSQL_USERNAME", "bot").env(variable, name);
            if variable == "MYSQL_TLS_CA" {
                command.env("MYSQL_PASSWORD", "hunter2");
            }
            refused(place, &mut command, &[variable, "which "]);
        }
        for arguments in [
            &["export", name][..],
            &["export", name, "--force"],
            &["import", name],
            &["import", name, "--dry-run"],
            &["plugin", "inspect", name],
            &["spool", "status", name],
            &["spool", "export", name],
            &["spool", "replay", name],
            &["bench", name, "--seconds", "1"],
            &["migrate", "--from", &format!("sqlite:{name}"), "--to", "sqlite:new.db"],
            &["migrate", "--from", "sqlite:bot.db", "--to", &format!("sqlite:{name}"), "--execute"],
            &["migrate", "--from", &format!("plugin:{name}"), "--to", "sqlite:new.db"],
            &["migrate", "verify", "--from", "sqlite:bot.db", "--to", &format!("sqlite:{name}")],
            &["migrate", "rollback", "--to", &format!("sqlite:{name}")],
            &["migrate", "forget", "--to", &format!("sqlite:{name}")],
        ] {
            let mut command = command(place, arguments);
            refused(place, command.env("DATABASE_PATH", "bot.db"), &["which "]);
        }
    }
    for (name, says) in [("off", "a switch"), ("false", "a switch"), ("none", "word for no value")] {
        let mut command = command(place, &["check"]);
        refused(place, command.env("DATABASE_PATH", "bot.db").env("COFFERDAM_SPOOL", name), &["COFFERDAM_SPOOL", says]);
    }
    Ok(())
}

#[test]
fn the_file_that_was_meant_is_told_and_one_that_is_there_is_taken() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let place = folder.path();
    let odd = "bot.db?_journal_mode=WAL";
    run(command(place, &["check"]).env("DATABASE_PATH", "bot.db"), 0);
    refused(place, command(place, &["check"]).env("DATABASE_PATH", odd), &["write bot.db, which exists"]);
    // As an earlier version made it, and nothing else is there.
    fs::rename(place.join("bot.db"), place.join(odd))?;
    run(command(place, &["state", "put", "c", "--message", "m"]).env("DATABASE_PATH", odd), 0);
    assert_eq!(files(place), [place.join(odd).into_os_string()]);
    run(command(place, &["check"]).env("DATABASE_PATH", "bot.db"), 0);
    refused(place, command(place, &["state", "list"]).env("DATABASE_PATH", odd), &["write bot.db, which exists"]);
    Ok(())
}

#[test]
fn names_that_may_be_meant_are_taken() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let latin = OsString::from_vec(b"b\xe4r.db".to_vec());
    for name in [
        "my bot.db",
        "what?.db",
        "bot@home.db",
        "50%.db",
        "b\u{e4}r\u{1f980}.db",
        "new/deep/bot.db",
        "on.db",
        "a=b",
        "#1.db",
    ] {
        run(command(folder.path(), &["check"]).env("DATABASE_PATH", name), 0);
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    run(command(folder.path(), &["check"]).env("DATABASE_PATH", &latin), 0);
    assert!(folder.path().join(&latin).is_file());
    Ok(())
}

#[test]
fn what_is_no_file_has_a_name_that_can_be_meant_too() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let on_server = || {
        let mut command = command(folder.path(), &["check"]);
        command.env("DATABASE_TYPE", "mysql").env("MYSQL_USERNAME", "bot").env("MYSQL_PASSWORD", "hunter2");
        command
    };
    for (variable, value, parts) in [
        (
            "MYSQL_PORT",
            "tcp://10.96.0.5:3306",
            &["tcp://10.96.0.5:3306", "Kubernetes", "enableServiceLinks: false"][..],
        ),
        ("MYSQL_PORT", "\"3306\"", &["a whole number", "a quote"]),
        ("MYSQL_PORT", "3306 ", &["a whole number", "a blank"]),
        ("MYSQL_HOST", "tcp://db:3306", &["is a URL"]),
        ("MYSQL_HOST", "mysql://bot:hunter2@db/bot", &["is a URL"]),
        ("MYSQL_HOST", "tcp(db:3306)", &["a host name"]),
        ("MYSQL_HOST", "\"db\"", &["a host name"]),
        ("MYSQL_HOST", "${DB_HOST}", &["a host name"]),
        ("MYSQL_HOST", "undefined", &["a host name"]),
        ("MYSQL_DATABASE", "'bot'", &["the name alone", "a quote"]),
        ("MYSQL_DATABASE", "bot\n", &["\"bot\\n\""]),
        ("MYSQL_DATABASE", "bot ", &["the name alone", "a blank"]),
        ("MYSQL_DATABASE", "\u{feff}bot", &["\\u{feff}bot", "the name alone"]),
        ("MYSQL_DATABASE", "bot?parseTime=true", &["the name alone"]),
        ("MYSQL_DATABASE", "/bot", &["the name alone"]),
        ("MYSQL_USERNAME", "\"bot\"", &["the name alone", "a quote"]),
        ("MYSQL_USERNAME", "$DB_USER", &["the name alone", "was not replaced"]),
        ("MYSQL_USERNAME", "null", &["the name alone", "word for no value"]),
        ("DATABASE_TYPE", "sqlite3", &["write sqlite"]),
        ("DATABASE_TYPE", "SQLite", &["write sqlite"]),
        ("DATABASE_TYPE", "MariaDB", &["write mysql, also for MariaDB"]),
        ("DATABASE_TYPE", "postgres", &["PostgreSQL"]),
        ("DATABASE_TYPE", "\"mysql\"", &["write mysql", "a quote"]),
        ("COFFERDAM_OPERATION_TIMEOUT", "\"5s\"", &["a duration", "a quote"]),
        ("COFFERDAM_OPERATION_TIMEOUT", "5s # seconds", &["a duration", "a comment"]),
        ("MYSQL_TLS", "'required'", &["one of disabled", "a quote"]),
    ] {
        let all: Vec<_> = [variable].iter().chain(parts).copied().collect();
        refused(folder.path(), on_server().env(variable, value), &all);
    }
    assert_eq!(files(folder.path()), Vec::<OsString>::new());
    Ok(())
}

#[test]
fn check_names_what_it_looked_at_and_whether_it_has_just_made_it() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let check = |arguments: &[&str]| {
        let mut command = command(folder.path(), arguments);
        command.env("DATABASE_PATH", "new/../link/bot.db");
        command
    };
    let json = |code| -> Result<Value> {
        Ok(serde_json::from_str(&run(&mut check(&["check", "--json", "--no-upgrade"]), code).0)?)
    };
    fs::create_dir(folder.path().join("real"))?;
    fs::create_dir(folder.path().join("new"))?;
    std::os::unix::fs::symlink("real", folder.path().join("link"))?;
    let path = fs::canonicalize(folder.path())?.join("real/bot.db");
    let path = path.to_str().expect("UTF-8");
    // Also where there is none.
    let (_, stderr) = run(&mut check(&["check", "--no-upgrade"]), 4);
    assert!(stderr.contains(path), "{stderr}");
    assert_eq!(json(4)?["database"]["path"], path);
    let line = |text: &str| text.lines().find(|line| line.starts_with("database ")).unwrap_or_default().to_owned();
    let (text, _) = run(&mut check(&["check"]), 0);
    assert!(line(&text).ends_with(&format!(" {path}, just created")), "{text}");
    let (text, _) = run(&mut check(&["check"]), 0);
    assert!(line(&text).ends_with(&format!(" {path}")), "{text}");
    let report = json(0)?;
    assert_eq!((&report["database"]["path"], &report["made"]), (&path.into(), &Value::Null));
    fs::remove_file(path)?;
    let report: Value = serde_json::from_str(&run(&mut check(&["check", "--json"]), 0).0)?;
    assert_eq!((&report["database"]["path"], &report["made"]), (&path.into(), &"file".into()));
    fs::write(path, "")?;
    let report: Value = serde_json::from_str(&run(&mut check(&["check", "--json"]), 0).0)?;
    assert_eq!(report["made"], "tables");
    Ok(())
}

#[test]
fn a_variable_of_a_name_that_means_nothing_is_remarked() -> Result<()> {
    let folder = SqliteFolder::new()?;
    for (name, meant) in
        [("DATABSE_PATH", "DATABASE_PATH"), ("database_path", "DATABASE_PATH"), ("COFFERDAM_SPOL", "COFFERDAM_SPOOL")]
    {
        let mut command = command(folder.path(), &["check", "--json"]);
        let report: Value = serde_json::from_str(&run(command.env(name, "x"), 0).0)?;
        let expected = format!("{name} is set, but is not a variable of Cofferdam: set {meant} if that is meant");
        assert_eq!(report["remarks"], serde_json::json!([expected]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_server_and_the_database() -> Result<()> {
    let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
    let config = database.config();
    let (text, _) = run(&mut on_mysql(&config, &["check", "--timeout", "1m"]), 0);
    let place = format!("{} on {}", config.database, config.hosts[0]);
    assert!(text.contains(&format!("{place}, tables just created\n")), "{text}");
    let report: Value = serde_json::from_str(&run(&mut on_mysql(&config, &["check", "--json"]), 0).0)?;
    assert_eq!(report["database"]["name"], config.database.as_str());
    assert_eq!(report["database"]["hosts"][0], config.hosts[0].to_string());
    assert_eq!(report["made"], Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_with_something_at_its_ends_gets_a_hint_and_is_not_shown() -> Result<()> {
    let database = MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?;
    let config = database.config();
    let folder = SqliteFolder::new()?;
    let secret = config.password.expose();
    assert!(secret.len() > 3, "a password that is nobody's word");
    for (password, hint) in [
        (format!("{secret}\n"), Some("ends in a line break")),
        (format!("{secret}\r"), Some("ends in a line break")),
        (format!("\"{secret}\""), Some("begins and ends with the same quote")),
        (format!("'{secret}'"), Some("begins and ends with the same quote")),
        (format!(" {secret}"), Some("a blank or an invisible character")),
        (format!("\u{feff}{secret}"), Some("a blank or an invisible character")),
        ("${MYSQL_SECRET}".to_owned(), Some("a variable that was not replaced")),
        (format!("{secret}x"), None),
    ] {
        let (_, stderr) = run(on_mysql(&config, &["check"]).env("MYSQL_PASSWORD", &password), 1);
        assert!(stderr.contains("1045") && !stderr.contains(secret), "{stderr}");
        assert_eq!(stderr.contains("; the password "), hint.is_some(), "{stderr}");
        assert!(stderr.contains(hint.unwrap_or_default()), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        // One newline at the end of a file is the editor's, with the carriage return before it.
        if password.ends_with('\r') {
            continue;
        }
        let file = folder.path().join("password");
        fs::write(&file, format!("{password}\n"))?;
        let mut command = on_mysql(&config, &["check"]);
        let (_, stderr) = run(command.env_remove("MYSQL_PASSWORD").env("MYSQL_PASSWORD_FILE", &file), 1);
        assert!(stderr.contains("1045") && stderr.contains(hint.unwrap_or_default()), "{stderr}");
    }
    Ok(())
}

#[test]
fn a_folder_of_another_users_home_stays_theirs() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let home = folder.path().join("home");
    fs::create_dir(&home)?;
    let status = Command::new("chown").arg("65534:65534").arg(&home).status()?;
    assert!(status.success(), "this test gives a folder to another user, as root may");
    let mut check = command(folder.path(), &["check"]);
    check.env_remove("COFFERDAM_CACHE").env("HOME", &home).env("DATABASE_PATH", "bot.db");
    let (_, stderr) = run(&mut check, 0);
    assert!(stderr.contains("belongs to another user") && stderr.contains("COFFERDAM_CACHE"), "{stderr}");
    assert_eq!(files(&home), Vec::<OsString>::new());
    // One's own gets it.
    let own = folder.path().join("own");
    fs::create_dir(&own)?;
    run(check.env("HOME", OsStr::new(&own)), 0);
    assert!(own.join(".cache/cofferdam/compiled").is_dir());
    Ok(())
}
