//! Files that are damaged in a way that ordinary statements do not meet.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use cofferdam::clock::SystemClock;
use cofferdam::{ErrorKind, Integrity, Storage, StorageService, TransferService};
use cofferdam_tests::harness::command::{on_sqlite, run};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::{Home, sqlite_config};
use serde_json::Value;

use super::rig::{dump, execute, fill, make_legacy, many, migrate, verify};
use super::{messages, put};

/// The bytes of an index's first page.
fn root(path: &Path, index: &str) -> Result<(u64, Vec<u8>)> {
    let connection = rusqlite::Connection::open(path)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let page: i64 =
        connection.query_row("SELECT rootpage FROM sqlite_master WHERE name = ?", [index], |row| row.get(0))?;
    drop(connection);
    let mut bytes = vec![0; usize::try_from(size)?];
    let place = u64::try_from((page - 1) * size)?;
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes)?;
    Ok((place, bytes))
}

fn overwrite(path: &Path, place: u64, bytes: &[u8]) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(place))?;
    Ok(file.write_all(bytes)?)
}

/// Runs `insert` on a file of which these indexes then know nothing.
fn behind_indexes(path: &Path, indexes: &[&str], insert: &[&str]) -> Result<()> {
    let before: Vec<_> = indexes.iter().map(|index| root(path, index)).collect::<Result<_>>()?;
    let connection = rusqlite::Connection::open(path)?;
    insert.iter().try_for_each(|text| connection.execute_batch(text))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    drop(connection);
    before.iter().try_for_each(|(place, bytes)| overwrite(path, *place, bytes))
}

fn insert(channels: &[&str]) -> Vec<String> {
    let text = |channel: &&str| {
        format!(
            "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             VALUES ('{channel}', 'm', 1, 2, 3)"
        )
    };
    channels.iter().map(text).collect()
}

/// Four states, of which the unique keys know two.
async fn lacking_two() -> Result<(Home, SqliteFolder)> {
    let folder = SqliteFolder::new()?;
    let home = Home::Sqlite(SqliteFolder::new()?);
    let storage = home.open().await?;
    for channel in ["a", "c"] {
        put(&storage, channel, "m").await?;
    }
    storage.close().await?;
    let Home::Sqlite(file) = &home else { unreachable!("it is a file") };
    let more = insert(&["b", "d"]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    behind_indexes(&file.database(), &["sqlite_autoindex_message_states_1"], &more)?;
    Ok((home, folder))
}

fn path(home: &Home) -> std::path::PathBuf {
    match home {
        Home::Sqlite(folder) => folder.database(),
        Home::Mysql(_) => unreachable!("it is a file"),
    }
}

fn on(home: &Home, arguments: &[&str]) -> Command {
    let mut command = on_sqlite(arguments);
    command.env("DATABASE_PATH", path(home));
    command
}

#[track_caller]
fn tells_of_the_index(stderr: &str) {
    for part in
        ["corrupt-data", "missing from index sqlite_autoindex_message_states_1", "REINDEX", "SQLITE_CORRUPT_INDEX"]
    {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_from_a_file_whose_index_lacks_rows() -> Result<()> {
    let (from, _) = lacking_two().await?;
    let (to, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    for arguments in [&[][..], &["--execute"], &["--execute", "--no-verify"]] {
        let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), arguments), 1);
        tells_of_the_index(&stderr);
        // Also where nobody looks: rows that pages find are counted beside rows that are there.
        let skipping: Vec<&str> = arguments.iter().copied().chain(["--skip-integrity-check"]).collect();
        let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &skipping), 1);
        assert!(stderr.contains("leads to 2 of its 4 rows") && stderr.contains("REINDEX"), "{stderr}");
    }
    assert!(!path(&to).exists());
    let (_, stderr) = run(&mut verify(&from, &from_copy(&from)?, folder.path(), &[]), 1);
    assert!(stderr.contains("leads to 2 of its 4 rows"), "{stderr}");
    // As the message says.
    execute(&from, &["REINDEX"]).await?;
    let (stdout, _) = run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    assert!(stdout.contains("4 rows inserted"), "{stdout}");
    run(&mut verify(&from, &to, folder.path(), &[]), 0);
    Ok(())
}

