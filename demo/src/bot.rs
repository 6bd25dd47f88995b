//! The bot's process, and where it works.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use cofferdam::Config;
use cofferdam::config::{DatabaseConfig, Place};
use local_discord::{Discord, What};
use tokio::process::{Child, Command};

use crate::{LONG, Narrator, config};

/// Where bots work: their program, folder and database.
#[derive(Clone)]
pub struct Home {
    program: PathBuf,
    folder: PathBuf,
    is_moved: bool,
}

impl Home {
    pub fn new(program: PathBuf, folder: &Path) -> Self {
        Self { program, folder: folder.to_owned(), is_moved: false }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("bot_state.db")
    }

    /// The same, on the server.
    pub fn moved(&self) -> Self {
        Self { is_moved: true, ..self.clone() }
    }

    /// Whether this process's environment names a server.
    pub fn has_server(&self) -> bool {
        std::env::var_os("DATABASE_TYPE").is_some_and(|kind| kind == "mysql")
    }

    /// What the server is called.
    pub fn server(&self) -> Result<String> {
        let config = self.config(true)?;
        match (config.database.place(), &config.database) {
            (Place::Server { database, hosts }, DatabaseConfig::Mysql(mysql)) if !hosts.is_empty() => {
                Ok(format!("mysql://{}@{}/{database}", mysql.username, hosts[0]))
            }
            _ => bail!("DATABASE_TYPE is mysql, and no server is named"),
        }
    }

    /// The configuration of the database, for looking at it afterwards.
    pub fn config(&self, is_moved: bool) -> Result<Config> {
        config(&Self { is_moved, ..self.clone() }.variables())
    }

    /// Moves all rows from the file to the server.
    pub async fn migrate(&self, command: &Path) -> Result<()> {
        let from = format!("sqlite:{}", self.database().display());
        let moved = Command::new(command)
            .args(["migrate", "--from", &from, "--to", &self.server()?, "--execute"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await
            .with_context(|| format!("{} does not start", command.display()))?;
        ensure!(moved.success(), "cofferdam migrate: {moved}");
        Ok(())
    }

    fn variables(&self) -> Vec<(String, OsString)> {
        let mut variables = vec![
            // Whatever the environment says: that is the database of a real bot.
            ("DATABASE_PATH".to_owned(), self.database().into()),
            ("BOT_JOURNAL".to_owned(), self.folder.join("bot_journal.db").into()),
            ("BOT_LISTEN".to_owned(), "off".into()),
            ("COFFERDAM_ADMIN_SOCKET".to_owned(), "off".into()),
            ("COFFERDAM_SPOOL".to_owned(), OsString::new()),
            ("COFFERDAM_MIRROR".to_owned(), OsString::new()),
            ("MESSAGE_RECOVERY_WINDOW_MINUTES".to_owned(), "5".into()),
        ];
        if !self.is_moved {
            variables.push(("DATABASE_TYPE".to_owned(), "sqlite".into()));
        }
        variables
    }
}

/// A bot that runs. It ends with this.
pub struct Bot {
    process: Child,
    number: usize,
    id: u32,
    log: PathBuf,
}

impl Bot {
    /// Starts it, and waits for its session.
    pub async fn start(home: &Home, discord: &Discord, number: usize, narrator: Narrator) -> Result<Self> {
        let log = home.folder.join(format!("bot-{number}.log"));
        let file = std::fs::File::create(&log).context("no log")?;
        let (began, before) = (Instant::now(), discord.record().len() as u64);
        let mut process = Command::new(&home.program)
            .envs(home.variables())
            .env("DISCORD_TOKEN", discord.token())
            .env("DISCORD_API", discord.api())
            .env_remove("DISCORD_TOKEN_FILE")
            .env_remove("COFFERDAM_LOG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", home.program.display()))?;
        let id = process.id().unwrap_or_default();
        let session = loop {
            let new = discord.record_after(before);
            let found = new.iter().find_map(|entry| match &entry.what {
                What::Identified { .. } => Some("with a new session".to_owned()),
                What::Resumed { replayed, .. } => {
                    Some(format!("and resumes its session: {replayed} events are sent again"))
                }
                _ => None,
            });
            if let Some(found) = found {
                break found;
            }
            if let Some(status) = process.try_wait()? {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("bot {number} ended, {status}:\n{log}");
            }
            ensure!(began.elapsed() < LONG, "bot {number} has no session: {}", log.display());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        let seconds = began.elapsed().as_secs_f64();
        narrator.say(&format!("bot {number}"), &format!("process {id} is connected after {seconds:.1} s, {session}"));
        Ok(Self { process, number, id, log })
    }

    pub fn name(&self) -> String {
        format!("process {}", self.id)
    }

    pub fn log_file(&self) -> &Path {
        &self.log
    }

    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await.context("the bot cannot be killed")
    }

    /// Ends it in order.
    pub async fn stop(&mut self) -> Result<()> {
        let id = i32::try_from(self.id).ok().and_then(rustix::process::Pid::from_raw).context("no process")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = tokio::time::timeout(LONG, self.process.wait()).await.context("the bot does not end")??;
        ensure!(status.success(), "bot {} ended, {status}: {}", self.number, self.log.display());
        Ok(())
    }
}
