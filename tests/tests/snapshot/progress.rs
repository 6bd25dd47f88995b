//! What is shown while it works.

use anyhow::{Context, Result};
use cofferdam_tests::harness::command::{on, run};
use cofferdam_tests::harness::storage::Home;
use serde_json::Value;

use crate::{Rows, file_named, text};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_json_and_rows_only_grow() -> Result<()> {
    let home = Home::sqlite()?;
    Rows::numbered(150_000, 20_000).write(&home).await?;
    let (_folder, file) = file_named("backup.ndjson")?;
    let to = Home::sqlite()?;
    for (arguments, last) in [
        (["export", text(&file), "--json"].as_slice(), "exported"),
        (&["import", text(&file), "--create", "--json"], "imported"),
    ] {
        let place = if last == "exported" { &home } else { &to };
        let (stdout, stderr) = run(&mut on(place, arguments), 0);
        assert_eq!(stderr, "");
        let events: Vec<Value> = stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let (summary, progress) = events.split_last().context("events")?;
        assert_eq!(summary["event"], last);
        let mut before = 0;
        // The file is looked through first.
        for event in progress.iter().skip_while(|event| event["event"] == "integrity") {
            assert_eq!(event["event"], "progress", "{event}");
            let rows = event["rows"].as_u64().context("rows")?;
            assert!(rows >= before && rows <= 170_000, "{event}");
            before = rows;
        }
        println!("{last}: {} events, {summary}", events.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_to_standard_error_where_the_snapshot_goes_to_standard_output() -> Result<()> {
    let home = Home::sqlite()?;
    Rows::numbered(10, 10).write(&home).await?;
    let (stdout, stderr) = run(&mut on(&home, &["export", "-", "--json"]), 0);
    assert_eq!(stdout.lines().count(), 22);
    let summary: Value = serde_json::from_str(stderr.lines().last().context("a summary")?)?;
    assert_eq!((&summary["event"], &summary["bytes"]), (&"exported".into(), &stdout.len().into()));
    Ok(())
}
