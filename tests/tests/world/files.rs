//! Two names of one file, and files that lie where they cannot be used: nothing is overwritten that somebody needs, and no
//! acknowledged write is lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cofferdam::config::DatabaseConfig;
use cofferdam::{ResilientStorage, StartError};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::tmpfs::Tmpfs;
use serde_json::Value;

/// The command in a folder, on the file `x.db` there.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(arguments);
    command.current_dir(folder).env("DATABASE_PATH", "x.db");
    command
}

/// `cofferdam migrate`, or one of its subcommands.
fn migrate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(&[&["migrate"], arguments].concat());
    let components = Path::new(plugins::SQLITE).parent().expect("components lie in a folder");
    command.env_remove("COFFERDAM_PLUGIN").env("COFFERDAM_PLUGINS", components).current_dir(folder);
    command
}

/// A folder with a database `x.db` that has a row.
fn with_database() -> Result<SqliteFolder> {
    let folder = SqliteFolder::new()?;
    run(&mut command(folder.path(), &["check"]), 0);
    put(folder.path(), "c");
    Ok(folder)
}

#[track_caller]
fn put(folder: &Path, channel: &str) {
    run(&mut command(folder, &["state", "put", channel, "--message", "m"]), 0);
}

#[track_caller]
fn channels(command: &mut Command) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(&run(command, 0).0).expect("JSON");
    let mut channels: Vec<_> =
        rows.iter().map(|row| row["channel_id"].as_str().expect("a channel").to_owned()).collect();
    channels.sort();
    channels
}

/// Every file of a folder with what is in it.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    // What SQLite keeps of locks in a log's index is no content, and a log without one comes of reading.
    let is_content = |path: &PathBuf| {
        let name = path.to_string_lossy();
        path.is_file()
            && !name.ends_with("-shm")
            && !(name.ends_with("-wal") && path.metadata().is_ok_and(|it| it.len() == 0))
    };
    let files = entries.filter(is_content);
    let mut content: Vec<_> = files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    content.sort();
    content
}

/// Runs it, wants this exit code and one line with these parts, and that no file has changed.
#[track_caller]
fn refused(folder: &Path, command: &mut Command, code: i32, parts: &[&str]) {
    let before = content(folder);
    let (_, stderr) = run(command, code);
    assert_eq!(stderr.lines().count(), 1, "{command:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{command:?}: no {part:?} in: {stderr}");
    }
    assert!(content(folder) == before, "{command:?} changed a file");
}

/// The same command behind a shell in a mount namespace of its own, which first does `prepare`.
fn in_namespace(command: &Command, prepare: &str) -> Command {
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private", "sh", "-ec", &format!("{prepare}\nexec \"$0\" \"$@\"")]);
    inside.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if let Some(folder) = command.get_current_dir() {
        inside.current_dir(folder);
    }
    inside
}

