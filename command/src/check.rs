//! `cofferdam check`

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::config::{MirrorConfig, OnUnavailable, SpoolConfig, format_duration, misspelt};
use cofferdam::files::marks_beside;
use cofferdam::ops::json;
use cofferdam::resilience::Status;
use cofferdam::resilience::spool::{SpoolContent, inspect};
use cofferdam::sql::sqlite::remark_on_log;
use cofferdam::sql::{PoolStatus, Server};
use cofferdam::{ResilientStorage, StorageService};
use serde_json::{Value, json};

use crate::arguments::positive_duration;
use crate::failure::Failure;
use crate::{open, output, spool};

/// Load the plugin, initialise the database and run a health check.
///
/// Initialising creates missing tables and upgrades an older schema, as a starting bot does. A probe must not do that
/// while another version of the bot runs: give it --no-upgrade.
///
/// An unavailable database is a failure. With COFFERDAM_ON_UNAVAILABLE=degrade it is not: the check reports it and exits
/// with 0, as a liveness probe should. The circuit breaker and the connection pool in the report belong to this process,
/// the spool to the bot. A mirror is checked too, but never changed, and its failure does not fail the check.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam check
  cofferdam check --json
  cofferdam check --no-upgrade --timeout 3s     as a container's readiness probe

Exit codes (standard error names the cause in one line):
  0  healthy
  1  unhealthy
  2  wrong usage, environment or plugin
  3  the database is unavailable or too slow
  4  the database does not exist yet, and --no-upgrade was given")]
pub struct Check {
    /// Deadline for the whole check, such as 500ms or 1m
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    timeout: Duration,
    /// Fail on a missing or older schema instead of creating or upgrading it
    #[arg(long)]
    no_upgrade: bool,
    /// Print a JSON document, also on failure
    #[arg(long)]
    json: bool,
}

struct Report {
    storage: ResilientStorage,
    /// What the database said; an error where it is away and that is no failure.
    database: Result<Answers, Failure>,
    status: Status,
    spool: Option<(PathBuf, SpoolContent)>,
    mirror: Option<Mirror>,
    load: Duration,
}

/// The database in COFFERDAM_MIRROR.
struct Mirror {
    name: String,
    health: Result<(), Failure>,
    /// Rows that the bot has still to bring over, where it has a spool to keep them in.
    waiting: Option<usize>,
}

/// What the check has just made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The file, with its tables.
    File,
    Tables,
    /// The tables, from those of this version.
    Upgrade(u32),
}

struct Answers {
    server: Server,
    schema_version: Option<u32>,
    made: Option<Made>,
    remarks: Vec<String>,
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
                    let database = open::config_for_check().ok().map(|config| json::place(config.database.place()));
                    output::print_json(&json!({ "ok": false, "database": database, "error": failure.json() }))?;
                }
                Err(failure)
            }
        }
    }

    async fn check(&self) -> Result<Report, Failure> {
        let mut config = open::config_for_check()?;
        // Where the time is short, the storage's own deadlines say better what was too slow.
        let limit = self.timeout.mul_f64(0.9);
        for timeout in [&mut config.timeouts.initialize, &mut config.timeouts.operation, &mut config.timeouts.list] {
            *timeout = limit.min(*timeout);
        }
        let may_be_away = config.resilience.on_unavailable == OnUnavailable::Degrade;
        config.resilience.on_unavailable = OnUnavailable::Fail;
        let spool_path = config.resilience.spool.as_ref().map(|spool| spool.path.clone());
        // The bot has the spool open; here it is only looked at.
        let spool = match config.resilience.spool.take().filter(|spool| spool.path.exists()) {
            Some(SpoolConfig { path, .. }) => {
                let content = inspect(&path).map_err(|error| Failure::failed(error.to_string()))?;
                Some((path, content))
            }
            None => None,
        };
        // Here nothing is written that would have to be mirrored.
        let mirror = match config.mirror.take() {
            Some(mirror) => Some(self.ask_mirror(mirror, spool_path.as_deref()).await),
            None => None,
        };

        let start = Instant::now();
        let storage = open::load_resilient(config).await?;
        let load = start.elapsed();
        let asked = self.ask(&storage).await;
        let status = storage.status();
        let mut database = match asked {
            Err(failure) if !(may_be_away && failure.is_unavailable()) => return Err(failure.with_remedy()),
            asked => asked,
        };
        if let (Ok(answers), Some(spool)) = (&mut database, &spool_path) {
            answers.remarks.extend([spool.clone(), marks_beside(spool)].iter().filter_map(|file| remark_on_log(file)));
        }
        storage.close().await.map_err(|error| Failure::from(error).with_remedy())?;
        Ok(Report { storage, database, status, spool, mirror, load })
    }

    async fn ask_mirror(&self, mirror: MirrorConfig, spool: Option<&Path>) -> Mirror {
        let health = async {
            let storage = open::load_to_read(*mirror.config).await?;
            storage.attach().await?;
            storage.health_check().await?;
            Ok(storage.close().await?)
        };
        let limit = self.timeout / 2;
        let health = tokio::time::timeout(limit, health)
            .await
            .unwrap_or_else(|_| Err(Failure::unavailable(format!("no answer within {}", format_duration(limit)))));
        let marks = spool.map(marks_beside).filter(|marks| marks.exists());
        let waiting = marks.and_then(|marks| inspect(&marks).ok()).map(|content| content.entries.len());
        Mirror { name: mirror.name, health, waiting }
    }

    async fn ask(&self, storage: &ResilientStorage) -> Result<Answers, Failure> {
        let start = Instant::now();
        let database = storage.storage().config().database.clone();
        if self.no_upgrade {
            open::initialize_existing(storage.storage(), &database).await?;
        }
        let before = match database.file() {
            Some(file) if !file.exists() => Err(Made::File),
            _ => storage.storage().schema_version().await?.ok_or(Made::Tables),
        };
        storage.initialize().await?;
        let initialize = start.elapsed();
        let start = Instant::now();
        storage.health_check().await?;
        let health = start.elapsed();
        let server = storage.storage().server().await?;
        let schema_version = storage.storage().schema_version().await?;
        let made = match before {
            Err(made) => Some(made),
            Ok(before) if schema_version != Some(before) => Some(Made::Upgrade(before)),
            Ok(_) => None,
        };
        let mut remarks = storage.storage().remarks().await?;
        let names: Vec<_> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        let misspelt = misspelt(names.iter().map(String::as_str));
        remarks.extend(misspelt.iter().map(|(name, meant)| {
            format!(
                "{name} is set, but is not a variable of Cofferdam: set {meant} if that \
                    is meant"
            )
        }));
        Ok(Answers { server, schema_version, made, remarks, initialize, health })
    }
}

