//! Starts and restarts, also on another database.

use std::process::Command;

use cofferdam_tests::harness::command::{cofferdam, mysql_environment, run};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use local_discord::{Kind, Settings};

use crate::rig::{Bot, On, Rig, guilds};

async fn a_fresh_start(on: On) {
    let rig = Rig::new(on, 3).await;
    let bot = Bot::start(&rig);
    for channel in 0..3 {
        rig.ask(rig.channel(channel));
    }
    rig.answered(&bot).await;
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    rig.ask_in_thread(thread);
    rig.ask_in_thread(thread);
    // None of these is for the bot.
    let discord = &rig.discord;
    let (hook, other) = (discord.create_user("hook", Kind::Webhook), discord.create_user("other", Kind::Bot));
    for author in [hook, other] {
        discord.say(rig.channel(1), author, &format!("<@{}> q-0.", discord.bot())).unwrap();
        discord.say(thread, author, "q-0.").unwrap();
    }
    discord.say(rig.channel(1), rig.ada, "talk among people").unwrap();
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove("a fresh start").await;
}

/// While it was away: in a channel it knows, in one it does not, in its thread, and in one that was quiet for long.
async fn restarted(on: On, session_is_kept: bool) {
    let memory = std::time::Duration::from_secs(if session_is_kept { 180 } else { 0 });
    let rig = Rig::with(on, Settings { guilds: guilds(3), session_memory: memory, ..Settings::default() }).await;
    let bot = Bot::start(&rig);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    for _ in 0..120 {
        rig.ask(rig.channel(0));
    }
    rig.ask(rig.channel(2));
    rig.ask_in_thread(thread);
    let gone = rig.discord.ask(rig.channel(1), rig.ada, &format!("<@{}> never mind", rig.discord.bot()), None).unwrap();
    rig.discord.delete(rig.channel(1), gone).unwrap();
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    let report = rig.discord.report();
    assert_eq!((report.identifies, report.resumes), if session_is_kept { (1, 1) } else { (2, 0) });
    rig.prove(if session_is_kept { "restarted, session kept" } else { "restarted, session gone" }).await;
}

#[tokio::test]
async fn a_move_from_sqlite_to_mysql_between_two_starts() {
    let mut rig = Rig::new(On::Sqlite, 2).await;
    let bot = Bot::start(&rig);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    let there = Home::mysql().await.unwrap();
    let Home::Mysql(database) = &there else { unreachable!("it was asked for") };
    let mut migrate = Command::new(cofferdam().unwrap());
    migrate.args(["migrate", "--execute", "--from", &rig.home.spec(), "--to", &there.spec()]);
    migrate.env_clear().envs(mysql_environment(&database.config())).env("COFFERDAM_CACHE", plugins::CODE_CACHE);
    run(&mut migrate, 0);
    rig.ask_in_thread(thread);
    rig.ask(rig.channel(1));
    rig.home = there;
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove("moved between two starts").await;
}

async fn a_restart_that_resumes(on: On) {
    restarted(on, true).await;
}

async fn a_restart_that_reads_the_history(on: On) {
    restarted(on, false).await;
}

on_both!(a_fresh_start, a_restart_that_resumes, a_restart_that_reads_the_history);
