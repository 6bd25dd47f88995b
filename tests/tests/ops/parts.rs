//! Parts of the program around a storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use cofferdam::ops::{Part, Standing};
use cofferdam::{ResilientStorage, StorageService};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::sqlite_config;
use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_programs_own_is_shown_wherever_those_of_the_storage_are() -> Result<()> {
    let folder = SqliteFolder::new()?;
    let storage = Arc::new(ResilientStorage::builder(sqlite_config(&folder.database())).build()?);
    storage.initialize().await?;
    let events = Arc::new(AtomicU64::new(7));
    let seen = events.clone();
    let rig = Rig::showing(storage, |ops| {
        let gateway = move || match seen.load(Ordering::Relaxed) {
            0 => Part::new("gateway", Standing::Failed, "<b>gone</b>")
                .since(Duration::from_secs(90))
                .advice("Look at the chat's own status page."),
            events => Part::new("gateway", Standing::Ok, "connected")
                .figure("events_seen", events)
                .figure("region", "<eu>")
                .figure("shards", json!([{ "shard": 0 }])),
        };
        ops.part(gateway).part(|| Part::new("answers", Standing::Degraded, "slow"))
    })
    .await?;

    let ready = rig.get("/readyz").await?;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(
        ready.body.starts_with("gateway   ok        connected\nanswers   degraded  slow\nstorage   ok"),
        "{}",
        ready.body
    );
    let status: Value = serde_json::from_str(&rig.get("/status.json").await?.body)?;
    assert_eq!(status["ready"], true);
    let figures = json!({ "events_seen": 7, "region": "<eu>", "shards": [{ "shard": 0 }] });
    let gateway = json!({
        "name": "gateway", "standing": "ok", "reason": "connected", "since_seconds": null, "figures": figures,
    });
    assert_eq!(status["parts"][0], gateway);
    assert_eq!((&status["parts"][2]["name"], &status["parts"][2]["figures"]), (&json!("storage"), &Value::Null));
    let page = rig.get("/").await?.body;
    assert!(page.contains("<title>Works, but something is wrong"), "{page}");
    assert!(page.contains("<span>events seen <b>7</b></span>") && page.contains("<b>&lt;eu&gt;</b>"), "{page}");
    assert!(!page.contains("shards"), "lists are for scripts: {page}");

    events.store(0, Ordering::Relaxed);
    let ready = rig.get("/readyz").await?;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(ready.body.starts_with("gateway   failed    <b>gone</b> for 1m30s\n"), "{}", ready.body);
    let status: Value = serde_json::from_str(&rig.get("/status.json").await?.body)?;
    assert_eq!((&status["ready"], &status["parts"][0]["since_seconds"]), (&false.into(), &90.0.into()));
    let page = rig.get("/").await?.body;
    assert!(page.contains("<title>Not ready") && page.contains("Look at the chat&#39;s own status page."), "{page}");
    assert!(page.contains("&lt;b&gt;gone") && !page.contains("<b>gone"), "{page}");
    Ok(rig.storage.close().await?)
}
