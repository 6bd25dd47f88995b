//! Two hours of Discord's time with random faults, kills and pauses, by seed. `COFFERDAM_TEST_SEEDS=17`, or `100..200`, chooses them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use cofferdam_tests::harness::wait::until;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use local_discord::{Act, Id, Scope, Storm, What};
use serde_json::Value;
use tokio::task::{LocalSet, spawn_local};

use crate::rig::{Bot, LONG, On, Rig, rounds};

/// How long it goes on, by Discord's clock.
const HOURS: Duration = Duration::from_secs(2 * 3600);

/// Seeds at a time. Most of the time their bots wait, as Discord or prudence asks them to.
const TOGETHER: usize = 40;

#[tokio::test]
async fn two_hours_of_faults_by_seed() {
    // Each in a task of its own, so that one that fails leaves the others to be heard of.
    let run = async |seed| spawn_local(two_hours(seed)).await.map_err(|_| seed);
    let runs = stream::iter(seeds()).map(run).buffer_unordered(TOGETHER);
    let ended: Vec<_> = LocalSet::new().run_until(runs.collect()).await;
    let failed: Vec<u64> = ended.iter().filter_map(|ended| ended.err()).collect();
    assert!(failed.is_empty(), "seeds {failed:?}");
    // Where the machine is busy, a request may be on its way for longer than Discord's grace. A bot that heeds no pause of all routes
    // has more than a few that are late.
    let (late, pauses) = ended.into_iter().flatten().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert!(4 * late <= pauses.max(4), "{late} requests came in {pauses} pauses");
}

fn seeds() -> Range<u64> {
    let Ok(chosen) = std::env::var("COFFERDAM_TEST_SEEDS") else { return 0..rounds(20, 500) as u64 };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("COFFERDAM_TEST_SEEDS is {chosen:?}"));
    match chosen.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&chosen)..number(&chosen) + 1,
    }
}

/// Says how many requests came in pauses, and how many pauses of all routes there were.
async fn two_hours(seed: u64) -> (u64, u64) {
    let began = Instant::now();
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
        let mut places = BTreeSet::new();
        for _ in 0..random.u32(1..6) {
            places.insert(ask(&rig, &mut random, &threads, &mut coming));
        }
        match random.u32(0..10) {
            0 | 1 => {
                bot.kill().await;
                places.insert(ask(&rig, &mut random, &threads, &mut coming));
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
        // An answer that was on its way when something broke is there, and the bot may not know of it. What is asked behind it
        // in the same place is answered when it does: before Discord has forgotten its nonce.
        for place in places {
            match threads.contains(&place) {
                true => {
                    rig.ask_in_thread(place);
                }
                false => coming.push(rig.ask(place)),
            }
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
    let late = rig.prove_but_for_pauses(&format!("two hours of faults, seed {seed}")).await;
    println!("seed {seed}: {:.1} s", began.elapsed().as_secs_f64());
    let is_pause = |what: &What| matches!(what, What::Fault { act: Act::RateLimit { scope: Scope::Global, .. }, .. });
    (late, rig.discord.record().iter().filter(|entry| is_pause(&entry.what)).count() as u64)
}

/// Asks somewhere, and says where.
fn ask(rig: &Rig, random: &mut Rng, threads: &[Id], coming: &mut Vec<Id>) -> Id {
    if random.u32(0..3) == 0 {
        let thread = threads[random.usize(..threads.len())];
        rig.ask_in_thread(thread);
        return thread;
    }
    let channel = rig.channel(random.usize(..4));
    coming.push(rig.ask(channel));
    channel
}

/// Waits until the bot has nothing in hand, and so knows of all of its answers: beyond Discord's memory of nonces nobody could.
async fn settled(rig: &Rig, bot: &Bot) {
    let mut answers = Value::Null;
    let settled = async || {
        answers = rig.part("answers").await.unwrap_or_default();
        answers["figures"]["waiting"] == 0 && answers["figures"]["recovering_channels"] == 0
    };
    if let Err(error) = until("the bot knows of its answers", LONG, settled).await {
        panic!("{error}\n{answers}\n{}", bot.log());
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
        let seen = rig.discord.recorded();
        if rig.discord.connections() > 0 {
            rig.discord.ask_heartbeats();
            let beat = |what: &What| matches!(what, What::Heartbeat { .. } | What::Closed { .. });
            rig.discord.happened_after(seen, LONG / 60, beat).await;
        }
    }
}
