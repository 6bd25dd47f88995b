//! Starts the bot, feeds it, kills it, and starts it again.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::events::{Line, Script};
use super::gateway::Gateway;
use super::wire::{self, Call, FromBot};
use super::{Environment, KillWhen, Narrator, snowflake};
use crate::failure::{FAILED, Failure};

/// How many events the gateway sends ahead of the bot's heartbeats, so that the bot has always something to do and is
/// killed while it does it.
const AHEAD: usize = 16;

/// When the bot dies and for how long.
pub struct Plan {
    /// The events at which it is killed, counted from 1, ascending.
    pub kills: Vec<usize>,
    pub when: KillWhen,
    /// How many events pass without a bot.
    pub outage: usize,
}

impl Plan {
    /// The longest time, as the events count it, from the first event that a bot did not deal with to the start of the
    /// next bot.
    pub fn longest_outage(&self, script: &Script) -> Duration {
        let times: Vec<i64> = script.lines.iter().filter_map(Line::id).map(snowflake::time_ms).collect();
        let Some((first, last)) = times.first().zip(times.last()) else { return Duration::ZERO };
        let longest = match self.kills.len() {
            0 | 1 => {
                let span = self.outage + AHEAD + 1;
                let longest = times.iter().zip(times.iter().skip(span)).map(|(from, to)| to - from).max();
                longest.unwrap_or(last - first)
            }
            // One outage may begin before the last one was made up for.
            _ => last - first,
        };
        Duration::from_millis(longest.max(0).unsigned_abs())
    }
}

pub struct Supervisor {
    pub gateway: Gateway,
    pub plan: Plan,
    pub environment: Environment,
    pub narrator: Narrator,
}

/// A process that is gone when this is, however that comes: what it has open would keep the demo's folder from being
/// removed.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.start_kill().is_err() {
            return;
        }
        // There is nothing to await in `drop`; a process that was killed is gone within milliseconds.
        for _ in 0..1000 {
            match self.0.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                _ => return,
            }
        }
    }
}

/// One bot process.
struct Bot {
    child: Process,
    number: u32,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    started: Instant,
    /// It has identified itself.
    ready: bool,
    /// The events that it was sent and has not dealt with.
    pending: VecDeque<u64>,
}

enum Step {
    /// Nothing special.
    Went,
    /// The moment for the kill.
    Kill(String),
    /// It closed its output.
    Gone,
}

impl Supervisor {
    pub async fn run(&mut self) -> Result<(), Failure> {
        let kills = std::mem::take(&mut self.plan.kills);
        for (life, kill) in kills.iter().map(Some).chain([None]).enumerate() {
            let mut bot = self.start()?;
            let name = format!("bot {}", life + 1);
            match self.live(&mut bot, &name, kill.copied()).await? {
                Some(moment) => {
                    bot.child.0.start_kill().context("the bot cannot be killed")?;
                    bot.child.0.wait().await.context("the bot does not exit")?;
                    let killed =
                        format!("process {} with SIGKILL at event {}, {moment}", bot.number, self.gateway.position);
                    self.narrator.say("killed", &killed)?;
                    let before = self.gateway.position;
                    for _ in 0..self.plan.outage {
                        self.gateway.advance();
                    }
                    let passed = self.gateway.position - before;
                    self.narrator.say("outage", &format!("{passed} events pass while no bot is running"))?;
                }
                None => self.end(bot, &name).await?,
            }
        }
        Ok(())
    }

    fn start(&self) -> Result<Bot, Failure> {
        let program = std::env::current_exe().context("the path of this command is unknown")?;
        let mut child = Command::new(program)
            .arg("demo-bot")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the bot cannot be started")?;
        let (Some(to), Some(from), Some(number)) = (child.stdin.take(), child.stdout.take(), child.id()) else {
            return Err(Failure::failed("the bot cannot be reached"));
        };
        let from = wire::lines(from);
        Ok(Bot {
            child: Process(child),
            number,
            to,
            from,
            started: Instant::now(),
            ready: false,
            pending: VecDeque::new(),
        })
    }

