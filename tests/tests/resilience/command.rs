//! What operators see of an outage: `cofferdam check` and `cofferdam spool`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use cofferdam::StorageService;
use cofferdam_tests::harness::command::{on_mysql, on_sqlite, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::Value;

use crate::rig::{Rig, start, state};

fn json(command: &mut Command, code: i32) -> Result<Value> {
    Ok(serde_json::from_str(&run(command, code).0)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_is_looked_at_exported_and_replayed() -> Result<()> {
    let mut rig = Rig::new().await?;
    let storage = start(rig.spooling()).await?;
    rig.kill()?;
    for channel in ["a", "b", "c"] {
        assert!(storage.upsert_message_state(&state(channel, "spooled")).await?.is_spooled());
    }
    let file = rig.folder.path().join("spool");
    let on_server = |arguments: &[&str]| {
        let mut command = on_mysql(&rig.database.config(), arguments);
        command.env("COFFERDAM_SPOOL", &file);
        command
    };
    // While the bot has it open.
    let status = json(&mut on_server(&["spool", "status", "--json"]), 0)?;
    assert_eq!((status["waiting"].as_u64(), status["rejected"].as_u64()), (Some(3), Some(0)));
    let (_, stderr) = run(&mut on_server(&["spool", "replay", "--timeout", "2s"]), 3);
    assert!(stderr.contains("cannot connect to") || stderr.contains("in use"), "{stderr}");
    let check = json(on_server(&["check", "--json"]).env("COFFERDAM_ON_UNAVAILABLE", "degrade"), 0)?;
    assert_eq!((check["readiness"].as_str(), check["spool"]["waiting"].as_u64()), (Some("degraded"), Some(3)));
    assert_eq!(check["error"]["kind"], "unavailable");
    assert_eq!(json(&mut on_server(&["check", "--json"]), 3)?["ok"], false);
    storage.close().await?;

    let (lines, _) = run(&mut on_server(&["spool", "export"]), 0);
    let channels: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let channels: Vec<_> = channels.iter().map(|line| line["message_state"]["channel_id"].as_str()).collect();
    assert_eq!(channels, [Some("a"), Some("b"), Some("c")]);

    rig.start_again().await?;
    let mut replay = on_mysql(&rig.database.config(), &["spool", "replay"]);
    let (text, _) = run(replay.arg(&file), 0);
    assert_eq!(text, "3 stored, 0 superseded by newer rows, 0 refused, 0 waiting\n");
    let mut check = on_mysql(&rig.database.config(), &["check", "--json"]);
    let check = json(check.env("COFFERDAM_SPOOL", &file), 0)?;
    assert_eq!((check["breaker"]["state"].as_str(), check["spool"]["waiting"].as_u64()), (Some("closed"), Some(0)));
    assert_eq!((&check["last_error"], check["plugin_restarts"].as_u64()), (&Value::Null, Some(0)));
    let mut get = on_mysql(&rig.database.config(), &["state", "get", "c", "--json"]);
    assert_eq!(json(&mut get, 0)?["last_message_id"], "spooled");
    Ok(())
}

#[test]
fn a_mirror_is_reported_and_its_absence_is_no_failure() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let mirror = folder.path().join("mirror.db");
    let variables = |command: &mut Command| {
        command
            .env("DATABASE_PATH", folder.path().join("own.db"))
            .env("COFFERDAM_MIRROR", format!("sqlite:{}", mirror.display()))
            .env("COFFERDAM_PLUGINS", Path::new(plugins::SQLITE).parent().expect("components lie in a folder"));
    };
    let mut command = on_sqlite(&["check", "--json"]);
    variables(&mut command);
    let away = json(&mut command, 0)?;
    assert_eq!((away["ok"].as_bool(), away["mirror"]["ok"].as_bool()), (Some(true), Some(false)));
    assert!(!mirror.exists(), "a check makes no database of a mirror");
    let mut command = on_sqlite(&["check"]);
    command.env("DATABASE_PATH", &mirror);
    run(&mut command, 0);
    let mut command = on_sqlite(&["check"]);
    variables(&mut command);
    let (text, _) = run(&mut command, 0);
    let line = text.lines().find(|line| line.starts_with("mirror")).context("a line for the mirror")?;
    assert!(line.ends_with("mirror.db: ok"), "{line}");
    Ok(())
}

#[test]
fn a_spool_that_is_not_there_or_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let (_, stderr) = run(on_sqlite(&["spool", "status"]).arg(&missing), 4);
    assert!(stderr.contains("does not exist") && stderr.contains("missing"), "{stderr}");
    let text = folder.path().join("text");
    std::fs::write(&text, "a text").unwrap();
    for arguments in [["spool", "status"], ["spool", "export"], ["spool", "replay"]] {
        let (_, stderr) = run(on_sqlite(&arguments).arg(&text), 1);
        assert!(stderr.contains("text cannot be used: file is not a database"), "{stderr}");
    }
    let (_, stderr) = run(&mut on_sqlite(&["spool", "status"]), 2);
    assert!(stderr.contains("<FILE>"), "{stderr}");
}
