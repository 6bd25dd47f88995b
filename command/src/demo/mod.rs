//! `cofferdam demo`: a bot is killed in the middle of its work, and nothing is lost or answered twice.

mod bot;
mod events;
mod gateway;
mod snowflake;
mod supervisor;
mod verdict;
mod wire;

use std::ffi::OsString;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use cofferdam::Config;
use cofferdam::files::FileUse;
use jiff::Timestamp;

pub use self::bot::DemoBot;
use self::events::Script;
use self::gateway::Gateway;
use self::supervisor::{Plan, Supervisor};
use crate::failure::Failure;
use crate::{open, output};

/// The events that are played where no others are given; `command/demo/make_events.py` made them.
const EVENTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/events.ndjson"));

/// Run a demo: kill a bot while it works, restart it, and verify that no message was lost or answered twice.
///
/// The demo plays half an hour of a chat server to the bot. The bot is a separate process, and it is killed with SIGKILL. It
/// answers messages that mention it, and all messages in threads that it created. It replies first and records the message
/// afterwards. After a kill it repeats the reply whose outcome is unknown, with the same nonce; Discord's `enforce_nonce`
/// makes that idempotent. At the end the demo verifies the replies and the rows in the database.
///
/// The database is a SQLite file in a folder that is removed afterwards, or the server that DATABASE_TYPE=mysql and the
/// MYSQL_ variables name. On a server the rows stay; every run uses new ids and touches no other row. The events are moved
/// in time so that the last one happens now.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cofferdam demo
  cofferdam demo --kill-at 300,900,1500 --kill-when event
  cofferdam demo --events captured.ndjson --database demo.db --json
  python3 command/demo/make_events.py | cofferdam demo --events -