/// Mounts need root, or a container with CAP_SYS_ADMIN. A test that needs them fails without.
fn assert_namespaces() -> Result<()> {
    let mut made = in_namespace(&Command::new("true"), "mount --bind /tmp /tmp");
    let output = made.output().context("unshare does not start")?;
    ensure!(output.status.success(), "no mount namespace: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn an_export_replaces_no_file_that_somebody_needs() -> Result<()> {
    let folder = with_database()?;
    let place = folder.path();
    fs::create_dir(place.join("sub"))?;
    symlink("x.db", place.join("link"))?;
    fs::copy(plugins::SQLITE, place.join("mine.wasm"))?;
    // A bot that works on both, so that their logs are there.
    let bot = rusqlite::Connection::open(place.join("x.db"))?;
    bot.execute_batch("BEGIN; SELECT * FROM message_states")?;
    run(&mut command(place, &["state", "put", "d", "--message", "m"]), 0);
    let other = rusqlite::Connection::open(place.join("other.db"))?;
    other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")?;
    rusqlite::Connection::open(place.join("third.db"))?.execute_batch("CREATE TABLE t (a)")?;
    fs::write(place.join("spool"), "")?;
    fs::write(place.join("spool-lock"), "12345678")?;
    fs::write(place.join("spool.mirror"), "")?;
    fs::write(place.join("spool-copy"), "")?;
    fs::write(place.join("mirror.db"), "")?;
    assert!(place.join("x.db-wal").is_file() && place.join("other.db-wal").is_file());
    for (name, says) in [
        ("x.db", "DATABASE_PATH"),
        ("./sub/../x.db", "DATABASE_PATH"),
        ("link", "DATABASE_PATH"),
        ("x.db-wal", "the name of a log"),
        ("x.db-shm", "the name of a log"),
        ("spool", "COFFERDAM_SPOOL"),
        ("spool-lock", "COFFERDAM_SPOOL"),
        ("spool-copy", "COFFERDAM_SPOOL"),
        ("spool.mirror", "COFFERDAM_SPOOL"),
        ("mirror.db", "COFFERDAM_MIRROR"),
        ("mine.wasm", "COFFERDAM_PLUGIN"),
        ("other.db", "a SQLite database that is in use"),
        ("other.db-wal", "the name of a log"),
        ("third.db", "a SQLite database"),
        ("/dev/null", "not a regular file"),
        ("sub", "a folder"),
    ] {
        for compressed in [&[][..], &["--zstd"]] {
            let mut export = command(place, &["export", name, "--force"]);
            export.args(compressed).env("COFFERDAM_SPOOL", "spool").env("COFFERDAM_MIRROR", "sqlite:mirror.db");
            refused(place, export.env("COFFERDAM_PLUGIN", "mine.wasm"), 2, &[says]);
        }
    }
    let absolute = place.join("x.db");
    let absolute = absolute.to_str().context("UTF-8")?;
    refused(place, &mut command(place, &["export", absolute, "--force"]), 2, &["DATABASE_PATH"]);
    // Whoever needs it, a component is none of what an export may replace.
    refused(place, &mut command(place, &["export", "mine.wasm", "--force"]), 2, &["a WebAssembly component"]);
    for name in ["backup.ndjson", "spool-lock"] {
        for _ in 0..2 {
            run(&mut command(place, &["export", name, "--force"]), 0);
        }
        run(&mut command(place, &["import", name, "--dry-run"]), 0);
    }
    drop((bot, other));
    assert_eq!(channels(&mut command(place, &["state", "list", "--json"])), ["c", "d"]);
    Ok(())
}

#[test]
fn lists_of_a_migration_take_no_others_place() -> Result<()> {
    let folder = with_database()?;
    let place = folder.path();
    // A row that cannot be moved, so that there is a list.
    let old = rusqlite::Connection::open(place.join("x.db"))?;
    old.execute_batch(
        "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
         updated_at)
         VALUES ('c', '', 'm', 1, 1, 1); PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    drop(old);
    let sides = ["--from", "sqlite:x.db", "--to", "sqlite:new.db"];
    fs::write(place.join("notes.txt"), "mine\n")?;
    fs::write(place.join("kept.old"), "mine\n")?;
    fs::write(place.join("spool"), "")?;
    symlink("x.db", place.join("link"))?;
    symlink("new.db", place.join("dangling"))?;
    for (name, says) in [
        ("x.db", "--from uses"),
        ("./x.db", "--from uses"),
        ("link", "--from uses"),
        ("x.db-wal", "the name of a log"),
        ("new.db", "--to uses"),
        ("dangling", "--to uses"),
        ("spool", "COFFERDAM_SPOOL"),
        ("notes.txt", "not a list that `cofferdam migrate` wrote"),
        ("kept", "not a list that `cofferdam migrate` wrote"),
        ("/dev/null", "not a regular file"),
        ("~/x", "a ~"),
        ("x\n", "a blank"),
    ] {
        for option in ["--rejects", "--report"] {
            for execute in [&[][..], &["--execute"]] {
                let mut run = migrate(place, &[&sides[..], &[option, name], execute].concat());
                refused(place, run.env("COFFERDAM_SPOOL", "spool"), 2, &[option, says]);
            }
        }
    }
    let both = [&sides[..], &["--rejects", "list", "--report", "./list"]].concat();
    refused(place, &mut migrate(place, &both), 2, &["--rejects and --report are the same file"]);
    refused(place, &mut migrate(place, &["rollback", "--to", "sqlite:x.db", "--left", "x.db"]), 2, &["--left"]);
    // What an earlier run wrote makes place for the next one.
    for _ in 0..3 {
        run(&mut migrate(place, &[&sides[..], &["--execute", "--rejects", "list"]].concat()), 6);
        assert!(
            fs::read_to_string(place.join("list"))?.starts_with("{\"reason\""),
            "{:?}",
            fs::read_to_string(place.join("list"))
        );
    }
    assert!(place.join("list.old").is_file());
    assert_eq!(fs::read_to_string(place.join("notes.txt"))?, "mine\n");
    Ok(())
}

#[test]
fn one_file_is_not_two_things() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let place = folder.path();
    fs::create_dir(place.join("sub"))?;
    symlink("x.db", place.join("link"))?;
    symlink("sub", place.join("folder"))?;
    let absolute = place.join("x.db");
    let absolute = absolute.to_str().context("UTF-8")?;
    for spool in ["./x.db", "sub/../x.db", "folder/../x.db", "link", absolute, "x.db"] {
        let mut check = command(place, &["check"]);
        let parts = ["COFFERDAM_SPOOL and DATABASE_PATH are the same file"];
        refused(place, check.env("COFFERDAM_SPOOL", spool), 2, &parts);
        let mut check = command(place, &["check"]);
        refused(
            place,
            check.env("COFFERDAM_MIRROR", format!("sqlite:{spool}")),
            2,
            &["COFFERDAM_MIRROR", "own database"],
        );
    }
    for database in ["x-copy", "x-lock", "x.mirror", "x.mirror-copy", "./x.new"] {
        let mut check = command(place, &["check"]);
        check.env("DATABASE_PATH", database).env("COFFERDAM_SPOOL", "x");
        refused(place, &mut check, 2, &["are the same file"]);
    }
    // Once it is there.
    run(&mut command(place, &["check"]), 0);
    for other in ["./x.db", "link", absolute] {
        for execute in [&[][..], &["--execute"]] {
            let sides = ["--from", "sqlite:x.db", "--to", &format!("sqlite:{other}")];
            refused(place, &mut migrate(place, &[&sides[..], execute].concat()), 2, &["are the same database"]);
        }
    }
    refused(place, &mut command(place, &["import", "link"]), 2, &["not a snapshot"]);
    // A configuration that a program put together itself.
    let home = Home::sqlite()?;
    let mut config = home.config();
    let DatabaseConfig::Sqlite(sqlite) = &config.database else { unreachable!("a file") };
    let path = sqlite.path.with_file_name(".").join(sqlite.path.file_name().context("a name")?);
    config.resilience.spool = Some(cofferdam::config::SpoolConfig { path, limit: 10 });
    let Err(StartError::Config(error)) = ResilientStorage::builder(config).build() else { panic!("it was built") };
    assert!(error.to_string().contains("are the same file"), "{error}");
    Ok(())
}

