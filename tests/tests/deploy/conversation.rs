//! A Discord on this machine, where somebody asks a bot that is run as it is deployed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_tests::harness::wait::until;
use local_discord::{Discord, Id, Kind, Settings, What};

use crate::rig::SOON;

/// The bot's token, as a file of secrets has it.
pub const TOKEN: &str = "a-token";

/// A compiled program starts, and Discord lets five seconds pass between two sessions.
const LONG: Duration = Duration::from_secs(60);

/// A Discord with one channel, and somebody there.
pub struct Conversation {
    discord: Discord,
    ada: Id,
}

impl Conversation {
    pub async fn new() -> Result<Self> {
        let guilds = vec![("guild".to_owned(), vec!["general".to_owned()])];
        let discord = Discord::start(Settings { guilds, token: TOKEN.to_owned(), ..Settings::default() }).await?;
        let ada = discord.create_user("ada", Kind::Person);
        Ok(Self { discord, ada })
    }

    /// What `DISCORD_API` has to be.
    pub fn api(&self) -> String {
        self.discord.api()
    }

    /// Mentions the bot.
    pub fn ask(&self) -> Result<()> {
        let channel = self.discord.channels().first().context("a channel")?.0;
        self.discord.ask(channel, self.ada, &format!("<@{}> are you there?", self.discord.bot()), None)?;
        Ok(())
    }

    /// Waits until the bot is here, in a session that is new or that goes on.
    pub async fn is_here(&self, after: u64) -> Result<()> {
        let came = |what: &What| matches!(what, What::Identified { .. } | What::Resumed { .. });
        ensure!(
            self.discord.happened_after(after, LONG, came).await,
            "the bot does not come: {}",
            self.discord.report()
        );
        Ok(())
    }

    /// How much has happened.
    pub fn length(&self) -> u64 {
        self.discord.recorded()
    }

    /// Waits until everything has its answer, once and in order, and no rule of Discord's was broken.
    pub async fn is_answered(&self, questions: u64) -> Result<()> {
        let answered = self.discord.answered(LONG).await;
        let report = self.discord.report();
        ensure!(answered && report.is_clean() && report.answered == questions, "{report}");
        Ok(())
    }
}

/// A bot that runs, which is killed when this is dropped.
pub struct Running {
    process: Child,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts it. What it says goes to the file `bot` in `folder`.
    pub fn start(command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join("bot");
        let file = std::fs::File::options().create(true).append(true).open(&log)?;
        let process = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { process, log })
    }

    /// What it has said.
    pub fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// The outcome of something that it was to do, with what it has said if it did not.
    pub fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.with_context(|| self.said().unwrap_or_default())
    }

    /// Where its probes are, which it says when it starts.
    pub fn status_page(&self) -> Result<String> {
        let said = self.said()?;
        let (_, rest) = said.split_once("status page, probes and metrics at http://").with_context(|| said.clone())?;
        Ok(rest.split('/').next().unwrap_or_default().to_owned())
    }

    /// Ends it as an engine does, and wants that nothing was left.
    pub async fn stop(mut self) -> Result<()> {
        ensure!(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?.success());
        let mut status = None;
        until("the bot ends", SOON, async || {
            status = self.process.try_wait().ok().flatten();
            status.is_some()
        })
        .await?;
        ensure!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.said()?);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
