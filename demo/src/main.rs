//! The demo: the bot works for a busy server, is killed twice, misses four minutes, and moves to another database. In the end
//! both sides are asked: what a local Discord has seen, and what is in the database.

mod bot;
mod crowd;
mod proof;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cofferdam::Config;
use local_discord::{Act, Discord, Fault, Moment, Settings};

use crate::bot::{Bot, Home};
use crate::crowd::Crowd;
use crate::proof::Proof;

/// Events of each of the four acts.
const ACT: usize = 500;

/// How long Discord's clock says that the bot was away: longer than Discord remembers its session, and shorter than its
/// recovery window.
const OUTAGE: Duration = Duration::from_secs(240);

/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(120);

/// Where an answer is made.
const WRITE: &str = "POST /channels/{channel_id}/messages";

/// Run the bot against a Discord on this machine, kill it while it works, and prove that it answered everything once.
///
/// The bot is the process `cofferdam-bot`, with a SQLite file in a folder that is removed afterwards. If DATABASE_TYPE=mysql and
/// the MYSQL_ variables name a server, the bot moves there in the end, by `cofferdam migrate`; its rows stay there.
#[derive(Debug, Parser)]
#[command(
    name = "cofferdam-demo",
    bin_name = "cargo xtask demo",
    after_help = "\
Exit codes:
  0  proven: every question was answered once, in order, and every row is right
  1  not so, or the demo could not run
  2  wrong usage"
)]
struct Arguments {
    /// Print the proof as a JSON document, and the story to standard error
    #[arg(long)]
    json: bool,
    /// Keep the folder with the database and the bots' logs, and print its path
    #[arg(long)]
    keep: bool,
    /// Other events: the same number, from another seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The program `cofferdam-bot` [default: beside this one]
    #[arg(long, value_name = "FILE")]
    bot: Option<PathBuf>,
    /// The program `cofferdam` [default: beside this one]
    #[arg(long, value_name = "FILE")]
    command: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("cofferdam-demo: a question was lost, or answered twice, or a row is wrong: see above");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("cofferdam-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells what happens.
#[derive(Clone, Copy)]
struct Narrator {
    to_stderr: bool,
}

impl Narrator {
    fn say(self, what: &str, text: &str) {
        match self.to_stderr {
            true => eprintln!("{what:<10}{text}"),
            false => println!("{what:<10}{text}"),
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool> {
    let narrator = Narrator { to_stderr: arguments.json };
    let beside = std::env::current_exe().context("this program is nowhere")?;
    let program = |given: Option<PathBuf>, name: &str| given.unwrap_or_else(|| beside.with_file_name(name));
    let folder = tempfile::Builder::new().prefix("cofferdam-demo-").tempdir().context("no folder for the demo")?;
    let home = Home::new(program(arguments.bot, "cofferdam-bot"), folder.path());

    let began = Instant::now();
    let channels = crowd::CHANNELS.map(str::to_owned).to_vec();
    let settings = Settings { guilds: vec![("Cofferdam".to_owned(), channels)], ..Settings::default() };
    let discord = Discord::start(settings).await.context("the local Discord does not start")?;
    let mut crowd = Crowd::new(&discord, arguments.seed);
    narrator.say("discord", &format!("{} on this machine, with Discord's limits", discord.api()));
    narrator.say("database", &format!("sqlite, {}", home.database().display()));

    // The first kill is the worst moment there is: the answer is in the channel, and the bot has not heard of it.
    let mut bot = Bot::start(&home, &discord, 1, narrator).await?;
    crowd.play(&discord, ACT * 3 / 5).await?;
    discord.script(Fault::new(Moment::Answer(WRITE.to_owned()), Act::Hold))?;
    crowd.play(&discord, ACT / 5).await?;
    let held = tokio::time::timeout(LONG, discord.held()).await.context("no answer to kill the bot in")?;
    bot.kill().await?;
    let channel = held.channel.map(|channel| channel.to_string()).unwrap_or_default();
    narrator.say(
        "killed",
        &format!("{} with SIGKILL, when its answer was in channel {channel} and it did not know yet", bot.name()),
    );
    discord.calm();
    crowd.play(&discord, ACT / 5).await?;
    narrator.say("discord", &format!("{} events so far; the last ones found no bot", crowd.events()));

    let mut bot = Bot::start(&home, &discord, 2, narrator).await?;
    crowd.play(&discord, ACT).await?;
    ensure!(discord.answered(LONG).await, "questions are not answered: {}", bot.log_file().display());
    bot.kill().await?;
    narrator.say("killed", &format!("{} with SIGKILL again", bot.name()));
    crowd.play(&discord, ACT / 2).await?;
    discord.clock().advance(OUTAGE);
    crowd.play(&discord, ACT / 2).await?;
    narrator.say("outage", &format!("{ACT} events in four minutes without a bot; Discord forgets the session"));

    let mut bot = Bot::start(&home, &discord, 3, narrator).await?;
    crowd.play(&discord, ACT).await?;
    ensure!(discord.answered(LONG).await, "questions are not answered: {}", bot.log_file().display());
    bot.stop().await?;

    let mut proofs = vec![Proof::of(&discord, &crowd, home.config(false)?).await?];
    if home.has_server() {
        narrator.say("migrate", &format!("the bot moves to {}", home.server()?));
        home.migrate(&program(arguments.command, "cofferdam")).await?;
        let moved = home.moved();
        let mut bot = Bot::start(&moved, &discord, 4, narrator).await?;
        crowd.play(&discord, ACT / 5).await?;
        ensure!(discord.answered(LONG).await, "questions are not answered: {}", bot.log_file().display());
        bot.stop().await?;
        proofs.push(Proof::of(&discord, &crowd, moved.config(true)?).await?);
    }
    narrator.say("proof", &format!("both sides are asked, {:.0} s after the start", began.elapsed().as_secs_f64()));
    let (Some(proof), holds) = (proofs.last(), proofs.iter().all(Proof::holds)) else { return Ok(false) };
    match arguments.json {
        true => println!("{:#}", proof.json(holds)),
        false => println!("\n{}", proof.text()),
    }
    if arguments.keep || !holds {
        narrator.say("kept", &folder.keep().display().to_string());
    }
    Ok(holds)
}

/// The configuration that these variables give, before those of this process.
fn config(variables: &[(String, std::ffi::OsString)]) -> Result<Config> {
    Ok(Config::from_lookup(&|name| {
        let given = variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        given.or_else(|| std::env::var_os(name))
    })?)
}
