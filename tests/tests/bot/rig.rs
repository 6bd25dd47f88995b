//! A local Discord, a database, and bots between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cofferdam::StorageService;
use cofferdam_tests::harness::command::{bot, mysql_environment};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::wait::until;
use local_discord::record::Rule;
use local_discord::{Act, Discord, Entry, Fault, Held, Id, Kind, Moment, Report, Settings, What};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// Nothing takes that long.
pub const LONG: Duration = Duration::from_secs(180);

pub const CREATE: &str = "POST /channels/{channel_id}/messages";
pub const THREAD: &str = "POST /channels/{channel_id}/messages/{message_id}/threads";
pub const HISTORY: &str = "GET /channels/{channel_id}/messages";

/// Which database a case is about.
#[derive(Clone, Copy, Debug)]
pub enum On {
    Sqlite,
    Mysql,
}

/// How often something is tried: few times, or many where `COFFERDAM_TEST_FULL` is set.
pub fn rounds(few: usize, many: usize) -> usize {
    if std::env::var_os("COFFERDAM_TEST_FULL").is_some() { many } else { few }
}

/// A guild with so many channels.
pub fn guilds(channels: usize) -> Vec<(String, Vec<String>)> {
    vec![("guild".to_owned(), (0..channels).map(|number| format!("channel-{number}")).collect())]
}

pub struct Rig {
    pub discord: Discord,
    pub home: Home,
    pub folder: TempDir,
    pub ada: Id,
    count: AtomicU32,
    /// The last question of each channel or thread, and whether it was in a thread.
    last: Mutex<BTreeMap<Id, (Id, bool)>>,
    /// The questions that are to have a thread.
    threads: Mutex<Vec<Id>>,
}

impl Rig {
    /// On a Discord with so many channels, which is as Discord is.
    pub async fn new(on: On, channels: usize) -> Self {
        Self::with(on, Settings { guilds: guilds(channels), ..Settings::default() }).await
    }

    pub async fn with(on: On, settings: Settings) -> Self {
        let home = match on {
            On::Sqlite => Home::sqlite().unwrap(),
            On::Mysql => Home::mysql().await.unwrap(),
        };
        Self::in_home(home, settings).await
    }

    pub async fn in_home(home: Home, settings: Settings) -> Self {
        let discord = Discord::start(settings).await.unwrap();
        let ada = discord.create_user("ada", Kind::Person);
        let folder = tempfile::tempdir().unwrap();
        let (last, threads) = (Mutex::default(), Mutex::default());
        Self { discord, home, folder, ada, count: AtomicU32::new(0), last, threads }
    }

    pub fn channel(&self, number: usize) -> Id {
        self.discord.channels()[number].0
    }

    /// Mentions the bot in a channel, where it is to make a thread and answer once.
    pub fn ask(&self, channel: Id) -> Id {
        let asked = self.question(channel, &format!("<@{}> ", self.discord.bot()), false);
        self.threads.lock().unwrap().push(asked);
        asked
    }

    /// Asks in a thread of the bot's, without a mention.
    pub fn ask_in_thread(&self, thread: Id) -> Id {
        self.question(thread, "", true)
    }

    fn question(&self, channel: Id, mention: &str, in_thread: bool) -> Id {
        let key = format!("q-{}.", self.count.fetch_add(1, Ordering::Relaxed));
        let asked = self.discord.ask(channel, self.ada, &format!("{mention}{key}"), Some(&key)).unwrap();
        self.last.lock().unwrap().insert(channel, (asked, in_thread));
        asked
    }

    pub fn script(&self, at: Moment, act: Act) {
        self.discord.script(Fault::new(at, act)).unwrap();
    }

    /// Holds what comes to this moment.
    pub fn hold(&self, at: Moment) {
        self.script(at, Act::Hold);
    }

    pub async fn held(&self, bot: &Bot) -> Held {
        tokio::time::timeout(LONG, self.discord.held())
            .await
            .unwrap_or_else(|_| panic!("nothing was held: {}", bot.log()))
    }

