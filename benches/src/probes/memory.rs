//! How much memory a host takes, and whether it grows.
//!
//! The host is a process of its own, since this one has held other things before. It starts fresh, has ten instances of
//! the MySQL plugin and nothing to do; then it works.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cofferdam::config::{DatabaseConfig, HostPolicy, HostPort, MysqlConfig, Secret, Tls, TlsMode};
use cofferdam::{Storage, StorageService};
use cofferdam_tests::harness::storage::mysql_config;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Finding, Size, rounded, say};
use crate::contestant::MANY;
use crate::scratch::{self, Durability, Scratch};
use crate::shared::callers::{self, Operate};
use crate::shared::operation::{Operation, Work};
use crate::shared::rows::Rows;

/// The argument with which this program is the host.
pub const CHILD: &str = "memory-child";

/// Instances of the plugin in the idle host.
const INSTANCES: usize = 10;

/// Rounds of concurrent operations after which the instances must be there.
const ROUNDS: usize = 100;

/// What a host does that was just busy is over by then.
const PAUSE: Duration = Duration::from_secs(2);

/// How the host is told how many operations to run.
const OPERATIONS_VARIABLE: &str = "COFFERDAM_BENCH_OPERATIONS";

/// Both figures, of one host.
pub fn take(size: Size) -> Result<Vec<Finding>> {
    let operations: u64 = size.choose(100_000, 1_000_000);
    say(&format!("memory: an idle host, and after {operations} operations"));
    let runtime = Runtime::new()?;
    let database = runtime.block_on(scratch::mysql(Durability::Default))?;
    let DatabaseConfig::Mysql(config) = Scratch::config(&database).database else { bail!("no MySQL database") };
    let output = Command::new(std::env::current_exe()?)
        .args(["probes", CHILD])
        .env(OPERATIONS_VARIABLE, operations.to_string())
        .env("MYSQL_HOST", &config.hosts[0].host)
        .env("MYSQL_PORT", config.hosts[0].port.to_string())
        .env("MYSQL_DATABASE", &config.database)
        .env("MYSQL_USERNAME", &config.username)
        .env("MYSQL_PASSWORD", config.password.expose())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the host ended with {}", output.status);
    let figures: Value = serde_json::from_slice(&output.stdout).context("the host's figures")?;
    let total = |moment: &str| figures[moment]["VmRSS"].as_f64().with_context(|| format!("no figure of {moment}"));
    let (idle, early, late) = (total("idle")?, total("after_a_tenth")?, total("after_all")?);
    let idle_details = json!({ "instances": INSTANCES, "mib": figures["idle"] });
    let growth_details = json!({
        "operations": operations,
        "callers": MANY,
        "instances": figures["instances"],
        "mib": { "idle": figures["idle"], "after_a_tenth": figures["after_a_tenth"], "after_all": figures["after_all"] },
        "growth_from_idle": rounded(late - idle),
    });
    Ok(vec![
        Finding { probe: "memory/idle", value: idle, unit: "MiB", details: idle_details },
        // The first tenth makes an instance for each caller, which stays; after that nothing may be added.
        Finding { probe: "memory/growth", value: late - early, unit: "MiB", details: growth_details },
    ])
}

/// The host. Prints its figures as JSON.
pub fn child() -> Result<()> {
    let operations: u64 = variable(OPERATIONS_VARIABLE)?.parse()?;
    let config = MysqlConfig {
        hosts: vec![HostPort::new(variable("MYSQL_HOST")?, variable("MYSQL_PORT")?.parse()?)],
        host_policy: HostPolicy::Ordered,
        database: variable("MYSQL_DATABASE")?,
        username: variable("MYSQL_USERNAME")?,
        password: Secret::new(variable("MYSQL_PASSWORD")?),
        password_file: None,
        connect_timeout: Duration::from_secs(10),
        round_trip_timeout: Duration::from_secs(30),
        connect_attempts: 1,
        tls: Tls { mode: TlsMode::Disabled, ca: None },
    };
    let figures = Runtime::new()?.block_on(async {
        let storage = Arc::new(Storage::builder(mysql_config(config)).build()?);
        storage.initialize().await?;
        for _ in 0..ROUNDS {
            if storage.status().instances >= INSTANCES {
                break;
            }
            let calls: Vec<_> = (0..INSTANCES)
                .map(|_| {
                    let storage = Arc::clone(&storage);
                    tokio::spawn(async move { storage.health_check().await })
                })
                .collect();
            for call in calls {
                call.await??;
            }
        }
        let instances = storage.status().instances;
        ensure!(instances == INSTANCES, "the host has {instances} instances instead of {INSTANCES}");
        tokio::time::sleep(PAUSE).await;
        let idle = memory()?;
        let host = Arc::new(Host { storage: Arc::clone(&storage), rows: Rows::new() });
        run(&host, 0..operations / 10).await?;
        let after_a_tenth = memory()?;
        run(&host, operations / 10..operations).await?;
        let after_all = memory()?;
        let figures = json!({
            "idle": idle,
            "after_a_tenth": after_a_tenth,
            "after_all": after_all,
            "instances": storage.status().instances,
        });
        storage.close().await?;
        Ok(figures)
    })?;
    println!("{figures}");
    Ok(())
}

async fn run(host: &Arc<Host>, indices: std::ops::Range<u64>) -> Result<()> {
    let work = Work { operation: Operation::Get, callers: MANY, indices };
    callers::run(host, &work).await?;
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

struct Host {
    storage: Arc<Storage>,
    rows: Rows,
}

impl Operate for Host {
    /// Three gets, then an upsert.
    async fn operate(&self, _: &Work, index: u64) -> Result<u64> {
        if index % 4 == 3 {
            self.storage.upsert_message_state(&self.rows.existing(index)).await?;
            return Ok(1);
        }
        let key = self.rows.state(index);
        let found = self.storage.get_message_state(&key.channel_id, key.thread_id.as_deref()).await?;
        self.rows.check_state(index, found)
    }
}

/// What of this process is in memory, in MiB: `VmRSS` in all, of it `RssAnon` its own, `RssFile` mapped from files
/// such as the program, which the system can drop and read again, and `RssShmem` shared.
fn memory() -> Result<BTreeMap<String, f64>> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux's /proc")?;
    let mut found = BTreeMap::new();
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if ["VmRSS", "RssAnon", "RssFile", "RssShmem"].contains(&name) {
            let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
            found.insert(name.to_owned(), rounded(kib / 1024.0));
        }
    }
    Ok(found)
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}
