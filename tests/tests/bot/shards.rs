//! Several shards, in one process and in two.

use std::time::Duration;

use cofferdam_tests::harness::wait::until;
use local_discord::{Id, Limits, Settings, What};

use crate::rig::{Bot, LONG, On, Rig};

/// Guilds enough that each of so many shards has some.
const GUILDS: usize = 8;

/// A Discord with many guilds, which lets all shards identify at once.
async fn rig(on: On) -> Rig {
    let guilds = (0..GUILDS).map(|number| (format!("guild-{number}"), vec![format!("channel-{number}")])).collect();
    let limits = Limits { max_concurrency: 16, identify_interval: Duration::ZERO, ..Limits::default() };
    Rig::with(on, Settings { guilds, limits, shards: 4, ..Settings::default() }).await
}

fn ask_everywhere(rig: &Rig) -> Vec<Id> {
    (0..GUILDS).map(|channel| rig.ask(rig.channel(channel))).collect()
}

/// Waits until so many of the four shards have a session.
async fn connected(rig: &Rig, bots: &[&Bot], sessions: usize) {
    let mut shards = std::collections::BTreeSet::new();
    let identified = |what: &What| {
        if let What::Identified { shard, .. } = what {
            assert_eq!(shard.1, 4);
            shards.insert(shard.0);
        }
        shards.len() == sessions
    };
    let logs = || bots.iter().map(|bot| bot.log()).collect::<String>();
    assert!(rig.discord.happened(LONG, identified).await, "{}", logs());
}

async fn in_one_process(on: On) {
    let rig = rig(on).await;
    let shards: std::collections::BTreeSet<_> =
        rig.discord.guilds().iter().map(|(guild, _)| (guild.0 >> 22) % 4).collect();
    assert_eq!(shards.len(), 4, "each shard has a guild");
    // As many as Discord recommends.
    let bot = Bot::start(&rig);
    connected(&rig, &[&bot], 4).await;
    let threads = ask_everywhere(&rig);
    rig.answered(&bot).await;
    rig.discord.cut_connections();
    for thread in &threads {
        rig.ask_in_thread(*thread);
    }
    ask_everywhere(&rig);
    rig.answered(&bot).await;
    bot.kill().await;
    ask_everywhere(&rig);
    let bot = Bot::start(&rig);
    rig.answered(&bot).await;
    bot.stop().await;
    // Each shard goes on with a session of its own.
    assert_eq!(rig.discord.report().identifies, 4);
    rig.prove("four shards in one process").await;
}

async fn in_two_processes(on: On) {
    let rig = rig(on).await;
    let start = |range: &str| {
        let name = |what: &str| rig.folder.path().join(format!("{what}-{}", &range[..1])).display().to_string();
        let environment = [("BOT_JOURNAL", name("journal")), ("COFFERDAM_ADMIN_SOCKET", name("admin"))];
        Bot::start_with(&rig, &["--shards", range], &environment)
    };
    let (first, second) = (start("0-1/4"), start("2-3/4"));
    connected(&rig, &[&first, &second], 4).await;
    let threads = ask_everywhere(&rig);
    rig.answered(&first).await;
    // One goes on while the other is away.
    second.kill().await;
    for thread in &threads {
        rig.ask_in_thread(*thread);
    }
    ask_everywhere(&rig);
    let second = start("2-3/4");
    ask_everywhere(&rig);
    rig.answered(&second).await;
    assert!(!first.log().contains("same shard") && !second.log().contains("same shard"));
    first.stop().await;
    second.stop().await;
    rig.prove("four shards in two processes").await;
}

/// As on two machines: neither sees the other's journal. Discord gives both a session, so only its nonces and what each sees of
/// the other help.
async fn with_one_token(on: On) {
    let rig = rig(on).await;
    let first = Bot::start_with(&rig, &["--shards", "1"], &[]);
    let go = rig.folder.path().join("go");
    let slow = rig.program(
        "slow",
        &format!("while [ ! -e {} ]; do sleep 0.02; done; sed 's/.*\\(q-[0-9]*\\.\\).*/\\1/'", go.display()),
    );
    let name = |name: &str| rig.folder.path().join(name);
    let environment = [("BOT_JOURNAL", name("other")), ("COFFERDAM_ADMIN_SOCKET", name("other.sock"))];
    let environment = environment.map(|(variable, path)| (variable, path.display().to_string()));
    first.is_connected(&rig, 0).await;
    let second = Bot::start_with(&rig, &["--shards", "1", "--program", &slow], &environment);
    second.says("session started").await;
    second.says("loaded states=").await;
    for channel in 0..3 {
        rig.ask(rig.channel(channel));
    }
    rig.answered(&first).await;
    second.says("another one runs the same shard").await;
    let status = rig.status(&name("other.sock")).await.unwrap();
    let answers = status["parts"].as_array().unwrap().iter().find(|part| part["name"] == "answers").unwrap();
    assert_eq!(answers["standing"], "degraded", "{status}");
    assert!(answers["figures"]["foreign"].as_u64() >= Some(1), "{status}");
    // It answers too now, and its answers are the first one's.
    std::fs::write(&go, "").unwrap();
    let are_spared = async || rig.discord.report().same_nonce == 3;
    until("its answers are spared", LONG, are_spared).await.unwrap();
    second.stop().await;
    first.stop().await;
    rig.prove("one shard in two processes").await;
}

on_both!(in_one_process, in_two_processes, with_one_token);
