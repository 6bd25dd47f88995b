//! Two hours of Discord's time with random faults, kills and pauses, by seed.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_tests::harness::wait::until;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use local_discord::{Id, Storm, What};

use crate::rig::{Bot, CREATE, LONG, On, Rig, rounds};

/// How long it goes on, by Discord's clock.
const HOURS: Duration = Duration::from_secs(2 * 3600);

/// Seeds at a time.
const TOGETHER: usize = 5;

#[tokio::test]
async fn two_hours_of_faults_by_seed() {
    let seeds = 0..rounds(10, 500) as u64;
    stream::iter(seeds).map(two_hours).buffer_unordered(TOGETHER).collect::<()>().await;
}

async fn two_hours(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let rig = Rig::new(if seed.is_multiple_of(2) { On::Sqlite } else { On::Mysql }, 4).await;
    let end = rig.discord.clock().now() + HOURS;
    let mut bot = Bot::start(&rig);
    let mut threads = vec![rig.ask(rig.channel(0))];
    rig.answered(&bot).await;
    rig.discord.storm(Storm { seed, gateway: 0.03, rest: 0.03 });
    // Threads that are not made yet.
    let mut coming = Vec::new();
    while rig.discord.clock().now() < end {
        for _ in 0..random.u32(1..6) {
            ask(&rig, &mut random, &threads, &mut coming);
        }
        match random.u32(0..10) {
            0 | 1 => {
                bot.kill().await;
                ask(&rig, &mut random, &threads, &mut coming);
                pass(&rig, Duration::from_secs(random.u64(5..200))).await;
                bot = Bot::start(&rig);
            }
            2 => {
                // Faults may leave something for the next start.
                let code = bot.end().await;
                assert!(matches!(code, Some(0 | 1)), "{code:?}");
                // A new process does not know when the one before has identified.
                pass(&rig, Duration::from_secs(5)).await;
                bot = Bot::start(&rig);
            }
            3 => rig.discord.cut_connections(),
            4 => rig.discord.invalidate_sessions(false),
            _ => {}
        }
        rig.answered(&bot).await;
        settled(&rig, &bot).await;
        threads.append(&mut coming);
        if random.bool() {
            let thread = threads[random.usize(..threads.len())];
            rig.discord.archive(thread, true, false).unwrap();
        }
        pass(&rig, Duration::from_secs(random.u64(300..1_800))).await;
    }
    rig.discord.calm();
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove(&format!("two hours of faults, seed {seed}")).await;
}

fn ask(rig: &Rig, random: &mut Rng, threads: &[Id], coming: &mut Vec<Id>) {
    if random.u32(0..3) == 0 {
        rig.ask_in_thread(threads[random.usize(..threads.len())]);
    } else {
        coming.push(rig.ask(rig.channel(random.usize(..4))));
    }
}

/// Waits until the bot knows of all of its answers: beyond Discord's memory of nonces nobody could.
async fn settled(rig: &Rig, bot: &Bot) {
    let settled = async || {
        let mut last = BTreeMap::new();
        for entry in rig.discord.record() {
            if let What::Request { route, path, status, .. } = entry.what
                && route == CREATE
            {
                last.insert(path, status);
            }
        }
        last.values().all(|status| *status == 200)
    };
    if let Err(error) = until("the bot knows of its answers", LONG, settled).await {
        panic!("{error}\n{}", bot.log());
    }
}

/// Lets Discord's time pass, in steps in which a client that is there shows that it is alive.
async fn pass(rig: &Rig, time: Duration) {
    const STEP: Duration = Duration::from_secs(30);
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(STEP);
        left -= step;
        rig.discord.clock().advance(step);
        let (mut number, seen) = (0, rig.discord.record().len());
        if rig.discord.connections() > 0 {
            rig.discord.ask_heartbeats();
            let beat = |what: &What| {
                number += 1;
                number > seen && matches!(what, What::Heartbeat { .. } | What::Closed { .. })
            };
            rig.discord.happened(LONG / 60, beat).await;
        }
    }
}
