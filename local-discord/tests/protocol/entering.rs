//! HELLO, IDENTIFY and the codes that refuse.

use std::time::Duration;

use local_discord::{Clock, Limits, Settings, intents};
use serde_json::{Value, json};

use crate::client::{Came, Socket, discord, get, identify, settings, with};

#[tokio::test]
async fn a_session_begins_with_its_guilds_first_unavailable() {
    let (discord, channel) = discord().await;
    let mut socket = Socket::open(&format!("{}/?v=10&encoding=json", discord.gateway())).await;
    let hello = socket.frame().await;
    assert_eq!((&hello["op"], &hello["s"], &hello["t"]), (&json!(10), &Value::Null, &Value::Null));
    assert_eq!(hello["d"]["heartbeat_interval"], 41_250);
    socket.send(identify(&discord, intents::GUILDS)).await;
    let ready = socket.event("READY").await;
    assert_eq!(socket.seq, Some(1));
    assert_eq!(ready["v"], 10);
    assert_eq!(ready["user"]["id"], json!(discord.bot()));
    assert_eq!(ready["guilds"], json!([{ "id": discord.guilds()[0].0, "unavailable": true }]));
    assert_eq!(ready["shard"], json!([0, 1]));
    assert_eq!(ready["application"]["id"], json!(discord.bot()));
    assert_eq!(ready["resume_gateway_url"], discord.gateway());
    let guild = socket.event("GUILD_CREATE").await;
    assert_eq!(guild["channels"][0]["id"], json!(channel));
    assert_eq!(socket.seq, Some(2));
}

#[tokio::test]
async fn heartbeats_go_both_ways() {
    let (discord, _) = discord().await;
    let (mut socket, _) = Socket::ready(&discord, intents::GUILDS).await;
    socket.send(json!({ "op": 1, "d": 2 })).await;
    assert_eq!(socket.frame().await["op"], 11);
    discord.ask_heartbeats();
    assert_eq!(socket.frame().await["op"], 1);
}

#[tokio::test]
async fn a_client_without_heartbeats_is_closed_and_its_session_over() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, _) = with(Settings { time, ..settings() }).await;
    let (mut socket, ready) = Socket::ready(&discord, intents::GUILDS).await;
    discord.clock().advance(Duration::from_millis(41_250));
    socket.send(json!({ "op": 1, "d": null })).await;
    assert_eq!(socket.frame().await["op"], 11);
    discord.clock().advance(Duration::from_millis(41_250 * 3 / 2));
    assert_eq!(socket.closed().await, Some(4009));
    let mut socket = Socket::hello(&discord).await;
    socket.send(crate::client::resume(&discord, &ready, 2)).await;
    let invalid = socket.frame().await;
    assert_eq!((&invalid["op"], &invalid["d"]), (&json!(9), &json!(false)));
}

#[tokio::test]
async fn both_compressions_have_one_context_for_the_connection() {
    let (discord, _) = discord().await;
    for compress in ["zlib-stream", "zstd-stream"] {
        let url = format!("{}/?v=10&encoding=json&compress={compress}", discord.gateway());
        let mut socket = Socket::open(&url).await;
        assert_eq!(socket.frame().await["op"], 10);
        socket.send(identify(&discord, intents::GUILDS)).await;
        socket.event("READY").await;
        socket.event("GUILD_CREATE").await;
        socket.nothing_came().await;
    }
}

/// What a client sends after HELLO, and the code that it gets for it.
async fn refused(settings: Settings, frame: Value) -> Option<u16> {
    let (discord, _) = with(settings).await;
    let mut socket = Socket::hello(&discord).await;
    socket.send(frame).await;
    socket.closed().await
}

fn identify_with(field: &str, value: Value) -> Value {
    let mut frame = json!({ "op": 2, "d": { "token": "local-token", "intents": 1, "properties": {} } });
    frame["d"][field] = value;
    frame
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let wrong = [
        (4001, json!({ "op": 99, "d": null })),
        (4002, json!({ "d": null })),
        (4002, json!("no object")),
        (4002, json!({ "op": 1, "d": "x".repeat(4_096) })),
        (4003, json!({ "op": 3, "d": {} })),
        (4004, identify_with("token", json!("another"))),
        (4010, identify_with("shard", json!([2, 2]))),
        (4013, identify_with("intents", json!(1 << 30))),
        (4014, identify_with("intents", json!(intents::MESSAGE_CONTENT))),
    ];
    for (code, frame) in wrong {
        let settings = Settings { privileged: 0, ..settings() };
        assert_eq!(refused(settings, frame.clone()).await, Some(code), "{frame}");
    }
    let crowded = Settings { guilds_per_shard: 0, ..settings() };
    assert_eq!(refused(crowded, identify_with("intents", json!(1))).await, Some(4011));

    let (discord, _) = discord().await;
    let mut socket = Socket::open(&format!("{}/?v=9&encoding=json", discord.gateway())).await;
    assert_eq!(socket.closed().await, Some(4012));
    let (mut socket, _) = Socket::ready(&discord, intents::GUILDS).await;
    socket.send(identify(&discord, 0)).await;
    assert_eq!(socket.closed().await, Some(4005));
}

#[tokio::test]
async fn frames_are_limited() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, _) = with(Settings { time, ..settings() }).await;
    let mut socket = Socket::hello(&discord).await;
    for _ in 0..120 {
        socket.send(json!({ "op": 1, "d": null })).await;
        assert_eq!(socket.frame().await["op"], 11);
    }
    socket.send(json!({ "op": 1, "d": null })).await;
    assert_eq!(socket.closed().await, Some(4008));
    assert_eq!(discord.report().broken.values().sum::<u64>(), 1);
}

#[tokio::test]
async fn identifies_are_limited_by_interval_and_by_day() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let limits = Limits { identifies: 3, ..Limits::default() };
    let (discord, _) = with(Settings { time, limits, ..settings() }).await;
    let enter = async || {
        let mut socket = Socket::hello(&discord).await;
        socket.send(identify(&discord, 0)).await;
        let came = socket.came().await;
        (socket, came)
    };
    let (first, came) = enter().await;
    assert!(matches!(&came, Came::Frame(frame) if frame["t"] == "READY"), "{came:?}");
    let (_second, came) = enter().await;
    assert!(matches!(&came, Came::Frame(frame) if frame["op"] == 9 && frame["d"] == false), "{came:?}");
    discord.clock().advance(Duration::from_secs(5));
    let (_third, came) = enter().await;
    assert!(matches!(&came, Came::Frame(frame) if frame["t"] == "READY"), "{came:?}");
    let limit = get(&discord, "/gateway/bot").await.body["session_start_limit"].clone();
    let day = 86_400_000 - 5_000;
    assert_eq!(limit, json!({ "total": 3, "remaining": 0, "reset_after": day, "max_concurrency": 1 }));

    // One more ends all sessions.
    discord.clock().advance(Duration::from_secs(5));
    let (_fourth, came) = enter().await;
    assert!(matches!(came, Came::Closed(Some(4004))), "{came:?}");
    let mut first = first;
    assert_eq!(first.closed().await, Some(4004));
    discord.clock().advance(Duration::from_secs(86_400));
    let (_fifth, came) = enter().await;
    assert!(matches!(&came, Came::Frame(frame) if frame["t"] == "READY"), "{came:?}");
}