Events are Discord gateway events as NDJSON, beginning with a READY:
  {\"op\":0,\"t\":\"READY\",\"d\":{\"user\":{\"id\":\"9\"}}}
  {\"op\":0,\"t\":\"MESSAGE_CREATE\",\"d\":{\"id\":\"1\",\"channel_id\":\"2\",...}}
  {\"op\":0,\"t\":\"THREAD_CREATE\",\"d\":{\"id\":\"3\",\"parent_id\":\"2\",...}}

Exit codes:
  0  verified: no message was lost or answered twice
  1  verification failed, or the demo could not run
  2  wrong usage, environment, plugin or events
  3  the database is unavailable or too slow")]
pub struct Demo {
    /// Play these events instead of the built-in ones; - is standard input
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Use this SQLite file and keep it
    #[arg(long, value_name = "PATH")]
    database: Option<PathBuf>,
    /// Keep the folder with the replies and the database, and print its path
    #[arg(long)]
    keep: bool,
    /// Kill the bot at these events, counted from 1 [default: half-way]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    kill_at: Vec<usize>,
    /// When to kill the bot
    #[arg(long, value_enum, default_value_t = KillWhen::Reply)]
    kill_when: KillWhen,
    /// Number of events between the kill and the restart [default: an eighth of all]
    #[arg(long, value_name = "N")]
    outage: Option<usize>,
    /// Print the report as a JSON document, and the progress to standard error
    #[arg(long)]
    json: bool,
}

/// What the bot's environment has beside this process's own.
pub type Environment = Vec<(&'static str, OsString)>;

/// The moment of a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KillWhen {
    /// Right after the event was sent, whatever the bot is doing
    Event,
    /// At the next reply, after it was created and before the bot knows
    Reply,
}

/// Says what is happening.
#[derive(Clone, Copy)]
pub struct Narrator {
    to_stderr: bool,
}

impl Narrator {
    pub fn say(self, what: &str, text: &str) -> Result<(), Failure> {
        let line = format!("{what:<10}{text}");
        if self.to_stderr {
            output::say(&line);
            return Ok(());
        }
        output::print(&line)
    }
}

impl Demo {
    pub async fn run(self) -> Result<(), Failure> {
        let narrator = Narrator { to_stderr: self.json };
        let mut script = self.script().map_err(Failure::usage)?;
        script.shift_to(Timestamp::now().as_millisecond()).map_err(Failure::usage)?;
        let plan = self.plan(script.lines.len())?;

        let expected = verdict::Expected::of(&script);
        narrator.say("events", &expected.summary())?;
        let scratch = tempfile::Builder::new().prefix("cofferdam-demo-").tempdir().context("no folder for the demo")?;
        let (config, environment) = self.database(&scratch, &script, &plan, narrator)?;
        let log = scratch.path().join("replies.ndjson");

        let gateway = Gateway::new(script, &log)?;
        let mut supervisor = Supervisor { gateway, plan, environment, narrator };
        supervisor.run().await?;

        narrator.say("proof", "reading the replies and the database")?;
        let storage = open::load(config).await?;
        let report = expected.judge(&storage, &log, &supervisor.gateway).await?;
        if self.json {
            output::print_json(&report.json())?;
        } else {
            output::print(&format!("\n{}", report.text()))?;
        }
        if self.keep {
            narrator.say("kept", &scratch.keep().display().to_string())?;
        } else {
            scratch.close().context("the demo's folder cannot be removed")?;
        }
        report.result()
    }

    fn script(&self) -> Result<Script, String> {
        match &self.events {
            None => Script::read("the demo's own events", EVENTS.as_bytes()),
            Some(path) if path.as_os_str() == "-" => Script::read("standard input", BufReader::new(std::io::stdin())),
            Some(path) => {
                let name = path.display().to_string();
                let file = std::fs::File::open(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
                Script::read(&name, BufReader::new(file))
            }
        }
    }

    fn plan(&self, events: usize) -> Result<Plan, Failure> {
        let mut kills = if self.kill_at.is_empty() { vec![events.div_ceil(2)] } else { self.kill_at.clone() };
        kills.sort_unstable();
        if let Some(wrong) = kills.iter().find(|kill| **kill == 0 || **kill > events) {
            return Err(Failure::usage(format!("--kill-at {wrong}: there are {events} events, counted from 1")));
        }
        Ok(Plan { kills, when: self.kill_when, outage: self.outage.unwrap_or(events / 8) })
    }

    /// The configuration for looking at the database afterwards, and the environment that gives the bot the same.
    fn database(
        &self,
        scratch: &tempfile::TempDir,
        script: &Script,
        plan: &Plan,
        narrator: Narrator,
    ) -> Result<(Config, Environment), Failure> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let mut environment = Environment::new();
        let mysql = std::env::var_os("DATABASE_TYPE").is_some_and(|kind| kind == "mysql");
        if mysql && self.database.is_some() {
            return Err(Failure::usage("--database names a SQLite file, and DATABASE_TYPE is mysql: use one of them"));
        }
        if !mysql {
            // Whatever DATABASE_PATH says: that is the database of a real bot.
            let path = match &self.database {
                Some(path) => open::named("--database", path, FileUse::Database)?,
                None => scratch.path().join("bot_state.db"),
            };
            environment.push(("DATABASE_PATH", path.into_os_string()));
        }
        let needed = plan.longest_outage(script);
        if !is_set("MESSAGE_RECOVERY_WINDOW_MINUTES") {
            let minutes = needed.as_secs().div_ceil(60).clamp(5, 525_600);
            environment.push(("MESSAGE_RECOVERY_WINDOW_MINUTES", minutes.to_string().into()));
        }
        let config = Config::from_lookup(&|name| {
            let given = environment.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone());
            given.or_else(|| std::env::var_os(name))
        })?;
        if config.message_recovery_window < needed {
            let minutes = |duration: Duration| duration.as_secs().div_ceil(60);
            narrator.say(
                "warning",
                &format!(
                    "the bot looks back {} minutes and may be down for {}: it can lose messages",
                    minutes(config.message_recovery_window),
                    minutes(needed)
                ),
            )?;
        }
        let database = format!("{}, {}", config.database.engine().name(), config.database.place());
        narrator.say("database", &output::escaped(&database))?;
        Ok((config, environment))
    }
}