    /// Feeds a bot until the moment of its kill, which it says, or until it has dealt with everything.
    async fn live(&mut self, bot: &mut Bot, name: &str, kill: Option<usize>) -> Result<Option<String>, Failure> {
        loop {
            let due = bot.ready && kill.is_some_and(|kill| self.gateway.position >= kill);
            if due && self.plan.when == KillWhen::Event {
                return Ok(Some(format!("with {} events sent and not yet handled", bot.pending.len())));
            }
            if bot.ready && self.gateway.is_over() && bot.pending.is_empty() {
                return Ok(kill.map(|_| "when there was nothing left to reply to".into()));
            }
            let feed = bot.ready && !self.gateway.is_over() && bot.pending.len() < AHEAD;
            let message = tokio::select! {
                biased;
                message = wire::receive::<FromBot>(&mut bot.from) => message,
                // Only where the bot has nothing to say at the moment, so that the two keep pace.
                () = std::future::ready(()), if feed => {
                    if let Some(event) = self.gateway.advance() {
                        bot.pending.push_back(self.gateway.position as u64);
                        // Where it fails the bot is gone, which reading from it tells.
                        let _ = wire::send(&mut bot.to, &event).await;
                    }
                    continue;
                }
            };
            let message = message.with_context(|| format!("{name} is not understood"))?;
            match self.step(bot, name, message, due).await? {
                Step::Went => {}
                Step::Kill(moment) => return Ok(Some(moment)),
                Step::Gone => {
                    let status = bot.child.0.wait().await.context("the bot does not exit")?;
                    return Err(died(name, status));
                }
            }
        }
    }

    /// Deals with what the bot says.
    async fn step(&mut self, bot: &mut Bot, name: &str, message: Option<FromBot>, due: bool) -> Result<Step, Failure> {
        match message {
            None => return Ok(Step::Gone),
            Some(FromBot::Identify(started)) => {
                let text = format!(
                    "process {} is ready after {:.1} s, having loaded {} states and {} ownerships",
                    bot.number,
                    bot.started.elapsed().as_secs_f64(),
                    started.states,
                    started.ownerships
                );
                self.narrator.say(name, &text)?;
                for event in self.gateway.welcome() {
                    let _ = wire::send(&mut bot.to, &event).await;
                }
                bot.pending.push_back(self.gateway.position as u64);
                bot.ready = true;
            }
            Some(FromBot::Heartbeat(s)) => {
                while bot.pending.front().is_some_and(|sent| *sent <= s) {
                    bot.pending.pop_front();
                }
            }
            Some(FromBot::Request { id, call }) => {
                let replied = match &call {
                    Call::CreateMessage(reply) => Some(reply.message_reference),
                    Call::Messages { .. } | Call::Message { .. } => None,
                };
                let body = self.gateway.answer(call)?;
                if let Some(message) = replied.filter(|_| due) {
                    let moment =
                        format!("when its reply to message {message} had been created and it did not know yet");
                    return Ok(Step::Kill(moment));
                }
                let _ = wire::send(&mut bot.to, &wire::ToBot::Response { response: id, body }).await;
            }
            Some(FromBot::Recovered(recovered)) if recovered.channels > 0 => {
                let text = format!(
                    "fetched {} missed messages of {} channels in {} pages and answered {}",
                    recovered.messages, recovered.channels, recovered.pages, recovered.answered
                );
                self.narrator.say(name, &text)?;
            }
            Some(FromBot::Recovered(_)) => {}
        }
        Ok(Step::Went)
    }

    /// Closes the connection and waits for the bot to end by itself.
    async fn end(&self, bot: Bot, name: &str) -> Result<(), Failure> {
        let Bot { mut child, number, to, .. } = bot;
        drop(to);
        let status = child.0.wait().await.context("the bot does not exit")?;
        if !status.success() {
            return Err(died(name, status));
        }
        self.narrator.say(name, &format!("process {number} has handled everything and ended"))
    }
}

/// The bot has said on standard error why it ended; its exit code is passed on.
fn died(name: &str, status: ExitStatus) -> Failure {
    match status.code() {
        Some(code) if code != 0 => {
            Failure::of_child(code.try_into().unwrap_or(FAILED), format!("{name} ended with exit code {code}"))
        }
        _ => anyhow!("{name} ended before its work was done: {status}").into(),
    }
}
