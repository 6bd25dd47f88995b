//! Exact, on both backends and across them.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Context, Result};
use cofferdam::{MessageState, StorageService, ThreadOwnership, TransferService};
use cofferdam_tests::harness::command::{on, run, run_wrong};
use cofferdam_tests::harness::storage::Home;
use serde_json::json;

use crate::{Rows, assert_same, empty_homes, file_named, last_event, text};

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_kept_on_both_backends_and_across_them() -> Result<()> {
    let rows = Rows::numbered(11_000, 6_000).with_longest();
    for from in empty_homes().await? {
        rows.write(&from).await?;
        assert_same(&Rows::of(&from).await?, &rows);
        for name in ["backup.ndjson", "backup.ndjson.zst"] {
            let (_folder, file) = file_named(name)?;
            let exported = last_event(&mut on(&from, &["export", text(&file)]), 0);
            assert_eq!(
                (&exported["event"], &exported["message_states"], &exported["thread_ownerships"]),
                (&json!("exported"), &json!(11_001), &json!(6_001))
            );
            assert_eq!(exported["bytes"], std::fs::metadata(&file)?.len());
            for to in empty_homes().await? {
                let imported = last_event(&mut on(&to, &["import", text(&file)]), 0);
                assert_eq!(imported["message_states"], json!({ "inserted": 11_001, "replaced": 0, "kept": 0 }));
                assert_eq!(imported["thread_ownerships"], json!({ "inserted": 6_001, "replaced": 0, "kept": 0 }));
                assert_eq!(imported["sha256"], exported["sha256"]);
                assert_same(&Rows::of(&to).await?, &rows);
                println!("{} to {} by {name}: equal", from.name(), to.name());
                let again = last_event(&mut on(&to, &["import", text(&file)]), 0);
                assert_eq!(again["message_states"], json!({ "inserted": 0, "replaced": 0, "kept": 11_001 }));
                assert_same(&Rows::of(&to).await?, &rows);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backends_write_the_same_lines() -> Result<()> {
    let rows = Rows::numbered(300, 100);
    let mut lines = Vec::new();
    for home in empty_homes().await? {
        rows.write(&home).await?;
        let (stdout, stderr) = run(&mut on(&home, &["export", "-"]), 0);
        assert_eq!(
            stderr.trim_end(),
            format!("300 states and 100 ownerships exported to standard output, {} bytes", stdout.len())
        );
        let body: Vec<_> = stdout.lines().map(str::to_owned).collect();
        assert!(body[0].contains(home.name()), "{}", body[0]);
        lines.push(body[1..body.len() - 1].to_vec());
    }
    assert_eq!(lines[0], lines[1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_a_snapshot_too() -> Result<()> {
    for home in empty_homes().await? {
        let (_folder, file) = file_named("empty.zst")?;
        run(&mut on(&home, &["export", text(&file)]), 0);
        let (table, _) = run(&mut on(&home, &["import", text(&file)]), 0);
        assert_eq!(
            table,
            "ROWS        INSERTED  REPLACED  KEPT\nstates             0         0     0\nownerships         0         0     0\n"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_row_wins_and_equal_keeps_what_is_there() -> Result<()> {
    let state = |channel: &str, message: &str, updated_at| MessageState {
        created_at: updated_at - 1,
        updated_at,
        ..MessageState::new(channel, None, message, 7)
    };
    let ownership = |thread: &str, user: &str, updated_at| ThreadOwnership {
        created_at: updated_at - 1,
        updated_at,
        ..ThreadOwnership::new(thread, user, "b", 7)
    };
    let of = |who: &str, times: [Option<i64>; 4]| Rows {
        states: (1..).zip(times).filter_map(|(n, time)| Some(state(&n.to_string(), who, time?))).collect(),
        ownerships: (1..).zip(times).filter_map(|(n, time)| Some(ownership(&n.to_string(), who, time?))).collect(),
    };
    let source = of("file", [Some(20), Some(20), Some(20), Some(20)]);
    let (_folder, file) = file_named("backup.ndjson")?;
    let from = Home::sqlite()?;
    source.write(&from).await?;
    run(&mut on(&from, &["export", text(&file)]), 0);
    for to in empty_homes().await? {
        of("database", [None, Some(19), Some(20), Some(21)]).write(&to).await?;
        let imported = last_event(&mut on(&to, &["import", text(&file)]), 0);
        for kind in ["message_states", "thread_ownerships"] {
            assert_eq!(imported[kind], json!({ "inserted": 1, "replaced": 1, "kept": 2 }), "{imported}");
        }
        let storage = to.open().await?;
        let states = storage.export_message_states(None, 10).await?;
        let who: Vec<_> = states.iter().map(|state| (state.last_message_id.as_str(), state.created_at)).collect();
        assert_eq!(who, [("file", 19), ("file", 19), ("database", 19), ("database", 20)]);
        let ownerships = storage.export_thread_ownerships(None, 10).await?;
        let who: Vec<_> = ownerships.iter().map(|row| (row.original_user_id.as_str(), row.created_at)).collect();
        assert_eq!(who, [("file", 19), ("file", 19), ("database", 19), ("database", 20)]);
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_travels_through_a_pipe() -> Result<()> {
    let rows = Rows::numbered(12_000, 10);
    let [from, to] = empty_homes().await?;
    rows.write(&from).await?;
    for flags in [&["export", "-"][..], &["export", "-", "--zstd"]] {
        let mut export = on(&from, flags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let pipe = export.stdout.take().context("a pipe")?;
        let imported = last_event(on(&to, &["import", "-"]).stdin(pipe), 0);
        assert!(export.wait()?.success());
        assert_eq!(imported["event"], "imported");
        assert_same(&Rows::of(&to).await?, &rows);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn import_creates_a_database_only_where_it_is_told_to() -> Result<()> {
    let rows = Rows::numbered(10, 10);
    let (_folder, file) = file_named("backup.ndjson")?;
    let from = Home::sqlite()?;
    rows.write(&from).await?;
    run(&mut on(&from, &["export", text(&file)]), 0);
    for to in [Home::sqlite()?, Home::mysql().await?] {
        run_wrong(&mut on(&to, &["import", text(&file)]), 4, &["cofferdam check"]);
        run(&mut on(&to, &["import", text(&file), "--create"]), 0);
        assert_same(&Rows::of(&to).await?, &rows);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_needs_no_database_and_says_what_is_in_it() -> Result<()> {
    let (_folder, file) = file_named("backup.ndjson.zst")?;
    let home = Home::sqlite()?;
    Rows::numbered(30, 20).write(&home).await?;
    run(&mut on(&home, &["export", text(&file)]), 0);
    let nowhere = Home::sqlite()?;
    let (stdout, _) = run(on(&nowhere, &["import", "-", "--dry-run"]).stdin(File::open(&file)?), 0);
    for part in
        ["whole: 30 states and 20 ownerships, exported 20", " by cofferdam ", " from sqlite ", "schema version 2"]
    {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
    let event = last_event(&mut on(&nowhere, &["import", text(&file), "--dry-run"]), 0);
    assert_eq!((&event["event"], &event["message_states"]), (&json!("verified"), &json!(30)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_written_meanwhile_are_whole_and_no_other_is_lost() -> Result<()> {
    let rows = Rows::numbered(30_000, 0);
    for home in empty_homes().await? {
        rows.write(&home).await?;
        let (_folder, file) = file_named("backup.ndjson")?;
        let storage = home.open().await?;
        let mut export = on(&home, &["export", text(&file)]).stdout(Stdio::null()).spawn()?;
        let mut written = 0;
        while export.try_wait()?.is_none() {
            let state = MessageState::new(format!("c{:08}-new", written * 37 % 10_000), None, "new", 1);
            storage.upsert_message_state(&state).await?;
            written += 1;
        }
        assert!(export.wait()?.success() && written > 0);
        storage.close().await?;
        let to = Home::sqlite()?;
        run(&mut on(&to, &["import", text(&file), "--create"]), 0);
        let Rows { states, .. } = Rows::of(&to).await?;
        let (new, old): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| state.last_message_id == "new");
        println!("{}: {} of {written} rows that were written meanwhile are in the snapshot", home.name(), new.len());
        assert!(new.iter().all(|state| state.last_seen_timestamp == 1 && state.thread_id.is_none()));
        assert_same(&Rows { states: old, ownerships: Vec::new() }, &rows);
    }
    Ok(())
}