    /// Waits until everything has an answer.
    pub async fn answered(&self, bot: &Bot) {
        if !self.discord.answered(LONG).await {
            panic!("{}\n{}", self.discord.report(), bot.log());
        }
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// What the bot at this socket says of itself, if it is there.
    pub async fn status(&self, socket: &Path) -> Option<Value> {
        let mut stream = UnixStream::connect(socket).await.ok()?;
        stream.write_all(b"GET /status.json HTTP/1.0\r\nhost: bot\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// A part of it.
    pub async fn part(&self, name: &str) -> Option<Value> {
        let status = self.status(&self.socket()).await?;
        let mut part = status["parts"].as_array()?.iter().find(|part| part["name"] == name)?.clone();
        part["ready"] = status["ready"].clone();
        Some(part)
    }

    /// Takes the last question of a channel back, which nobody will deal with. The one before stands again.
    pub fn forget(&self, channel: Id, before: (Id, bool)) {
        self.last.lock().unwrap().insert(channel, before);
    }

    /// Mentions the bot where it cannot make a thread.
    pub fn ask_for_reply(&self, channel: Id) -> Id {
        self.question(channel, &format!("<@{}> ", self.discord.bot()), false)
    }

    /// A program for the bot that answers with the first word of a question, and many more.
    pub fn talkative(&self) -> String {
        let script = "sed 's/.*\\(q-[0-9]*\\.\\).*/\\1/'\nfor n in 1 2 3 4 5; do printf ' %0500d' 0; done";
        self.program("talkative", script)
    }

    /// A program for the bot that runs this script.
    pub fn program(&self, name: &str, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Proves that every question has one answer in order, that no rule was broken, and that the database says so too.
    pub async fn prove(&self, case: &str) {
        self.prove_with(case, 0).await;
    }

    /// Writes what happened to the questions that went wrong.
    fn tell(&self, report: &Report) {
        for question in report.twice.iter().chain(&report.lost).chain(&report.out_of_order) {
            println!("--- {question}");
            let id = question.to_string();
            for Entry { number, at_ms, what } in self.discord.record() {
                let is_about = match &what {
                    What::Request { path, body, .. } => path.contains(&id) || body.contains(&id),
                    What::Message { message, channel, .. } => message == question || channel == question,
                    What::Event { subject, channel, .. } => *subject == Some(*question) || *channel == Some(*question),
                    What::Heartbeat { .. } | What::Fault { .. } => false,
                    _ => true,
                };
                if is_about {
                    println!("{number} {at_ms} {what:?}");
                }
            }
        }
    }

    /// As [`prove`](Self::prove), where answers have so many further parts in all.
    pub async fn prove_with(&self, case: &str, parts: usize) {
        self.prove_by(case, parts, self.discord.report()).await;
    }

    /// As [`prove`](Self::prove), but for requests in a pause that an answer of 429 asked for. Says how many there were.
    pub async fn prove_but_for_pauses(&self, case: &str) -> u64 {
        let mut report = self.discord.report();
        let late = report.broken.remove(&Rule::Pause).unwrap_or_default();
        self.prove_by(case, 0, report).await;
        late
    }

    async fn prove_by(&self, case: &str, parts: usize, report: Report) {
        let ownerships = self.threads.lock().unwrap().clone();
        println!(
            "{case:<50} {:<7} asked {:>5} answered {:>5} twice {:>2} lost {:>2} out of order {:>2} broken {:>2}  spared {:>3} resumes {:>3} sessions {:>3} faults {:>4}",
            self.home.name(),
            report.asked,
            report.answered,
            report.twice.len(),
            report.lost.len(),
            report.out_of_order.len(),
            report.broken.values().sum::<u64>(),
            report.same_nonce,
            report.resumes,
            report.identifies,
            report.faults,
        );
        if !report.is_clean() {
            self.tell(&report);
        }
        assert!(report.is_clean(), "{case}: {report}\n{:?}", report.broken_at);
        assert_eq!(report.unasked.len(), parts, "{case}: {report}");
        let storage = self.home.open().await.unwrap();
        let states = storage.get_all_message_states().await.unwrap();
        for (channel, (message, in_thread)) in &*self.last.lock().unwrap() {
            let thread = in_thread.then(|| channel.to_string());
            let state = states.iter().find(|state| state.channel_id == channel.to_string());
            let state = state.unwrap_or_else(|| panic!("{case}: {channel} has no state"));
            assert_eq!((&state.thread_id, &state.last_message_id), (&thread, &message.to_string()), "{case}");
        }
        let mut owned = Vec::new();
        for ownership in storage.get_all_thread_ownerships().await.unwrap() {
            assert_eq!(ownership.original_user_id, self.ada.to_string());
            assert_eq!(ownership.created_by, self.discord.bot().to_string());
            owned.push(ownership.thread_id.parse::<Id>().unwrap());
        }
        owned.sort_unstable();
        assert_eq!(owned, ownerships, "{case}");
        storage.close().await.unwrap();
    }
}

/// A bot in a process of its own, which ends with this.
pub struct Bot {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Bot {
    pub fn start(rig: &Rig) -> Self {
        Self::start_with(rig, &[], &[])
    }

    pub fn start_with(rig: &Rig, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(bot().expect("the bot compiles"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DISCORD_TOKEN", rig.discord.token())
            .env("DISCORD_API", rig.discord.api())
            .env("BOT_LISTEN", "off")
            .env("BOT_JOURNAL", rig.journal())
            .env("COFFERDAM_ADMIN_SOCKET", rig.socket())
            .env("COFFERDAM_CACHE", plugins::CODE_CACHE)
            .env("MESSAGE_RECOVERY_WINDOW_MINUTES", "30")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        match &rig.home {
            Home::Sqlite(folder) => command.env("DATABASE_PATH", folder.database()),
            Home::Mysql(database) => command.envs(mysql_environment(&database.config())),
        };
        let mut process = command.envs(environment.iter().map(|(name, value)| (name, value))).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (written, stderr) = (log.clone(), process.stderr.take().unwrap());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                *written.lock().unwrap() += &(line + "\n");
            }
        });
        Self { process, log }
    }

    /// Waits until it has written this to its log.
    pub async fn says(&self, words: &str) {
        self.says_so_often(words, 1).await;
    }

    /// Waits until it has written this so often at least.
    pub async fn says_so_often(&self, words: &str, times: usize) {
        if until(words, LONG, async || self.log().matches(words).count() >= times).await.is_err() {
            panic!("it does not say {words:?} {times} times: {}", self.log());
        }
    }

    /// Its process, which has not ended.
    pub fn id(&self) -> Pid {
        self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has a session, which is newer than the entry of this number in Discord's record.
    pub async fn is_connected(&self, rig: &Rig, after: u64) {
        let entered = |what: &What| matches!(what, What::Identified { .. } | What::Resumed { .. });
        assert!(rig.discord.happened_after(after, LONG, entered).await, "{}", self.log());
    }

    /// Ends it as the kernel does.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Ends it as an operator does, which ends well.
    pub async fn stop(self) {
        let log = self.log.clone();
        assert_eq!(self.end().await, Some(0), "{}", log.lock().unwrap());
    }

    /// Ends it as an operator does, and gives the exit code.
    pub async fn end(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits until it ends by itself, and gives the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        tokio::time::timeout(LONG, self.process.wait()).await.expect("it does not end").unwrap().code()
    }
}