impl Report {
    fn text(&self) -> String {
        let backend = self.storage.storage().backend();
        let pool = match self.status.storage.pool {
            Some(PoolStatus { max, open, idle, groups, grouped, .. }) => {
                let shared = match groups {
                    0 => String::new(),
                    _ => format!("; {grouped} writes in {groups} groups"),
                };
                format!("{open} of {max} connections open, {idle} idle{shared}")
            }
            None => "closed".into(),
        };
        let (name, version) = (output::escaped(&backend.name), output::escaped(&backend.version));
        let origin = output::escaped(&output::origin(&self.storage.storage().plugin().origin));
        let mut lines = vec![("plugin", format!("{name} {version}, {origin}"))];
        let place = self.storage.storage().config().database.place().to_string();
        let made = match self.database.as_ref().ok().and_then(|database| database.made) {
            None => String::new(),
            Some(Made::File) => ", just created".into(),
            Some(Made::Tables) => ", tables just created".into(),
            Some(Made::Upgrade(before)) => format!(", just upgraded from schema version {before}"),
        };
        lines.push(("database", format!("{}{made}", output::escaped(&place))));
        match &self.database {
            Ok(database) => {
                let schema = match database.schema_version {
                    Some(version) => format!("version {version}"),
                    None => "none".into(),
                };
                let server = &database.server;
                lines.extend([
                    ("server", format!("{} {}", server.engine.name(), output::escaped(&server.version))),
                    ("schema", schema),
                    ("pool", pool),
                    ("load", milliseconds(self.load)),
                    ("initialize", milliseconds(database.initialize)),
                    ("health", format!("ok, {}", milliseconds(database.health))),
                ]);
                lines.extend(database.remarks.iter().map(|remark| ("remark", output::escaped(remark))));
            }
            Err(failure) => {
                lines.extend([("load", milliseconds(self.load)), ("health", format!("degraded: {}", failure.line()))])
            }
        }
        if let Some((_, content)) = &self.spool {
            lines.push(("spool", format!("{} writes wait", content.entries.len())));
        }
        if let Some(mirror) = &self.mirror {
            let health = match &mirror.health {
                Ok(()) => "ok".into(),
                Err(failure) => format!("away: {}", failure.line()),
            };
            let waiting = mirror.waiting.map(|waiting| format!("; {waiting} rows wait")).unwrap_or_default();
            lines.push(("mirror", format!("{}: {health}{waiting}", output::escaped(&mirror.name))));
        }
        let mut columns = output::Columns::new(&[], &[]);
        for (name, value) in lines {
            columns.add([name.to_owned(), value]);
        }
        columns.text()
    }

    fn json(&self) -> Value {
        let (backend, plugin) = (self.storage.storage().backend(), self.storage.storage().plugin());
        let Status { breaker, storage, last_error, .. } = &self.status;
        let database = self.database.as_ref().ok();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        json!({
            "ok": true,
            "readiness": if database.is_some() { "ready" } else { "degraded" },
            "error": self.database.as_ref().err().map(Failure::json),
            "plugin": {
                "name": backend.name,
                "version": backend.version,
                "path": plugin.origin.path().map(json::file),
                "embedded": plugin.origin.path().is_none(),
                "sha256": plugin.sha256,
            },
            "server": database.map(|database| json!({
                "engine": database.server.engine.name(), "version": database.server.version,
            })),
            "database": json::place(self.storage.storage().config().database.place()),
            "made": database.and_then(|database| database.made).map(|made| match made {
                Made::File => "file",
                Made::Tables => "tables",
                Made::Upgrade(_) => "upgrade",
            }),
            "upgraded_from": database.and_then(|database| match database.made {
                Some(Made::Upgrade(before)) => Some(before),
                _ => None,
            }),
            "schema_version": database.and_then(|database| database.schema_version),
            "remarks": database.map(|database| &database.remarks),
            "breaker": json::breaker(breaker),
            "pool": storage.pool.as_ref().map(json::pool),
            "spool": self.spool.as_ref().map(|(path, content)| spool::summary(path, content)),
            "mirror": self.mirror.as_ref().map(|mirror| json!({
                "name": mirror.name,
                "ok": mirror.health.is_ok(),
                "error": mirror.health.as_ref().err().map(Failure::json),
                "waiting": mirror.waiting,
            })),
            "last_error": last_error.as_ref().map(|last| {
                let mut error = json::error(&last.error);
                error["seconds_ago"] = json!(last.age.as_secs_f64());
                error
            }),
            "plugin_restarts": storage.discards.total(),
            "seconds": {
                "load": self.load.as_secs_f64(),
                "initialize": seconds(database.map(|database| database.initialize)),
                "health": seconds(database.map(|database| database.health)),
            },
        })
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
