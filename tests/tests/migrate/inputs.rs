//! What users get wrong, each with a message that says so.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cofferdam::StorageService;
use cofferdam_tests::harness::command::{cofferdam, run};
use cofferdam_tests::harness::mysql::MysqlServer;
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::tmpfs::Tmpfs;
use mysql_async::prelude::Queryable;

use crate::rig::{between, dump, environment, fill, many, migrate, rollback, verify, without_ids};

#[track_caller]
fn wrong(mut command: Command, code: i32, parts: &[&str]) {
    let (stdout, stderr) = run(&mut command, code);
    assert!(stdout.is_empty() && stderr.lines().count() == 1, "{stdout}\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_cannot_be_used_is_named_with_its_cause() -> Result<()> {
    let (home, folder) = (Home::mysql().await?, tempfile::tempdir()?);
    let path = folder.path();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let fixture = |name: &str| format!("sqlite:{}", fixtures.join(name).display());
    let server = home.spec();
    let good = fixture("ordinary.db");
    let from = |text: &str| between(&home, path, text, "sqlite:new.db", &["--execute"]);
    wrong(from("sqlite:nowhere.db"), 4, &["the source", "nowhere.db", "there is no file"]);
    wrong(from("sqlite:."), 2, &["--from", "is a folder"]);
    wrong(from(&fixture("no-database.db")), 2, &["is not a SQLite database"]);
    wrong(from(&fixture("truncated.db")), 1, &["damaged"]);
    wrong(from(&fixture("newer-version.db")), 1, &["schema-mismatch", "version 99", "newer"]);
    wrong(from(&fixture("missing-column.db")), 1, &["last_message_id"]);
    wrong(from("postgres://bot@db/x"), 2, &["--from", "sqlite:PATH"]);
    wrong(from("bot_state.db"), 2, &["--from", "sqlite:PATH"]);
    wrong(from("sqlite:"), 2, &["names no file"]);
    wrong(from("mysql://bot:hunter2@127.0.0.1/x"), 2, &["password", "MYSQL_PASSWORD"]);
    wrong(from("mysql://bot@127.0.0.1"), 2, &["names no database"]);
    wrong(from("plugin:nothing.wasm"), 2, &["nothing.wasm"]);
    let unknown = server.replace("/cofferdam_", "/cofferdam_not_there_");
    wrong(from(&unknown), 1, &["1049"]);
    wrong(from("mysql://cofferdam@127.0.0.1:1/x"), 3, &["unavailable", "127.0.0.1:1"]);
    assert!(!path.join("new.db").exists(), "a destination was made for a source that cannot be read");
    let to = |text: &str| between(&home, path, &good, text, &["--execute"]);
    wrong(to("sqlite:."), 2, &["--to", "is a folder"]);
    wrong(to(&fixture("no-database.db")), 2, &["the destination", "is not a SQLite database"]);
    let mut newer = SqliteFolder::with_copy_of(&fixtures.join("newer-version.db"))?;
    wrong(to(&format!("sqlite:{}", newer.database().display())), 1, &["the destination", "version 99"]);
    newer = SqliteFolder::new()?;
    let mut command = Command::new(cofferdam_tests::harness::command::cofferdam()?);
    command.env_clear().envs(environment(&home, &home)).current_dir(path);
    command.args(["migrate", "rollback", "--to", &format!("sqlite:{}", newer.database().display())]);
    wrong(command, 4, &["there is no file"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_under_two_names_is_refused_before_anything_is_written() -> Result<()> {
    let (file, server, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    for home in [&file, &server] {
        home.open().await?.close().await?;
        fill(home, &many(10)).await?;
        wrong(migrate(home, home, folder.path(), &["--execute"]), 2, &["the same database"]);
    }
    let Home::Sqlite(place) = &file else { unreachable!("it is a file") };
    let (link, hard) = (folder.path().join("link.db"), folder.path().join("hard.db"));
    std::os::unix::fs::symlink(place.database(), &link)?;
    let other = format!("sqlite:{}", link.display());
    wrong(between(&file, folder.path(), &file.spec(), &other, &["--execute"]), 2, &["the same database"]);
    if std::fs::hard_link(place.database(), &hard).is_ok() {
        let other = format!("sqlite:{}", hard.display());
        wrong(between(&file, folder.path(), &file.spec(), &other, &["--execute"]), 2, &["the same database"]);
    }
    let other = server.spec().replace("127.0.0.1", "localhost");
    wrong(between(&server, folder.path(), &server.spec(), &other, &["--execute"]), 2, &["the same database"]);
    assert_eq!(own_tables(&server).await?, 0);
    Ok(())
}

async fn own_tables(home: &Home) -> Result<u64> {
    let Home::Mysql(database) = home else { return Ok(0) };
    let mut connection = database.connect().await?;
    let count: Option<u64> = connection
        .query_first(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE \
             'cofferdam%'",
        )
        .await?;
    connection.disconnect().await?;
    Ok(count.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_for_its_side_alone_and_shown_nowhere() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    from.open().await?.close().await?;
    fill(&from, &many(5)).await?;
    let Home::Mysql(database) = &to else { unreachable!("it is a server") };
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{}\n", database.config().password.expose()))?;
    let mut command = migrate(&from, &to, folder.path(), &["--execute"]);
    command.env_remove("COFFERDAM_TO_PASSWORD").env("COFFERDAM_TO_PASSWORD_FILE", &file);
    command.env("MYSQL_PASSWORD", "hunter2").env("RUST_LOG", "trace");
    let (stdout, stderr) = run(&mut command, 0);
    for secret in ["hunter2", database.config().password.expose()] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret));
    }
    let mut command = migrate(&from, &to, folder.path(), &[]);
    command.env("COFFERDAM_TO_PASSWORD", "hunter2");
    wrong(command, 1, &["permission-denied", "1045"]);
    let mut command = migrate(&from, &to, folder.path(), &[]);
    command.env("COFFERDAM_TO_PASSWORD_FILE", &file);
    wrong(command, 2, &["COFFERDAM_TO_PASSWORD", "both set"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_without_rights_is_refused_and_stays_as_it_was() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    from.open().await?.close().await?;
    fill(&from, &many(5)).await?;
    to.open().await?.close().await?;
    let Home::Mysql(database) = &to else { unreachable!("it is a server") };
    let name = database.config().database;
    let reader = format!("cofferdam_r{}", std::process::id());
    let mut administrator = MysqlServer::shared().await?.administrator().await?;
    administrator.query_drop(format!("CREATE USER {reader}@'%' IDENTIFIED BY 'reads'")).await?;
    administrator.query_drop(format!("GRANT SELECT ON `{name}`.* TO {reader}@'%'")).await?;
    let place = to.spec().replace("//cofferdam@", &format!("//{reader}@"));
    let mut command = between(&to, folder.path(), &from.spec(), &place, &["--execute"]);
    command.env("COFFERDAM_TO_PASSWORD", "reads");
    wrong(command, 1, &["permission-denied", "1142", "rights"]);
    administrator.query_drop(format!("DROP USER {reader}@'%'")).await?;
    administrator.disconnect().await?;
    assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_run_and_it_goes_on_when_there_is_room() -> Result<()> {
    let mut disk = Tmpfs::mount(2 << 20)?;
    let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    from.open().await?.close().await?;
    fill(&from, &many(60_000)).await?;
    let to = Home::Sqlite(SqliteFolder::inside(disk.path())?);
    let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &["--execute", "--patience", "0s"]), 1);
    assert!(stderr.contains("the destination") && stderr.contains("full"), "{stderr}");
    disk.resize(256 << 20)?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    assert!(without_ids(dump(&to).await?) == without_ids(dump(&from).await?), "something was lost or doubled");
    run(&mut rollback(&to, folder.path(), &["--all"]), 0);
    assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_a_side_with_the_database_of_the_environment() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    from.open().await?.close().await?;
    fill(&from, &many(1_000)).await?;
    let Home::Sqlite(source) = &from else { unreachable!() };
    let plugin = format!("plugin:{}", plugins::SQLITE);
    let mut command = Command::new(cofferdam()?);
    command
        .env_clear()
        .envs(environment(&from, &to))
        .env("DATABASE_PATH", source.database())
        .current_dir(folder.path());
    command.args(["migrate", "--from", &plugin, "--to", &to.spec(), "--execute"]);
    run(&mut command, 0);
    run(&mut verify(&from, &to, folder.path(), &[]), 0);
    Ok(())
}
