//! Liveness and readiness, as a kubelet asks for them.

use anyhow::Result;
use cofferdam::resilience::Readiness;
use cofferdam::{ResilientStorage, StorageService};
use cofferdam_tests::harness::wait::until;
use serde_json::Value;
use std::sync::Arc;

use crate::kubelet::Kubelet;
use crate::rig::{Outage, Rig, SOON, begin, healthy, paused, plain, spooling, state, until_open};

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_is_ready_from_initialize_to_close() -> Result<()> {
    let (rig, folder) = healthy().await?;
    let answer = rig.get("/readyz").await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("storage   ok        initialised"), "{}", answer.body);
    assert!(answer.body.contains("spool     ok        empty"), "{}", answer.body);
    assert!(answer.body.ends_with("ready\n"), "{}", answer.body);
    assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    rig.storage.close().await?;
    let answer = rig.get("/readyz").await?;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("storage   failed    not initialised, or closed"), "{}", answer.body);
    assert_eq!(rig.get("/livez").await?.status, 200);
    assert_eq!(rig.get("/nothing").await?.status, 404);
    drop(folder);
    Ok(())
}

/// Ten minutes without the database: no bot is restarted, and each is ready as its policy says.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_restarts_nothing_in_a_long_outage() -> Result<()> {
    let mut outage = Outage::new().await?;
    let plain = Rig::new(plain(&outage)).await?;
    let spooling = Rig::new(spooling(&outage)).await?;
    let (mut of_plain, mut of_spooling) = (Kubelet::default(), Kubelet::default());
    tokio::try_join!(of_plain.watch(&plain, 1), of_spooling.watch(&spooling, 1))?;
    assert!(of_plain.is_ready && of_spooling.is_ready);
    begin(&mut outage, &plain.storage).await?;
    until_open(&spooling.storage).await?;
    tokio::try_join!(of_plain.watch(&plain, 10), of_spooling.watch(&spooling, 10))?;
    assert!(!of_plain.is_ready && of_spooling.is_ready, "{of_plain:?} {of_spooling:?}");
    outage.start_again().await?;
    until("both work again", SOON, async || {
        plain.storage.health_check().await.is_ok() && spooling.storage.health_check().await.is_ok()
    })
    .await?;
    tokio::try_join!(of_plain.watch(&plain, 1), of_spooling.watch(&spooling, 1))?;
    assert!(of_plain.is_ready && of_spooling.is_ready, "{of_plain:?} {of_spooling:?}");
    // Ready at the start, and the one without a spool not in between.
    assert_eq!((of_plain.changes, of_spooling.changes), (3, 1));
    assert_eq!((of_plain.restarts, of_spooling.restarts), (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_takes_readiness_away_without_a_spool_and_liveness_never() -> Result<()> {
    let mut outage = Outage::new().await?;
    let plain = Rig::new(plain(&outage)).await?;
    let spooling = Rig::new(spooling(&outage)).await?;
    for rig in [&plain, &spooling] {
        assert_eq!(rig.get("/readyz").await?.status, 200);
    }
    begin(&mut outage, &plain.storage).await?;
    until("the other one knows too", SOON, async || {
        let _ = spooling.storage.health_check().await;
        spooling.storage.status().breaker.since.is_some()
    })
    .await?;
    let (without, with) = (plain.get("/readyz").await?, spooling.get("/readyz").await?);
    assert_eq!((without.status, with.status), (503, 200), "{} {}", without.body, with.body);
    assert!(without.body.contains("database  failed    unavailable: "), "{}", without.body);
    assert!(with.body.contains("database  degraded  unavailable: "), "{}", with.body);
    for number in 0..10 {
        assert!(spooling.storage.upsert_message_state(&state(&number.to_string())).await?.is_spooled());
        let degraded = number >= 4;
        let body = spooling.get("/readyz").await?.body;
        let part = if number == 9 {
            "failed"
        } else if degraded {
            "degraded"
        } else {
            "ok"
        };
        assert!(body.contains(&format!("spool     {part:8}  ")), "{number}: {body}");
    }
    let full = spooling.get("/readyz").await?;
    assert_eq!(full.status, 503, "{}", full.body);
    assert!(full.body.contains("full: 10 writes wait, and further ones fail"), "{}", full.body);
    outage.start_again().await?;
    until("both are ready again", SOON, async || {
        let mut ready = true;
        for rig in [&plain, &spooling] {
            let answer = rig.get("/readyz").await;
            ready &= answer.is_ok_and(|answer| answer.status == 200 && !answer.body.contains("degraded"));
        }
        ready
    })
    .await?;
    plain.storage.close().await?;
    Ok(spooling.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_started_without_its_database_says_since_when_and_why() -> Result<()> {
    let mut outage = Outage::new().await?;
    let config = plain(&outage);
    outage.kill()?;
    let rig = Rig::over(Arc::new(ResilientStorage::builder(config).build()?)).await?;
    assert!(rig.get("/readyz").await?.body.contains("not initialised"));
    rig.storage.initialize().await?;
    let answer = rig.get("/readyz").await?;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("storage   failed    started without its database: "), "{}", answer.body);
    assert!(answer.body.contains("[2002]"), "{}", answer.body);
    let status: Value = serde_json::from_str(&rig.get("/status.json").await?.body)?;
    assert_eq!((&status["readiness"], &status["ready"]), (&"degraded".into(), &false.into()));
    outage.start_again().await?;
    until("it initialises by itself", SOON, async || rig.storage.status().readiness == Readiness::Ready).await?;
    assert_eq!(rig.get("/readyz").await?.status, 200);
    Ok(rig.storage.close().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_left_alone_is_not_ready() -> Result<()> {
    let (rig, _folder) = paused().await?;
    let answer = rig.get("/readyz").await?;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("plugin    failed    paused after failures"), "{}", answer.body);
    let status: Value = serde_json::from_str(&rig.get("/status.json").await?.body)?;
    assert!(status["plugin"]["discarded"]["trapped"].as_u64() >= Some(5), "{status}");
    assert!(status["plugin"]["paused_seconds"].as_f64() > Some(0.0), "{status}");
    Ok(())
}