#[test]
fn a_spool_is_no_database_and_a_database_no_spool() -> Result<()> {
    let folder = with_database()?;
    let place = folder.path();
    let mut check = command(place, &["check"]);
    check.env("COFFERDAM_ON_UNAVAILABLE", "degrade").env("COFFERDAM_SPOOL", "spool");
    run(&mut check, 0);
    // A bot makes its spool when it starts; `spool replay` opens what is there as one.
    rusqlite::Connection::open(place.join("spool"))?.execute_batch(
        "CREATE TABLE spooled_writes (sequence INTEGER PRIMARY KEY); CREATE TABLE rejected_writes (sequence INTEGER \
         PRIMARY KEY)",
    )?;
    let mut check = command(place, &["check"]);
    refused(place, check.env("DATABASE_PATH", "spool"), 1, &["is a spool, not a database"]);
    for sides in
        [["--from", "sqlite:spool", "--to", "sqlite:new.db"], ["--from", "sqlite:x.db", "--to", "sqlite:spool"]]
    {
        refused(place, &mut migrate(place, &sides), 1, &["is a spool, not a database"]);
        refused(place, migrate(place, &sides).env("COFFERDAM_SPOOL", "./spool"), 2, &["the file of COFFERDAM_SPOOL"]);
    }
    refused(place, &mut command(place, &["spool", "status", "x.db"]), 1, &["is not a spool"]);
    Ok(())
}