fn from_copy(home: &Home) -> Result<Home> {
    Ok(Home::Sqlite(SqliteFolder::with_copy_of(&path(home))?))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_into_a_file_whose_index_lacks_rows() -> Result<()> {
    let (to, _) = lacking_two().await?;
    let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    let storage = from.open().await?;
    put(&storage, "b", "newer").await?;
    storage.close().await?;
    let before = std::fs::read(path(&to))?;
    let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 1);
    tells_of_the_index(&stderr);
    run(&mut migrate(&from, &to, folder.path(), &["--execute", "--skip-integrity-check"]), 1);
    assert_eq!(std::fs::read(path(&to))?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_from_a_file_whose_index_lacks_rows() -> Result<()> {
    let (home, _) = lacking_two().await?;
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("backup.ndjson");
    let name = target.display().to_string();
    let (_, stderr) = run(&mut on(&home, &["export", &name]), 1);
    tells_of_the_index(&stderr);
    let (_, stderr) = run(&mut on(&home, &["export", &name, "--skip-integrity-check"]), 1);
    assert!(stderr.contains("leads to 2 of its 4 rows"), "{stderr}");
    let (_, stderr) = run(on(&home, &["export", &name]).env("COFFERDAM_INTEGRITY_CHECK", "off"), 1);
    assert!(stderr.contains("leads to 2 of its 4 rows"), "{stderr}");
    assert!(!target.exists());
    // A bot that exports is told the same.
    let storage = home.open().await?;
    let error = storage.check_integrity().await.expect_err("the index lacks rows");
    assert_eq!((error.kind(), error.code()), (ErrorKind::CorruptData, Some("SQLITE_CORRUPT_INDEX")), "{error}");
    assert_eq!(storage.count_rows().await.expect_err("pages miss rows").kind(), ErrorKind::CorruptData);
    storage.close().await?;
    execute(&home, &["REINDEX"]).await?;
    let (stdout, _) = run(&mut on(&home, &["export", &name]), 0);
    assert!(stdout.starts_with("4 states"), "{stdout}");
    Ok(())
}

/// `check` looks at the first few thousand rows, which costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_remarks_on_an_index_that_lacks_rows() -> Result<()> {
    let (home, _) = lacking_two().await?;
    let (stdout, _) = run(&mut on(&home, &["check", "--json"]), 0);
    let check: Value = serde_json::from_str(&stdout)?;
    assert_eq!(check["remarks"].as_array().map(Vec::len), Some(1), "{check}");
    assert!(check["remarks"][0].as_str().is_some_and(|remark| remark.contains("keys of message_states")), "{check}");
    execute(&home, &["REINDEX"]).await?;
    let check: Value = serde_json::from_str(&run(&mut on(&home, &["check", "--json"]), 0).0)?;
    assert_eq!(check["remarks"].as_array().map(Vec::len), Some(0), "{check}");
    Ok(())
}

/// The index on timestamps leads to no page, and yet a list within a window is short.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_no_page_needs_is_looked_at_too() -> Result<()> {
    let from = Home::sqlite()?;
    let storage = from.open().await?;
    put(&storage, "a", "m").await?;
    storage.close().await?;
    let more = insert(&["b"]);
    behind_indexes(&path(&from), &["idx_message_states_timestamp"], &[&more[0]])?;
    let (to, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 1);
    assert!(stderr.contains("missing from index idx_message_states_timestamp"), "{stderr}");
    // No row is missed without it.
    run(&mut migrate(&from, &to, folder.path(), &["--execute", "--skip-integrity-check"]), 0);
    assert_eq!(dump(&to).await?.0.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_refused_on_a_damaged_file_and_changes_nothing() -> Result<()> {
    let home = Home::sqlite()?;
    make_legacy(&home).await?;
    execute(&home, &insert(&["a"]).iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let all = ["sqlite_autoindex_message_states_1", "idx_message_states_channel_thread"];
    let more = insert(&["b"]);
    behind_indexes(&path(&home), &all, &[&more[0]])?;
    let before = std::fs::read(path(&home))?;
    let (_, stderr) = run(&mut on(&home, &["check"]), 1);
    for part in
        ["corrupt-data: before its upgrade", "sqlite_autoindex_message_states_1", "REINDEX", "SQLITE_CORRUPT_INDEX"]
    {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    let storage = home.storage(std::sync::Arc::new(SystemClock))?;
    let error = storage.initialize().await.expect_err("the index lacks rows");
    assert_eq!(error.kind(), ErrorKind::CorruptData, "{error}");
    assert_eq!(std::fs::read(path(&home))?, before);
    // Whoever wants it so.
    let copy = from_copy(&home)?;
    run(on(&copy, &["check"]).env("COFFERDAM_INTEGRITY_CHECK", "off"), 0);
    // As the message says.
    execute(&home, &["REINDEX"]).await?;
    run(&mut on(&home, &["check"]), 0);
    let storage = home.open().await?;
    assert_eq!(messages(&storage).await?.len(), 2);
    Ok(storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_damaged_is_told_in_sqlites_own_words() -> Result<()> {
    let from = Home::sqlite()?;
    from.open().await?.close().await?;
    fill(&from, &many(2000)).await?;
    let (place, bytes) = root(&path(&from), "idx_message_states_timestamp")?;
    overwrite(&path(&from), place, &vec![0x5a; bytes.len()])?;
    let (to, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &[]), 1);
    for part in ["corrupt-data", ".recover", "SQLITE_CORRUPT"] {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_whether_a_file_was_looked_through() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    let storage = from.open().await?;
    put(&storage, "a", "m").await?;
    assert_eq!(storage.check_integrity().await?, Integrity::Sound);
    storage.close().await?;
    let plan = |arguments: &[&str]| run(&mut migrate(&from, &to, folder.path(), arguments), 0).0;
    let (found, skipped) = (plan(&[]), plan(&["--skip-integrity-check"]));
    assert!(found.contains(&format!("{} passed the integrity check.", from.spec())), "{found}");
    assert!(skipped.contains(&format!("{} was not checked for damage", from.spec())), "{skipped}");
    for (arguments, expected) in [(&["--json"][..], "sound"), (&["--json", "--skip-integrity-check"], "skipped")] {
        let plan: Value = serde_json::from_str(plan(arguments).lines().next().unwrap_or_default())?;
        assert_eq!(plan["from"]["integrity"], expected, "{plan}");
        assert!(plan["to"]["integrity"].is_null(), "{plan}");
    }
    let storage = to.open().await?;
    assert_eq!(storage.check_integrity().await?, Integrity::Nothing);
    Ok(storage.close().await?)
}

/// A value that breaks a rule is no damage: what lists it is the migration.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_breaks_a_rule_is_no_damage_of_the_file() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::sqlite()?, tempfile::tempdir()?);
    let storage = from.open().await?;
    put(&storage, "a", "m").await?;
    storage.close().await?;
    execute(
        &from,
        &[
            "PRAGMA ignore_check_constraints = ON; CREATE TABLE others (x CHECK (x > 0)); INSERT INTO others VALUES \
             (-1)",
            "UPDATE message_states SET created_at = 'yesterday'",
        ],
    )
    .await?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
    Ok(())
}

/// A look that would take too long is given up, and told: what makes it long is a rule of the user's own, which SQLite computes
/// for each row of their table.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_cannot_end_in_time_does_not_keep_a_file_from_its_upgrade() -> Result<()> {
    let home = Home::sqlite()?;
    make_legacy(&home).await?;
    let slow = "PRAGMA ignore_check_constraints = ON; \
                CREATE TABLE slow (x CHECK (length(hex(zeroblob(200000 + x))) > 0)); \
                WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50000) INSERT INTO slow \
                SELECT x FROM n";
    execute(&home, &[slow]).await?;
    let mut config = sqlite_config(&path(&home));
    config.timeouts.initialize = Duration::from_secs(8);
    let storage = Storage::builder(config).build()?;
    storage.initialize().await?;
    assert_eq!(storage.schema_version().await?, Some(2));
    let remarks = storage.remarks().await?;
    assert!(remarks.iter().any(|remark| remark.contains("upgraded without an integrity check")), "{remarks:?}");
    Ok(storage.close().await?)
}
