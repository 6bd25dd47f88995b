//! Faults of a Galera cluster of three real nodes, which all faults of this process take turns with.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use tokio::time::sleep;

use super::Run;
use super::load::{Load, LoadOptions};
use super::look::{self, Found};
use super::mysql::AWAY;
use super::opened::Opened;
use super::scene::{DEADLINE, Scene, recovery};
use super::verdict::{Expected, Recovery, Verdict};
use crate::harness::galera::{Galera, NODES};
use crate::harness::storage::mysql_config;
use crate::harness::wait::until;

/// How soon a cluster that lost a node, or was put together again, serves every caller. Until the others have shut a node
/// out, nobody is served.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// How long something may take that happens by itself, so that a run ends.
const SETTLING: Duration = Duration::from_secs(120);

/// How long the majority stays lost once what was on its way has ended.
const LASTING: Duration = Duration::from_millis(1500);

const EXPECTED: Expected = Expected { recovery: RECOVERY, ..AWAY };

/// What else was seen while a fault lasted.
#[derive(Default)]
struct Seen {
    recovery: Option<Recovery>,
    broken: Vec<String>,
    notes: Vec<String>,
}

impl Seen {
    /// Waits until every caller is served though a node is gone.
    async fn served(&mut self, load: &Load) {
        let recovery = recovery(load).await;
        self.recovery = Some(self.recovery.map_or(recovery, |before| before.worse(recovery)));
    }
}

/// The nodes that come to harm one after the other. Connections lead to the first one to begin with.
fn nodes(run: Run) -> std::ops::Range<usize> {
    0..if run.full { NODES } else { 1 }
}

/// Provokes a fault of a storage on all nodes, and compares with what each of them has.
async fn play(
    name: &str,
    run: Run,
    fault: impl AsyncFnOnce(&mut Galera, &Load, &mut Seen) -> Result<()>,
) -> Result<Verdict> {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let mut cluster = Galera::shared().await?;
    let database = format!("cofferdam_fault_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let result = play_on(&mut cluster, &database, name, run, fault).await;
    if let Err(error) = &result {
        // The next one needs all nodes.
        cluster.heal().await.with_context(|| format!("the cluster cannot be mended after this: {error:#}"))?;
    }
    result
}

async fn play_on(
    cluster: &mut Galera,
    database: &str,
    name: &str,
    run: Run,
    fault: impl AsyncFnOnce(&mut Galera, &Load, &mut Seen) -> Result<()>,
) -> Result<Verdict> {
    cluster.create_database(database).await?;
    let opened = Opened::on(mysql_config(cluster.config(database, &[0, 1, 2])), run.guard).await?;
    let mut seen = Seen::default();
    let scene = Scene { fault: name, expected: EXPECTED, opened: &opened, load: LoadOptions::new(DEADLINE) };
    let played = scene.play(async |load| fault(cluster, load, &mut seen).await).await?;
    let played = match seen.recovery {
        Some(recovery) => played.recovered_also(recovery),
        None => played,
    };
    cluster.wait_whole().await?;
    let mut verdict = played.judge(&look(cluster, 0, database).await?);
    for node in 1..NODES {
        let found = look(cluster, node, database).await?;
        let other = played.judge(&found);
        if (other.lost, other.duplicated) != (verdict.lost, verdict.duplicated) {
            let what = format!("node {node} has {} lost and {} duplicated rows", other.lost, other.duplicated);
            verdict.broken.push(what);
        }
        verdict.lost = verdict.lost.max(other.lost);
        verdict.duplicated = verdict.duplicated.max(other.duplicated);
    }
    verdict.broken.extend(seen.broken);
    verdict.notes.extend(seen.notes);
    opened.service.close().await?;
    Ok(verdict)
}

/// What a node has, once it has everything that the cluster has.
///
/// # Errors
///
/// The node does not answer.
pub async fn look(cluster: &Galera, node: usize, database: &str) -> Result<Found> {
    let mut connection = cluster.administrator(node).await?;
    connection.query_drop(format!("SET SESSION wsrep_sync_wait = 1; USE `{database}`")).await?;
    let found = look::mysql(&mut connection).await?;
    connection.disconnect().await?;
    Ok(found)
}

/// Waits until the others have shut a node out, and a write is in the database again.
async fn until_shut_out(cluster: &Galera, node: usize, load: &Load) -> Result<()> {
    let other = (node + 1) % NODES;
    until("the node is shut out", SETTLING, async || {
        cluster.members(other).await.is_ok_and(|members| members == NODES - 1)
    })
    .await?;
    let before = stored(load);
    until("a write is stored without the node", SETTLING, async || stored(load) > before).await
}

fn stored(load: &Load) -> u64 {
    let tally = load.ledger().tally();
    tally.acknowledged - tally.spooled
}

/// Service comes back without the node, and nobody notices that it joins again.
pub(super) async fn node_killed(name: &'static str, run: Run) -> Result<Verdict> {
    play(name, run, async |cluster, load, seen| {
        for node in nodes(run) {
            cluster.node(node).kill()?;
            seen.served(load).await;
            until_shut_out(cluster, node, load).await?;
            let errors = || load.ledger().tally().errors.values().sum::<u64>();
            let before = errors();
            cluster.start_again(&[node]).await?;
            cluster.wait_whole().await?;
            seen.notes.push(format!("{} errors while node {node} joined again", errors() - before));
        }
        Ok(())
    })
    .await
}

/// The node is shut out before it goes on.
pub(super) async fn node_hung(name: &'static str, run: Run) -> Result<Verdict> {
    play(name, run, async |cluster, load, seen| {
        for node in nodes(run) {
            cluster.node(node).pause()?;
            seen.served(load).await;
            until_shut_out(cluster, node, load).await?;
            cluster.node(node).resume()?;
            let other = (node + 1) % NODES;
            until("the node is back", SETTLING, async || {
                cluster.members(other).await.is_ok_and(|members| members == NODES)
            })
            .await?;
            cluster.wait_whole().await?;
        }
        Ok(())
    })
    .await
}

/// One of three nodes is left, which knows that it has no say.
pub(super) async fn quorum_lost(name: &'static str, run: Run) -> Result<Verdict> {
    play(name, run, async |cluster, load, seen| {
        cluster.node(1).kill()?;
        cluster.node(2).kill()?;
        until("the last node has lost the majority", SETTLING, async || {
            cluster.state(0).await.is_ok_and(|state| state.ends_with("non-Primary"))
        })
        .await?;
        // What was on its way when the majority was lost ends by its deadline.
        sleep(DEADLINE).await;
        let before = stored(load);
        sleep(LASTING).await;
        let more = stored(load) - before;
        if more > 0 {
            seen.broken.push(format!("{more} writes were acknowledged as stored without a majority"));
        }
        cluster.start_again(&[1, 2]).await?;
        cluster.wait_whole().await
    })
    .await
}
