//! A local Discord in a terminal: see README.md.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use local_discord::{Clock, Discord, Limits, Settings, Storm};

/// A Discord on loopback for tests of bots: gateway and REST with their limits, and with their faults on demand.
///
/// It prints what a bot needs, runs until SIGINT or SIGTERM, and then reports what became of the questions.
/// The exit code is 1 if a question has no answer or more than one, or if a rule of Discord's was broken.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The bot's token, without the word Bot
    #[arg(long, default_value = "local-token")]
    token: String,
    /// Text channels of the one guild, by name
    #[arg(long = "channel", default_values = ["general"])]
    channels: Vec<String>,
    /// How fast its clock runs; 0 stops it, and POST /local/commands advances it
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Milliseconds between heartbeats
    #[arg(long, default_value_t = 41_250)]
    heartbeat: u64,
    /// Milliseconds between two IDENTIFYs
    #[arg(long, default_value_t = 5_000)]
    identify_interval: u64,
    /// Random faults with this seed
    #[arg(long)]
    storm: Option<u64>,
    /// The share of moments with a random fault, from 0 to 1
    #[arg(long, default_value_t = 0.02, requires = "storm")]
    share: f64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let time = Clock::system();
    time.set_rate(arguments.rate);
    let limits = Limits { identify_interval: Duration::from_millis(arguments.identify_interval), ..Limits::default() };
    let discord = Discord::start(Settings {
        listen: arguments.listen,
        token: arguments.token,
        guilds: vec![("local".to_owned(), arguments.channels)],
        heartbeat: Duration::from_millis(arguments.heartbeat),
        limits,
        time,
        ..Settings::default()
    })
    .await?;
    if let Some(seed) = arguments.storm {
        discord.storm(Storm { seed, gateway: arguments.share, rest: arguments.share });
    }
    println!("api      {}/api/v10", discord.api());
    println!("gateway  {}", discord.gateway());
    println!("token    {}", discord.token());
    for (id, name) in discord.channels() {
        println!("channel  {id} {name}");
    }
    stopped().await?;
    let report = discord.report();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    if !report.is_clean() {
        bail!("not every question has one answer in order, or a rule was broken: see above");
    }
    Ok(())
}

#[cfg(unix)]
async fn stopped() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => Ok(interrupt?),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn stopped() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