#[test]
fn a_file_with_two_names_is_read_and_not_written() -> Result<()> {
    let folder = with_database()?;
    let place = folder.path();
    fs::create_dir(place.join("sub"))?;
    fs::hard_link(place.join("x.db"), place.join("sub/y.db"))?;
    let parts = ["x.db", "has 2 names (hard links)", "remove the others, or name a copy"];
    for arguments in [&["check"][..], &["state", "put", "d", "--message", "m"], &["check", "--no-upgrade"]] {
        refused(place, &mut command(place, arguments), 2, &parts);
    }
    refused(
        place,
        &mut migrate(place, &["--from", "sqlite:x.db", "--to", "sqlite:sub/y.db"]),
        2,
        &["are the same database"],
    );
    run(command(place, &["check"]).env("DATABASE_PATH", "z.db"), 0);
    refused(place, &mut migrate(place, &["--from", "sqlite:z.db", "--to", "sqlite:x.db"]), 2, &["hard links"]);
    let mut check = command(place, &["check"]);
    check.env("DATABASE_PATH", "z.db").env("COFFERDAM_SPOOL", "x.db");
    refused(place, &mut check, 2, &["COFFERDAM_SPOOL", "hard links"]);
    let (plan, _) = run(&mut migrate(place, &["--from", "sqlite:x.db", "--to", "sqlite:z.db"]), 0);
    assert!(plan.contains("Remark on ") && plan.contains("the file has 2 names (hard links)"), "{plan}");
    run(&mut migrate(place, &["--from", "sqlite:x.db", "--to", "sqlite:z.db", "--execute"]), 0);
    fs::remove_file(place.join("sub/y.db"))?;
    put(place, "d");
    assert_eq!(channels(&mut command(place, &["state", "list", "--json"])), ["c", "d"]);
    Ok(())
}

#[test]
fn a_file_that_is_mounted_by_itself_is_read_and_not_written() -> Result<()> {
    assert_namespaces()?;
    let folder = with_database()?;
    let place = folder.path();
    fs::create_dir_all(place.join("container/data folder"))?;
    let inside = place.join("container/data folder");
    fs::write(inside.join("x.db"), "")?;
    let mount = "mount --bind x.db 'container/data folder/x.db'";
    let at = |arguments: &[&str], prepare| {
        let mut command = command(place, arguments);
        command.env("DATABASE_PATH", "container/data folder/x.db");
        in_namespace(&command, prepare)
    };
    let parts = ["is mounted by itself", "mount the folder"];
    for arguments in [&["check"][..], &["state", "put", "d", "--message", "m"]] {
        refused(place, &mut at(arguments, mount), 2, &parts);
    }
    assert_eq!(fs::read_dir(&inside)?.count(), 1, "a log outside");
    // Through a link too.
    symlink("container/data folder/x.db", place.join("link"))?;
    let mut check = command(place, &["check"]);
    refused(place, &mut in_namespace(check.env("DATABASE_PATH", "link"), mount), 2, &parts);
    let source = "sqlite:container/data folder/x.db";
    run(command(place, &["check"]).env("DATABASE_PATH", "new.db"), 0);
    let plan = migrate(place, &["--from", source, "--to", "sqlite:new.db"]);
    let (plan, _) = run(&mut in_namespace(&plan, mount), 0);
    assert!(plan.contains("the file is mounted by itself"), "{plan}");
    refused(place, &mut in_namespace(&migrate(place, &["--from", "sqlite:new.db", "--to", source]), mount), 2, &parts);
    // A folder is mounted as it should be, and so is a secret.
    let folder_mounted = "mkdir -p mounted; mount --bind . mounted";
    let mut check = command(place, &["state", "put", "d", "--message", "m"]);
    run(&mut in_namespace(check.env("DATABASE_PATH", "mounted/x.db"), folder_mounted), 0);
    assert_eq!(channels(&mut command(place, &["state", "list", "--json"])), ["c", "d"]);
    Ok(())
}

