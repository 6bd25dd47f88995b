//! SIGKILL at every step of a message, several times each: nothing is lost, and nothing is answered twice.

use std::time::Duration;

use cofferdam_tests::harness::wait::until;
use local_discord::{Limits, Moment, Settings, What};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Bot, CREATE, HISTORY, LONG, On, Rig, THREAD, guilds, rounds};

/// Where the bot is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Discord is about to send the event.
    EventUnsent,
    /// The event was sent a moment ago.
    EventSent,
    /// The thread was asked for, and is not made.
    ThreadUnmade,
    /// The thread is made, and the bot does not know.
    ThreadMade,
    /// The answer was sent, and is not made.
    AnswerUnmade,
    /// The answer is made, and the bot does not know.
    AnswerMade,
    /// The bot knows, and may have recorded it or not.
    AnswerKnown,
    /// The first part of an answer is made, and the second is not.
    BetweenParts,
    /// The session is being resumed.
    Resuming,
    /// What was missed was sent again, but for the end of it.
    Replayed,
}

impl Step {
    /// The moment at which Discord stops, if it does.
    fn moment(self) -> Option<Moment> {
        Some(match self {
            Self::EventUnsent => Moment::Event("MESSAGE_CREATE".to_owned()),
            Self::ThreadUnmade => Moment::Request(THREAD.to_owned()),
            Self::ThreadMade => Moment::Answer(THREAD.to_owned()),
            Self::AnswerUnmade => Moment::Request(CREATE.to_owned()),
            Self::AnswerMade => Moment::Answer(CREATE.to_owned()),
            Self::BetweenParts => Moment::Request(CREATE.to_owned()),
            Self::Resuming => Moment::Resume,
            Self::Replayed => Moment::Event("RESUMED".to_owned()),
            Self::EventSent | Self::AnswerKnown => return None,
        })
    }

    async fn kill(self, rig: &Rig, bot: Bot, start: impl Fn() -> Bot) {
        let channel = rig.channel(0);
        match self {
            Self::EventSent => {
                let asked = rig.ask(channel);
                let sent = |what: &What| matches!(what, What::Event { subject, .. } if *subject == Some(asked));
                assert!(rig.discord.happened(LONG, sent).await, "{}", bot.log());
                bot.kill().await;
            }
            Self::AnswerKnown => {
                let asked = rig.ask(channel);
                let path = format!("/channels/{asked}/messages");
                let known =
                    |what: &What| matches!(what, What::Request { path: found, status: 200, .. } if *found == path);
                assert!(rig.discord.happened(LONG, known).await, "{}", bot.log());
                bot.kill().await;
            }
            Self::Resuming | Self::Replayed => {
                bot.kill().await;
                rig.ask(channel);
                rig.ask(channel);
                self.hold(rig);
                let bot = start();
                rig.held(&bot).await;
                bot.kill().await;
                rig.discord.calm();
            }
            _ => {
                self.hold(rig);
                rig.ask(channel);
                rig.held(&bot).await;
                bot.kill().await;
                rig.discord.calm();
            }
        }
    }

    fn hold(self, rig: &Rig) {
        let skip = u32::from(matches!(self, Self::BetweenParts));
        let fault = local_discord::Fault::new(self.moment().unwrap(), local_discord::Act::Hold).skip(skip);
        rig.discord.script(fault).unwrap();
    }
}

async fn killed(on: On, step: Step) {
    let rig = Rig::new(on, 1).await;
    let program = rig.talkative();
    let is_long = matches!(step, Step::BetweenParts);
    let arguments: &[&str] = if is_long { &["--program", &program] } else { &[] };
    let start = || Bot::start_with(&rig, arguments, &[]);
    let mut bot = start();
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    for _ in 0..rounds(2, 10) {
        step.kill(&rig, bot, start).await;
        bot = start();
        // One that comes while the bot recovers.
        rig.ask(rig.channel(0));
        rig.answered(&bot).await;
    }
    bot.stop().await;
    let parts = if is_long { rig.discord.report().asked } else { 0 };
    rig.prove_with(&format!("killed: {step:?}"), usize::try_from(parts).unwrap()).await;
}

