//! Databases of the original bot, once they are upgraded.

use std::path::PathBuf;

use anyhow::Result;
use cofferdam_tests::harness::command::{on, run, run_wrong};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use serde_json::json;

use crate::{Rows, assert_same, empty_homes, file_named, last_event, text};

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", name].iter().collect()
}

async fn from_mysql() -> Result<Home> {
    let options = DatabaseOptions { charset: Some("latin1"), collation: Some("latin1_swedish_ci") };
    let database = MysqlServer::shared().await?.create_database(options).await?;
    let mut connection = database.connect().await?;
    connection.query_drop(std::fs::read_to_string(fixture("legacy-mysql.sql"))?).await?;
    connection.disconnect().await?;
    Ok(Home::Mysql(database))
}

fn from_file(name: &str) -> Result<Home> {
    Ok(Home::Sqlite(SqliteFolder::with_copy_of(&fixture(name))?))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_schema_is_not_exported_and_not_changed() -> Result<()> {
    for home in [from_file("ordinary.db")?, from_mysql().await?] {
        let (_folder, file) = file_named("backup.ndjson")?;
        run_wrong(&mut on(&home, &["export", text(&file)]), 1, &["schema version 1", "cofferdam check"]);
        assert!(!file.exists());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_database_is_exported_exactly() -> Result<()> {
    for home in [from_file("ordinary.db")?, from_file("case-and-spaces.db")?, from_file("empty.db")?] {
        run(&mut on(&home, &["check"]), 0);
        let rows = Rows::of(&home).await?;
        let (_folder, file) = file_named("backup.ndjson")?;
        run(&mut on(&home, &["export", text(&file)]), 0);
        for to in empty_homes().await? {
            run(&mut on(&to, &["import", text(&file)]), 0);
            assert_same(&Rows::of(&to).await?, &rows);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_breaks_a_rule_is_exported_and_told() -> Result<()> {
    for home in [from_file("duplicates.db")?, from_mysql().await?] {
        run(&mut on(&home, &["check", "--timeout", "1m"]), 0);
        let rows = Rows::of(&home).await?;
        let is_broken = |thread: &Option<String>| thread.as_deref() == Some("");
        let line = 2 + rows.states.iter().position(|state| is_broken(&state.thread_id)).expect("an empty thread id");
        let (_folder, file) = file_named("backup.ndjson")?;
        let (_, stderr) = run(&mut on(&home, &["export", text(&file)]), 0);
        let told = format!("line {line}: thread-id is empty: give 1 to 255 characters without NUL");
        assert!(stderr.contains(&told) && stderr.lines().count() == 1, "{stderr}");
        for to in empty_homes().await? {
            let parts = [&*told, "nothing was imported", "--skip-broken"];
            run_wrong(&mut on(&to, &["import", text(&file)]), 8, &parts);
            assert_same(&Rows::of(&to).await?, &Rows::default());
            let mut import = on(&to, &["import", text(&file), "--skip-broken"]);
            let (_, stderr) = run(&mut import, 6);
            assert!(stderr.contains(&told) && stderr.contains("1 rows break a rule"), "{stderr}");
            let mut expected = Rows { states: rows.states.clone(), ownerships: rows.ownerships.clone() };
            expected.states.retain(|state| !is_broken(&state.thread_id));
            assert_same(&Rows::of(&to).await?, &expected);
            let (stdout, _) = run(import.arg("--json"), 6);
            let imported: Vec<serde_json::Value> =
                stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            let imported = imported.iter().find(|event| event["event"] == "imported").expect("a summary");
            assert_eq!(
                (&imported["skipped"], &imported["broken_rules"]["first"][0]["line"]),
                (&json!(1), &json!(line))
            );
        }
        let failed = last_event(&mut on(&empty_homes().await?[0], &["import", text(&file)]), 8);
        assert_eq!(failed["error"]["kind"], "broken-rule");
    }
    Ok(())
}
