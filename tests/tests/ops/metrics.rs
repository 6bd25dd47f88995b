//! What is exported is what the documents list, and counts what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::Poll;

use anyhow::{Context, Result, ensure};
use cofferdam::config::MirrorConfig;
use cofferdam::metrics::{Kind, METRICS};
use cofferdam::{MessageState, StorageService};
use cofferdam_tests::harness::storage::sqlite_config;

use crate::rig::{Outage, Rig, begin, healthy, spooling, state};

/// The value of each sample, by its name and labels.
fn samples(text: &str) -> Result<BTreeMap<String, f64>> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_counted_by_what_became_of_them() -> Result<()> {
    let mut outage = Outage::new().await?;
    let rig = Rig::new(spooling(&outage)).await?;
    for _ in 0..3 {
        rig.storage.upsert_message_state(&state("c")).await?;
    }
    rig.storage.get_message_state("c", None).await?;
    let invalid = MessageState::new("", None, "m", 1);
    rig.storage.upsert_message_state(&invalid).await.unwrap_err();
    // One that is given up after it has begun. On a busy machine the server may answer before the first look at its answer.
    let is_given_up = async || {
        let mut begun = pin!(rig.storage.get_all_message_states());
        poll_fn(|context| Poll::Ready(begun.as_mut().poll(context).is_pending())).await
    };
    while !is_given_up().await {}
    begin(&mut outage, &rig.storage).await?;
    assert!(rig.storage.upsert_message_state(&state("c")).await?.is_spooled());

    let text = rig.get("/metrics").await?.body;
    let samples = samples(&text)?;
    let upserts = |rest: &str| {
        let name = format!(
            "db_client_operation_duration_seconds_count{{db_system_name=\"mysql\",db_operation_name=\"upsert_message_state\",\
             db_collection_name=\"message_states\",backend=\"mysql\",{rest}}}"
        );
        samples.get(&name).copied()
    };
    assert_eq!(upserts("outcome=\"ok\""), Some(3.0), "{text}");
    assert_eq!(upserts("outcome=\"spooled\""), Some(1.0), "{text}");
    assert_eq!(upserts("outcome=\"failed\",error_type=\"invalid-input\""), Some(1.0), "{text}");
    assert!(text.contains("db_operation_name=\"get_all_message_states\",db_collection_name=\"message_states\",backend=\"mysql\",outcome=\"cancelled\""), "{text}");
    assert_eq!(samples.get("cofferdam_spool_writes"), Some(&1.0), "{text}");
    assert_eq!(samples.get("cofferdam_breaker_opened_total"), Some(&1.0), "{text}");
    assert_eq!(samples.get("cofferdam_breaker_state{state=\"closed\"}"), Some(&0.0), "{text}");
    assert!(samples.get("cofferdam_pool_connections_opened_total") >= Some(&1.0), "{text}");
    rig.storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_exported_is_listed_and_everything_listed_is_exported() -> Result<()> {
    let (rig, folder) = healthy().await?;
    let second = folder.path().join("second.db");
    rig.storage.close().await?;
    let mut config = rig.storage.storage().config().clone();
    config.mirror = Some(MirrorConfig {
        config: Box::new(sqlite_config(&second)),
        name: format!("sqlite:{}", second.display()),
        shadow_reads: 0.0,
    });
    let rig = Rig::new(config).await?;
    rig.storage.upsert_message_state(&state("c")).await?;
    let text = rig.get("/metrics").await?.body;

    let described: BTreeMap<_, _> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' ')).collect();
    let listed: BTreeMap<_, _> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            (metric.name, kind)
        })
        .collect();
    assert_eq!(described, listed);
    for name in samples(&text)?.keys() {
        let (family, labels) = name.split_once('{').unwrap_or((name, ""));
        let metric = METRICS
            .iter()
            .find(|metric| {
                ["", "_bucket", "_sum", "_count"].iter().any(|end| family == format!("{}{end}", metric.name))
            })
            .with_context(|| name.clone())?;
        let known: BTreeSet<_> = metric.labels.iter().copied().chain(["le"]).collect();
        for label in labels.split("\",").filter_map(|label| label.split_once('=')) {
            ensure!(known.contains(label.0), "{name}: {}", label.0);
        }
    }
    rig.storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing() -> Result<()> {
    let mut outage = Outage::new().await?;
    let rig = Rig::new(spooling(&outage)).await?;
    rig.storage.upsert_message_state(&state("c")).await?;
    begin(&mut outage, &rig.storage).await?;
    rig.storage.upsert_message_state(&state("c")).await?;
    let answer = rig.get("/metrics").await?;
    assert!(answer.head.contains(cofferdam::metrics::CONTENT_TYPE), "{}", answer.head);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool is missing: install the package prometheus")?;
    promtool.stdin.take().context("standard input")?.write_all(answer.body.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "{said}");
    Ok(())
}