/// While it reads the history, which it does where no session is left to resume.
async fn killed_in_history(on: On, moment: fn(String) -> Moment) {
    let limits = Limits { identify_interval: Duration::ZERO, ..Limits::default() };
    let rig =
        Rig::with(on, Settings { guilds: guilds(3), session_memory: Duration::ZERO, limits, ..Settings::default() })
            .await;
    let mut bot = Bot::start(&rig);
    for channel in 0..3 {
        rig.ask(rig.channel(channel));
    }
    rig.answered(&bot).await;
    for _ in 0..rounds(2, 10) {
        bot.kill().await;
        for channel in 0..3 {
            rig.ask(rig.channel(channel));
            rig.ask(rig.channel(channel));
        }
        rig.hold(moment(HISTORY.to_owned()));
        bot = Bot::start(&rig);
        rig.held(&bot).await;
        bot.kill().await;
        rig.discord.calm();
        bot = Bot::start(&rig);
        rig.answered(&bot).await;
    }
    bot.stop().await;
    let asked = matches!(moment(String::new()), Moment::Request(_));
    rig.prove(if asked { "killed: HistoryAsked" } else { "killed: HistoryRead" }).await;
}

macro_rules! cases {
    ($($name:ident: $step:ident),* $(,)?) => {
        mod sqlite {
            use super::{On, Step};
            $(#[tokio::test] async fn $name() { super::killed(On::Sqlite, Step::$step).await; })*
            #[tokio::test] async fn before_the_history() { super::killed_in_history(On::Sqlite, super::Moment::Request).await; }
            #[tokio::test] async fn with_the_history() { super::killed_in_history(On::Sqlite, super::Moment::Answer).await; }
        }
        mod mysql {
            use super::{On, Step};
            $(#[tokio::test] async fn $name() { super::killed(On::Mysql, Step::$step).await; })*
            #[tokio::test] async fn before_the_history() { super::killed_in_history(On::Mysql, super::Moment::Request).await; }
            #[tokio::test] async fn with_the_history() { super::killed_in_history(On::Mysql, super::Moment::Answer).await; }
        }
    };
}

cases! {
    before_the_event: EventUnsent,
    with_the_event: EventSent,
    before_the_thread: ThreadUnmade,
    after_the_thread: ThreadMade,
    before_the_answer: AnswerUnmade,
    after_the_answer: AnswerMade,
    before_the_record: AnswerKnown,
    between_two_parts: BetweenParts,
    while_resuming: Resuming,
    after_the_replay: Replayed,
}

/// A process that is there, and not one that has ended and whose end nobody has asked for.
fn is_running(id: &str) -> bool {
    std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Ends the process that sees to the programs of a bot that is killed.
fn kill_watcher(bot: &Bot) {
    let bot = bot.id().as_raw_nonzero().to_string();
    let is_watcher = |id: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        parent == Some(&bot) && String::from_utf8_lossy(&line).contains("cofferdam-bot-watcher")
    };
    let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let watchers: Vec<_> = all.filter(|id| is_watcher(id)).collect();
    assert_eq!(watchers.len(), 1, "{watchers:?}");
    kill_process(Pid::from_raw(watchers[0].parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_program_and_what_it_started_end_with_the_bot_however_that_ends() {
    let rig = Rig::new(On::Sqlite, 2).await;
    let file = rig.folder.path().join("processes");
    let script = format!("cat >/dev/null; sleep 1000 & echo $$ $! >>{}; wait", file.display());
    let program = rig.program("endless", &script);
    let started = || std::fs::read_to_string(&file).unwrap_or_default();
    let run = async |bot: &Bot, programs: usize| {
        // One that is being begun has no name yet.
        let are_there = async || started().split_whitespace().filter(|id| is_running(id)).count() == 2 * programs;
        let begun = until("the programs run", LONG, are_there).await;
        begun.unwrap_or_else(|error| panic!("{error}\n{}", bot.log()));
    };
    let have_ended = async || {
        let ended = until("they have ended", LONG, async || !started().split_whitespace().any(is_running)).await;
        ended.unwrap_or_else(|error| panic!("{error}: {}", started()));
        std::fs::remove_file(&file).unwrap();
    };
    let before = rig.discord.recorded();
    let start = || Bot::start_with(&rig, &["--program", &program, "--deadline", "10m"], &[]);

    // By itself, at once.
    let mut bot = start();
    bot.is_connected(&rig, before).await;
    rig.ask(rig.channel(0));
    run(&bot, 1).await;
    kill_watcher(&bot);
    bot.signal(Signal::TERM);
    bot.says("a second signal ends at once").await;
    run(&bot, 1).await;
    bot.signal(Signal::TERM);
    assert_eq!(bot.ended().await, Some(143), "{}", bot.log());
    have_ended().await;

    // Killed, with the question of before.
    let bot = start();
    run(&bot, 1).await;
    bot.kill().await;
    have_ended().await;

    // And where somebody had killed what waits for that.
    let bot = start();
    run(&bot, 1).await;
    kill_watcher(&bot);
    rig.ask(rig.channel(1));
    run(&bot, 2).await;
    bot.kill().await;
    have_ended().await;
}
