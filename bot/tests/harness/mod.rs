//! A local Discord, a folder, and bots in them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_discord::{Discord, Id, Settings, What};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Nothing takes that long.
pub const LONG: Duration = Duration::from_secs(120);

pub const WRITE: &str = "POST /channels/{channel_id}/messages";

/// A state: channel, thread, and last message.
pub type State = (String, Option<String>, String);

pub struct Place {
    pub discord: Discord,
    folder: TempDir,
}

impl Place {
    /// A Discord that remembers sessions for so long.
    pub async fn new(session_memory: Duration) -> Self {
        let guilds = vec![("guild".to_owned(), vec!["one".to_owned(), "two".to_owned()])];
        let settings = Settings { guilds, session_memory, ..Settings::default() };
        Self { discord: Discord::start(settings).await.unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn channel(&self, number: usize) -> Id {
        self.discord.channels()[number].0
    }

    /// Asks the bot by a mention.
    pub fn ask(&self, channel: Id, author: Id, content: &str) -> Id {
        let content = format!("<@{}> {content}", self.discord.bot());
        self.discord.ask(channel, author, &content, None).unwrap()
    }

    /// A mention that is to have no answer, or a notice.
    pub fn say_to_bot(&self, channel: Id, author: Id, content: &str) -> Id {
        self.discord.say(channel, author, &format!("<@{}> {content}", self.discord.bot())).unwrap()
    }

    /// What the bot wrote in a channel.
    pub fn answers(&self, channel: Id) -> Vec<String> {
        let messages = self.discord.messages(channel).unwrap();
        // A thread begins with a message of Discord's own, which is empty.
        let own = messages.into_iter().filter(|(_, author, text)| *author == self.discord.bot() && !text.is_empty());
        own.map(|(_, _, content)| content).collect()
    }

    /// A program that runs this script of the shell.
    pub fn program(&self, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("bot_state.db")
    }

    pub fn states(&self) -> Vec<State> {
        let query = "SELECT channel_id, thread_id, last_message_id FROM message_states ORDER BY thread_id IS NOT NULL, channel_id";
        self.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    pub fn ownerships(&self) -> Vec<(String, String, String)> {
        let query = "SELECT thread_id, original_user_id, created_by FROM thread_ownerships ORDER BY thread_id";
        self.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    fn rows<T>(&self, query: &str, row: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let database = Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let mut select = database.prepare(query).unwrap();
        select.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// A bot in a process of its own, which ends with this.
pub struct Bot {
    process: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Bot {
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    pub fn start_with(place: &Place, arguments: &[&str]) -> Self {
        Self::start_as(place, &place.discord.token(), arguments)
    }

    pub fn start_as(place: &Place, token: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam-bot"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DISCORD_TOKEN", token)
            .env("DISCORD_API", place.discord.api())
            .env("DATABASE_PATH", place.database())
            .env("BOT_LISTEN", "off")
            .env("COFFERDAM_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/bot-cache"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (written, stderr) = (log.clone(), process.stderr.take().unwrap());
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { process, log, reading }
    }

    /// Waits for its session.
    pub async fn is_ready(&mut self, place: &Place) {
        while !self.log().contains("session started") && !self.log().contains("session resumed") {
            assert!(self.process.try_wait().unwrap().is_none(), "{}", self.log());
            place.discord.happened(Duration::from_millis(10), |what| matches!(what, What::Fault { .. })).await;
        }
    }

    /// Ends it as an operator does, and gives the exit code.
    pub async fn stop(&mut self) -> i32 {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.unwrap(), rustix::process::Signal::TERM).unwrap();
        self.ended().await
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(LONG, self.process.wait()).await.expect("the bot ends").unwrap();
        let _ = (&mut self.reading).await;
        status.code().unwrap_or(-1)
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}
