//! `cofferdam check`

use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::config::{format_duration, parse_duration};
use cofferdam::sql::{Engine, PoolStatus, Server};
use cofferdam::{Storage, StorageService};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{open, output};

/// Loads the plugin, initialises the database, and asks whether operations would work.
///
/// Initialising creates missing tables and upgrades an older schema, as a starting bot does. A probe that runs beside
/// another version of the bot must not do that: give it --no-upgrade.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam check
  cofferdam check --json
  cofferdam check --no-upgrade --timeout 3s     as a container's readiness probe

Exit codes, with the cause in one line on standard error:
  0  healthy
  1  unhealthy
  2  wrong usage, environment or plugin
  3  the database is away or too slow
  4  there is no database yet, and --no-upgrade was given")]
pub struct Check {
    /// The longest that everything together may take, such as 500ms or 1m
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    timeout: Duration,
    /// Fail where the schema is missing or older, instead of creating or upgrading it
    #[arg(long)]
    no_upgrade: bool,
    /// Print a JSON document, also when it fails
    #[arg(long)]
    json: bool,
}

/// A duration for an option of the command.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it must be a duration greater than 0, such as 500ms, 30s, 1m30s or 1.5h".into()),
    }
}

struct Report {
    storage: Storage,
    server: Server,
    schema_version: Option<u32>,
    pool: Option<PoolStatus>,
    load: Duration,
    initialize: Duration,
    health: Duration,
}

impl Check {
    pub async fn run(self) -> Result<(), Failure> {
        let late = || {
            let limit = format_duration(self.timeout);
            Failure::unavailable(format!(
                "no answer within {limit}; check that the database answers, or give it longer with --timeout"
            ))
        };
        let result = tokio::time::timeout(self.timeout, self.check()).await.unwrap_or_else(|_| Err(late()));
        match result {
            Ok(report) if self.json => output::print_json(&report.json()),
            Ok(report) => output::print(&report.text()),
            Err(failure) => {
                let failure = failure.in_one_line();
                if self.json {
                    output::print_json(&json!({ "ok": false, "error": failure.json() }))?;
                }
                Err(failure)
            }
        }
    }

    async fn check(&self) -> Result<Report, Failure> {
        let mut config = open::config()?;
        // Where the time is short, the storage's own deadlines say better what was too slow.
        let limit = self.timeout.mul_f64(0.9);
        for timeout in [&mut config.timeouts.initialize, &mut config.timeouts.operation, &mut config.timeouts.list] {
            *timeout = limit.min(*timeout);
        }
        let database = config.database.clone();

        let start = Instant::now();
        let storage = open::load(config).await?;
        let load = start.elapsed();

        let start = Instant::now();
        if self.no_upgrade {
            open::initialize_existing(&storage, &database).await.map_err(Failure::with_remedy)?;
        } else {
            storage.initialize().await.map_err(|error| Failure::from(error).with_remedy())?;
        }
        let initialize = start.elapsed();

        let remedied = |error: cofferdam::Error| Failure::from(error).with_remedy();
        let start = Instant::now();
        storage.health_check().await.map_err(remedied)?;
        let health = start.elapsed();

        let server = storage.server().await.map_err(remedied)?;
        let schema_version = storage.schema_version().await.map_err(remedied)?;
        let pool = storage.status().pool;
        storage.close().await.map_err(remedied)?;
        Ok(Report { storage, server, schema_version, pool, load, initialize, health })
    }
}

impl Report {
    fn text(&self) -> String {
        let backend = self.storage.backend();
        let schema = match self.schema_version {
            Some(version) => format!("version {version}"),
            None => "none".into(),
        };
        let pool = match self.pool {
            Some(pool) => format!("{} of {} connections open, {} idle", pool.open, pool.max, pool.idle),
            None => "closed".into(),
        };
        let mut columns = output::Columns::new(&[], &[]);
        for (name, value) in [
            ("plugin", format!("{} {}", output::escaped(&backend.name), output::escaped(&backend.version))),
            ("server", format!("{} {}", engine_name(self.server.engine), output::escaped(&self.server.version))),
            ("schema", schema),
            ("pool", pool),
            ("load", milliseconds(self.load)),
            ("initialize", milliseconds(self.initialize)),
            ("health", format!("ok, {}", milliseconds(self.health))),
        ] {
            columns.add([name.to_owned(), value]);
        }
        columns.text()
    }

    fn json(&self) -> Value {
        let backend = self.storage.backend();
        json!({
            "ok": true,
            "plugin": { "name": backend.name, "version": backend.version },
            "server": { "engine": engine_name(self.server.engine), "version": self.server.version },
            "schema_version": self.schema_version,
            "pool": self.pool.map(|pool| json!({
                "max": pool.max, "open": pool.open, "idle": pool.idle, "waiting": pool.waiting,
            })),
            "seconds": {
                "load": self.load.as_secs_f64(),
                "initialize": self.initialize.as_secs_f64(),
                "health": self.health.as_secs_f64(),
            },
        })
    }
}

pub fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Mysql => "mysql",
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
