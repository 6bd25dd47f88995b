//! A burst over many channels, as fast as Discord lets a bot answer it.

use std::time::Instant;

use crate::rig::{Bot, On, Rig, rounds};

async fn a_burst(on: On) {
    let rig = Rig::new(on, 50).await;
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    let (count, before) = (rounds(200, 2_000), rig.discord.report().requests);
    let begun = Instant::now();
    for number in 0..count {
        rig.ask(rig.channel(number % 50));
    }
    rig.answered(&bot).await;
    let (seconds, requests) = (begun.elapsed().as_secs_f64(), rig.discord.report().requests - before);
    bot.stop().await;
    println!("{count} questions in 50 channels: {seconds:.1} s, {:.1} requests a second", requests as f64 / seconds);
    rig.prove("a burst over 50 channels").await;
}

on_both!(a_burst);
