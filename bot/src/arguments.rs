//! The command line and the environment.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use cofferdam::Config;
use cofferdam::config::{Claim, parse_duration};
use cofferdam::files::{FilePath, FileUse};
use cofferdam_bot::address::shown;
use cofferdam_bot::responder::{Echo, Program, Question, Responder, ResponderError, Service};
use cofferdam_bot::settings::{Listen, Settings, Shards};

use crate::token;

/// A Discord bot that answers what it missed, once.
///
/// Mention it in a channel, and it answers in a new thread. In a thread of its own it answers every message. After a crash
/// or an outage it answers what was written meanwhile, and nothing twice. What it answers comes from a program or a service of
/// yours; without one it repeats what it was asked.
///
/// It needs a token, which Discord's developer portal shows at https://discord.com/developers/applications, page Bot; turn
/// on MESSAGE CONTENT INTENT there. docs/bot.md shows the way from there to a bot in five minutes.
#[derive(Debug, Parser)]
#[command(
    name = "cofferdam-bot",
    version,
    after_help = "\
Examples:
  DISCORD_TOKEN=... cofferdam-bot
  DISCORD_TOKEN_FILE=/run/secrets/token cofferdam-bot --program ./answer.py
  cofferdam-bot --service http://127.0.0.1:8000/answer --deadline 2m
  cofferdam-bot --shards 0-3/8 --listen 0.0.0.0:9090

Environment:
  DISCORD_TOKEN         the bot's token
  DISCORD_TOKEN_FILE    a file that contains it, instead
  DISCORD_API           another address of the API, such as http://127.0.0.1:PORT
  DATABASE_TYPE         sqlite (the default) or mysql
  DATABASE_PATH         the SQLite file [default: ./data/bot_state.db]
  MYSQL_HOST, MYSQL_PORT, MYSQL_DATABASE, MYSQL_USERNAME, MYSQL_PASSWORD_FILE
                        the MySQL or MariaDB server
  COFFERDAM_SPOOL       a file that keeps writes while the database is unavailable
  MESSAGE_RECOVERY_WINDOW_MINUTES
                        the greatest age of a missed message that is still answered [default: 5]
  COFFERDAM_LOG         what is logged, such as warn or cofferdam_bot=debug [default: info]
`cofferdam --help` lists the other variables of the storage. An empty variable counts as not set.

SIGTERM and SIGINT stop it: it takes nothing new, finishes what is in hand
(--drain-timeout), records it, and leaves a session that the next start resumes.
A second signal ends it at once; nothing is lost then either. SIGHUP swaps the
storage's plugin, if the configuration finds another one now.

Exit codes:
  0  stopped by a signal, and everything in hand was finished and recorded
  1  failure; or something was left for the next start
  2  wrong usage, environment or plugin
  3  the database is unavailable, with COFFERDAM_ON_UNAVAILABLE=fail
  4  Discord refuses the token, an intent or the shards
  5  another process on this machine runs the same shards
  130 and 143  ended by a second signal"
)]
pub struct Arguments {
    /// Run this program for each question: JSON on its standard input, the answer on its standard output; 75 asks for
    /// another try, any other exit code but 0 is a failure
    #[arg(long, value_name = "FILE", env = "BOT_PROGRAM")]
    program: Option<String>,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARGUMENT", requires = "program")]
    arguments: Vec<String>,
    /// Post each question as JSON to this address; the body of its response is the answer
    #[arg(long, value_name = "URL", env = "BOT_SERVICE", conflicts_with = "program")]
    service: Option<String>,
    /// How long an answer may take; a program is killed then, with everything that it started [default: 60s]
    #[arg(long, value_name = "DURATION", env = "BOT_DEADLINE")]
    deadline: Option<String>,
    /// Questions that are answered at a time; within a channel it is always one [default: 32]
    #[arg(long, value_name = "N", env = "BOT_QUESTIONS")]
    questions: Option<String>,
    /// How often a message is begun before it is given up, over all restarts [default: 8]
    #[arg(long, value_name = "N", env = "BOT_ATTEMPTS")]
    attempts: Option<String>,
    /// Shards of this process: auto, all of a number such as 8, or a range such as 0-3/8 [default: auto]
    #[arg(long, value_name = "SHARDS", env = "BOT_SHARDS")]
    shards: Option<String>,
    /// The file that has the session and the messages in hand; each process needs its own [default: bot_journal.db, or
    /// bot_journal.0-3.db for such a range, beside the SQLite file or in ./data]
    #[arg(long, value_name = "FILE", env = "BOT_JOURNAL")]
    journal: Option<String>,
    /// Address and port of the probes, the metrics and the status page, or off [default: 127.0.0.1:9090 if it is free]
    #[arg(long, value_name = "ADDRESS", env = "BOT_LISTEN")]
    listen: Option<String>,
    /// Unix socket of `cofferdam status` and `cofferdam plugin swap`, or off [default: cofferdam-admin.sock, or
    /// cofferdam-admin.0-3.sock for such a range, in $XDG_RUNTIME_DIR or beside the SQLite file, if it is free]
    #[arg(long, value_name = "FILE", env = "COFFERDAM_ADMIN_SOCKET")]
    admin_socket: Option<String>,
    /// How long what is in hand may take after a signal [default: 20s]
    #[arg(long, value_name = "DURATION", env = "BOT_DRAIN_TIMEOUT")]
    drain_timeout: Option<String>,
    /// The age at which the bot forgets that a thread is its own [default: 2160h, which is 90 days]
    #[arg(long, value_name = "DURATION", env = "BOT_FORGET_AFTER")]
    forget_after: Option<String>,
    /// Print what was done as a JSON document at the end
    #[arg(long)]
    pub json: bool,
    /// Write completions for shells and a manual page into a folder, as they are installed below /usr/share, and end
    #[arg(long, value_name = "FOLDER", exclusive = true, hide = true)]
    pub generate: Option<PathBuf>,
}