/// What is in a source, by moving it into a new file.
#[track_caller]
fn moved(folder: &Path, source: &Path) -> Vec<String> {
    let source = format!("sqlite:{}", source.display());
    run(&mut migrate(folder, &["--from", &source, "--to", "sqlite:moved.db", "--execute"]), 0);
    let moved = channels(command(folder, &["state", "list", "--json"]).env("DATABASE_PATH", "moved.db"));
    fs::remove_file(folder.join("moved.db")).expect("a file");
    moved
}

#[test]
fn a_source_on_a_read_only_mount_is_read_or_said_how_to_get_at() -> Result<()> {
    let mut disk = Tmpfs::mount(16 << 20)?;
    let folder = with_database()?;
    let place = folder.path();
    let mounted = disk.path().to_owned();
    let on_disk = |name: &str| mounted.join(name);
    let (whole, logged, hot) = (on_disk("whole a%.db"), on_disk("logged.db"), on_disk("hot.db"));
    fs::copy(place.join("x.db"), &whole)?;
    // As of a bot that was killed, and whose index of the log did not outlive the machine.
    let bot = rusqlite::Connection::open(place.join("x.db"))?;
    bot.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE; COMMIT; UPDATE message_states SET last_message_id = 'n'",
    )?;
    fs::copy(place.join("x.db"), &logged)?;
    fs::copy(place.join("x.db-wal"), on_disk("logged.db-wal"))?;
    // A transaction that was under way when its program was killed.
    fs::copy(&whole, &hot)?;
    let writer = rusqlite::Connection::open(&hot)?;
    writer.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE;
         INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT 'n' || i, 'm', 1, 1, 1 FROM n",
    )?;
    fs::copy(&hot, on_disk("killed.db"))?;
    fs::copy(on_disk("hot.db-journal"), on_disk("killed.db-journal"))?;
    drop(writer);
    let killed = on_disk("killed.db");
    for writable in [false, true] {
        disk.set_read_only(!writable)?;
        let before = content(&mounted);
        assert_eq!(moved(place, &whole), ["c"], "writable: {writable}");
        let plan = |source: &Path| {
            let source = format!("sqlite:{}", source.display());
            migrate(place, &["--from", &source, "--to", "sqlite:new.db"])
        };
        let (_, stderr) = run(&mut plan(&killed), 1);
        for part in ["has a hot rollback journal", "copy both files", "cofferdam check"] {
            assert!(stderr.contains(part), "{stderr}");
        }
        assert!(!stderr.contains("by this user") && !stderr.contains("name, password"), "{stderr}");
        if !writable {
            let (_, stderr) = run(&mut plan(&logged), 1);
            assert!(
                stderr.contains("has rows in its write-ahead log") && stderr.contains("copy both files"),
                "{stderr}"
            );
            assert!(content(&mounted) == before);
        }
    }
    // As they are told to.
    let copies = SqliteFolder::new()?;
    for name in ["logged.db", "logged.db-wal", "killed.db", "killed.db-journal"] {
        fs::copy(on_disk(name), copies.path().join(name))?;
    }
    run(command(place, &["check"]).env("DATABASE_PATH", copies.path().join("killed.db")), 0);
    assert_eq!(moved(place, &copies.path().join("killed.db")), ["c"]);
    assert_eq!(moved(place, &copies.path().join("logged.db")), ["c"]);
    drop(bot);
    Ok(())
}
