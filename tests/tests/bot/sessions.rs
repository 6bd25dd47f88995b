//! Sessions that break while the bot works.

use local_discord::{Act, Fault, Moment};

use crate::rig::{Bot, On, Rig};

/// Breaks the session again and again, with questions before, meanwhile and after.
async fn broken(on: On, case: &str, times: usize, strike: impl Fn(&Rig)) {
    let rig = Rig::new(on, 2).await;
    let bot = Bot::start(&rig);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    for _ in 0..times {
        rig.ask(rig.channel(0));
        let before = rig.discord.recorded();
        strike(&rig);
        rig.ask(rig.channel(1));
        rig.ask_in_thread(thread);
        bot.is_connected(&rig, before).await;
        rig.ask(rig.channel(0));
        rig.answered(&bot).await;
    }
    bot.stop().await;
    rig.prove(case).await;
}

async fn sessions_break(on: On) {
    let resumed = broken(on, "gateway: resumed after a cut", 3, |rig| rig.discord.cut_connections());
    let closed = broken(on, "gateway: resumed after code 4000", 3, |rig| rig.discord.close_connections(4000));
    let reconnect = broken(on, "gateway: asked to reconnect", 3, |rig| rig.discord.reconnect());
    let invalid = broken(on, "gateway: session invalid", 2, |rig| rig.discord.invalidate_sessions(false));
    let resumable = broken(on, "gateway: session invalid, resumable", 2, |rig| rig.discord.invalidate_sessions(true));
    let torn = broken(on, "gateway: cut in the middle of an event", 3, |rig| {
        rig.script(Moment::Event("MESSAGE_CREATE".to_owned()), Act::Cut);
    });
    let twice = broken_events(on, "gateway: events twice", Act::Twice);
    let late = broken_events(on, "gateway: events out of order", Act::Late);
    tokio::join!(resumed, closed, reconnect, invalid, resumable, torn, twice, late);
    // Each connection is told to go as soon as it is ready, five times.
    broken(on, "gateway: a storm of reconnects", 1, |rig| {
        let ready = Fault::new(Moment::Event("RESUMED".to_owned()), Act::Reconnect).times(5);
        rig.discord.script(ready).unwrap();
        rig.discord.reconnect();
    })
    .await;
}

async fn broken_events(on: On, case: &str, act: Act) {
    let rig = Rig::new(on, 4).await;
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    rig.discord.script(Fault::new(Moment::Event("MESSAGE_CREATE".to_owned()), act).times(0)).unwrap();
    for _ in 0..5 {
        for channel in 0..4 {
            rig.ask(rig.channel(channel));
        }
    }
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove(case).await;
}

on_both!(sessions_break);