/// The responder that was chosen.
pub struct Chosen(Box<dyn Responder>);

#[async_trait]
impl Responder for Chosen {
    async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
        self.0.answer(question).await
    }
}

impl Arguments {
    /// The settings of the bot.
    pub fn settings(&self, config: &Config) -> Result<Settings, String> {
        let (token, token_file) = token::from_lookup(&|name| std::env::var_os(name))?;
        let mut settings = Settings::new(token, config);
        let api = std::env::var_os("DISCORD_API").map(|api| api.to_string_lossy().into_owned());
        settings.api = read("DISCORD_API", &api, |text| text.parse())?;
        if let Some(shards) = read("--shards (BOT_SHARDS)", &self.shards, |text| text.parse())? {
            settings.shards = shards;
        }
        // Several processes may share the folder.
        if let Shards::Range { first, last, .. } = settings.shards {
            settings.journal.set_file_name(format!("bot_journal.{first}-{last}.db"));
            if let Some(socket) = &mut settings.admin_socket {
                socket.at.set_file_name(format!("cofferdam-admin.{first}-{last}.sock"));
            }
        }
        if let Some(journal) = given(&self.journal) {
            settings.journal = FilePath::new(journal, FileUse::Database, None)
                .map_err(|error| format!("--journal (BOT_JOURNAL) {error}"))?
                .into();
        }
        match given(&self.admin_socket) {
            None => {}
            Some("off") => settings.admin_socket = None,
            Some(socket) => settings.admin_socket = Some(Listen::required(socket.into())),
        }
        let mut claims = config.claims();
        if let Some(file) = token_file {
            claims.push(Claim { variable: token::FILE, files: vec![file], is_written: false });
        }
        settings.check_files(claims)?;
        if let Some(listen) = given(&self.listen) {
            settings.listen = match listen {
                "off" => None,
                address => Some(Listen::required(address.parse().map_err(|_| {
                    format!(
                        "--listen (BOT_LISTEN) is {}: give an address and a port, such as 127.0.0.1:9090, or off",
                        shown(address)
                    )
                })?)),
            };
        }
        let count = |text: &str| match text.parse::<u32>() {
            Ok(count @ 1..=10_000) => Ok(count),
            _ => Err(format!("{} is no number from 1 to 10000", shown(text))),
        };
        if let Some(attempts) = read("--attempts (BOT_ATTEMPTS)", &self.attempts, count)? {
            settings.attempts = attempts;
        }
        if let Some(questions) = read("--questions (BOT_QUESTIONS)", &self.questions, count)? {
            settings.questions = questions as usize;
        }
        if let Some(drain) = read("--drain-timeout (BOT_DRAIN_TIMEOUT)", &self.drain_timeout, duration)? {
            settings.drain = drain;
        }
        if let Some(age) = read("--forget-after (BOT_FORGET_AFTER)", &self.forget_after, duration)? {
            settings.forget_after = age;
        }
        Ok(settings)
    }

    /// What answers.
    pub fn responder(&self) -> Result<Chosen, String> {
        let deadline = read("--deadline (BOT_DEADLINE)", &self.deadline, duration)?.unwrap_or(Duration::from_secs(60));
        Ok(Chosen(match (given(&self.program), given(&self.service)) {
            (Some(name), _) => {
                let program = Program::new(name, self.arguments.iter().map(Into::into).collect(), deadline);
                program.check().map_err(|error| {
                    format!(
                        "--program (BOT_PROGRAM) is {}, which cannot be run: {error}; name an executable file",
                        shown(name)
                    )
                })?;
                Box::new(program)
            }
            (None, Some(address)) => Box::new(
                Service::new(address, deadline).map_err(|problem| format!("--service (BOT_SERVICE): {problem}"))?,
            ),
            (None, None) => Box::new(Echo),
        }))
    }
}

fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

fn read<T>(name: &str, option: &Option<String>, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    given(option).map(|text| read(text).map_err(|problem| format!("{name}: {problem}"))).transpose()
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{} is no duration: write 500ms, 30s, 1m30s or 1.5h", shown(text)))
}
