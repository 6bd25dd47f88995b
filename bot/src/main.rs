//! The command `cofferdam-bot`.

mod arguments;
mod generate;
mod token;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use cofferdam::{Config, ResilientStorage};
use cofferdam_bot::responder::Program;
use cofferdam_bot::{Bot, BotError, Summary};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::arguments::Arguments;

/// Not everything was dealt with or recorded in time. It is, after the next start.
const INCOMPLETE: u8 = 1;

fn main() -> ExitCode {
    // What answers may be a program of the same user: the bot's environment and memory, where the token is, are not for it to read. It
    // cannot fail for this process itself.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.generate {
        return match generate::generate(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("cofferdam-bot: {problem}");
                ExitCode::FAILURE
            }
        };
    }
    match run(&arguments) {
        Ok(summary) => {
            let Summary { answered, given_up, is_complete } = summary;
            tracing::info!(answered, given_up, is_complete, "stopped");
            if arguments.json {
                println!("{}", json!({ "answered": answered, "given_up": given_up, "is_complete": is_complete }));
            }
            if is_complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) }
        }
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("cofferdam-bot: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<Summary, BotError> {
    log_to_stderr(arguments.json)?;
    cofferdam_bot::install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let summary = runtime.block_on(async {
        let stop = stop_at_a_signal()?;
        // The environment is read once, and every mistake in it told.
        let config = Config::from_env().map_err(cofferdam::StartError::from)?;
        let settings = arguments.settings(&config).map_err(BotError::Settings)?;
        let responder = arguments.responder().map_err(BotError::Settings)?;
        let storage = Arc::new(ResilientStorage::builder(config).build()?);
        swap_at_sighup(&storage)?;
        Bot::new(settings, storage, responder).run(stop).await
    });
    // A component that is still being compiled must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Program::kill_all();
    summary
}

/// The first SIGTERM or SIGINT stops the bot in order, a second one at once.
fn stop_at_a_signal() -> Result<CancellationToken, BotError> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancelled = stop.clone();
    tokio::spawn(async move {
        loop {
            let kind = tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            };
            if cancelled.is_cancelled() {
                // No task ends in order any more, and no program with it.
                Program::kill_all();
                std::process::exit(128 + kind.as_raw_value());
            }
            tracing::info!("stopping: what is in hand is finished; a second signal ends at once");
            cancelled.cancel();
        }
    });
    Ok(stop)
}

/// SIGHUP lets the plugin answer that the configuration finds then.
fn swap_at_sighup(storage: &Arc<ResilientStorage>) -> Result<(), BotError> {
    let (mut hangup, storage) = (signal(SignalKind::hangup())?, storage.clone());
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            cofferdam::ops::reload(&storage).await;
        }
    });
    Ok(())
}

fn log_to_stderr(as_json: bool) -> Result<(), BotError> {
    // Twilight tells each limit that it waits for.
    let filter = ["COFFERDAM_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|filter| !filter.is_empty()))
        .unwrap_or("info,twilight_gateway=warn,twilight_http=warn,twilight_http_ratelimiting=warn".into());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        BotError::Settings(format!("COFFERDAM_LOG is {filter:?}: {error}; use for example info or cofferdam_bot=debug"))
    })?;
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal && !as_json)
        .with_target(false)
        .init();
    Ok(())
}
