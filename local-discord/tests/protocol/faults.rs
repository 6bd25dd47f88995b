//! Faults do what their names say, at their moments and nowhere else.

use std::time::Duration;

use local_discord::{Act, Clock, Discord, Fault, Id, Kind, Moment, Settings, Storm, What, intents};
use serde_json::{Value, json};

use crate::client::{LONG, Socket, ask, discord, get, resume, settings, try_ask, with};

const CREATE: &str = "POST /channels/{channel_id}/messages";
const HISTORY: &str = "GET /channels/{channel_id}/messages";
const MESSAGES: u64 = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT;

fn event() -> Moment {
    Moment::Event("MESSAGE_CREATE".to_owned())
}

fn script(discord: &Discord, at: Moment, act: Act) {
    discord.script(Fault::new(at, act)).unwrap();
}

async fn create(discord: &Discord, channel: Id, content: &str) -> Option<u16> {
    let body = json!({ "content": content });
    try_ask(discord, "POST", &format!("/channels/{channel}/messages"), body).await.map(|answer| answer.status)
}

#[tokio::test]
async fn a_request_fails_before_or_after_its_effect() {
    let (discord, channel) = discord().await;
    let made = || discord.messages(channel).unwrap().len();
    script(&discord, Moment::Request(CREATE.to_owned()), Act::Status(503));
    assert_eq!((create(&discord, channel, "one").await, made()), (Some(503), 0));
    script(&discord, Moment::Answer(CREATE.to_owned()), Act::Status(502));
    assert_eq!((create(&discord, channel, "two").await, made()), (Some(502), 1));
    script(&discord, Moment::Request(CREATE.to_owned()), Act::Cut);
    assert_eq!((create(&discord, channel, "three").await, made()), (None, 1));
    script(&discord, Moment::Answer(CREATE.to_owned()), Act::Cut);
    assert_eq!((create(&discord, channel, "four").await, made()), (None, 2));
    assert_eq!((create(&discord, channel, "five").await, made()), (Some(200), 3));
    assert_eq!(discord.report().faults, 4);
}

#[tokio::test]
async fn a_body_comes_slowly_and_whole() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { time, ..settings() }).await;
    script(&discord, Moment::Answer(CREATE.to_owned()), Act::Slow(10_000));
    let body = json!({ "content": "x" });
    let path = format!("/channels/{channel}/messages");
    let mut slow = std::pin::pin!(ask(&discord, "POST", &path, body));
    let answer = loop {
        tokio::select! {
            answer = &mut slow => break answer,
            () = tokio::time::sleep(Duration::from_millis(1)) => discord.clock().advance(Duration::from_millis(100)),
        }
    };
    assert_eq!(answer.body["content"], "x");
    assert!(discord.clock().now() >= Duration::from_secs(1_800_000_010));
}

#[tokio::test]
async fn a_stale_history_lacks_the_newest() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { time, ..settings() }).await;
    let ada = discord.create_user("ada", Kind::Person);
    let old = discord.say(channel, ada, "old").unwrap();
    discord.clock().advance(Duration::from_secs(3));
    let new = discord.say(channel, ada, "new").unwrap();
    script(&discord, Moment::Request(HISTORY.to_owned()), Act::Stale(2_000));
    let page = async || {
        let page = get(&discord, &format!("/channels/{channel}/messages")).await;
        page.body.as_array().unwrap().iter().map(|message| message["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(page().await, [json!(old)]);
    assert_eq!(page().await, [json!(new), json!(old)]);
}

#[tokio::test]
async fn an_event_comes_twice_or_after_one_of_another_channel() {
    let (discord, channel) = discord().await;
    let other = discord.create_channel(discord.guilds()[0].0, "other").unwrap();
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, _) = Socket::ready(&discord, MESSAGES).await;
    script(&discord, event(), Act::Twice);
    discord.say(channel, ada, "twice").unwrap();
    let first = socket.event("MESSAGE_CREATE").await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["id"], first["id"]);
    script(&discord, event(), Act::Late);
    discord.say(channel, ada, "first").unwrap();
    discord.say(other, ada, "second").unwrap();
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "second");
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "first");
    // Never out of order in a channel, and never lost.
    script(&discord, event(), Act::Late);
    discord.say(channel, ada, "third").unwrap();
    discord.say(channel, ada, "fourth").unwrap();
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "third");
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "fourth");
    script(&discord, event(), Act::Late);
    discord.say(channel, ada, "alone").unwrap();
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "alone");
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_frame_is_resumed_with_that_event() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let acts = [(Act::Cut, None), (Act::Close(4000), Some(4000))];
    for (act, code) in acts {
        let (mut socket, ready) = Socket::ready(&discord, MESSAGES).await;
        discord.script(Fault::new(event(), act).channel(channel).skip(1)).unwrap();
        discord.say(channel, ada, "whole").unwrap();
        discord.say(channel, ada, "broken").unwrap();
        assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "whole");
        assert_eq!(socket.closed().await, code);
        let mut again = Socket::hello(&discord).await;
        again.send(resume(&discord, &ready, socket.seq.unwrap())).await;
        assert_eq!(again.event("MESSAGE_CREATE").await["content"], "broken");
        again.event("RESUMED").await;
    }
}

#[tokio::test]
async fn faults_of_the_connection_strike_at_their_moments() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    script(&discord, Moment::Connect, Act::Reconnect);
    let mut socket = Socket::open(&discord.gateway()).await;
    assert_eq!(socket.frame().await["op"], 7);
    script(&discord, Moment::Identify, Act::InvalidSession { resumable: false });
    let mut socket = Socket::hello(&discord).await;
    socket.send(crate::client::identify(&discord, MESSAGES)).await;
    assert_eq!(socket.frame().await["op"], 9);

    let (mut socket, ready) = Socket::ready(&discord, MESSAGES).await;
    script(&discord, Moment::Heartbeat, Act::Withhold);
    socket.send(json!({ "op": 1, "d": 2 })).await;
    discord.say(channel, ada, "no acknowledgement before this").unwrap();
    socket.event("MESSAGE_CREATE").await;
    script(&discord, event(), Act::InvalidSession { resumable: true });
    discord.say(channel, ada, "kept").unwrap();
    assert_eq!(socket.frame().await["d"], true);
    script(&discord, Moment::Resume, Act::Close(4000));
    socket.send(resume(&discord, &ready, 3)).await;
    assert_eq!(socket.closed().await, Some(4000));
    let mut socket = Socket::hello(&discord).await;
    socket.send(resume(&discord, &ready, 3)).await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "kept");
}

#[tokio::test]
async fn what_is_held_goes_on_when_it_is_released_or_ends_with_its_client() {
    let (discord, channel) = discord().await;
    script(&discord, Moment::Answer(CREATE.to_owned()), Act::Hold);
    let creating = create(&discord, channel, "one");
    let releasing = async {
        let held = discord.held().await;
        assert_eq!((&held.at, held.channel), (&Moment::Answer(CREATE.to_owned()), Some(channel)));
        assert_eq!(discord.messages(channel).unwrap().len(), 1);
        discord.release(held.number);
    };
    let (status, ()) = tokio::join!(creating, releasing);
    assert_eq!(status, Some(200));

    // The client goes away before its message is made: it never is.
    script(&discord, Moment::Request(CREATE.to_owned()), Act::Hold);
    tokio::select! {
        _ = create(&discord, channel, "two") => panic!("nobody released it"),
        _ = discord.held() => {}
    }
    discord.cut_connections();
    assert!(discord.happened(LONG, |what| matches!(what, What::Request { status: 0, .. })).await);
    assert_eq!(discord.messages(channel).unwrap().len(), 1);
    assert_eq!(discord.holding(), []);
}

#[tokio::test]
async fn a_fault_that_would_do_nothing_is_refused() {
    let (discord, _) = discord().await;
    let nonsense = [
        (Moment::Connect, Act::Twice),
        (Moment::Heartbeat, Act::Status(500)),
        (event(), Act::Withhold),
        (Moment::Request(CREATE.to_owned()), Act::Status(200)),
        (Moment::Answer(CREATE.to_owned()), Act::Stale(1)),
    ];
    for (at, act) in nonsense {
        discord.script(Fault::new(at, act)).unwrap_err();
    }
}

#[tokio::test]
async fn a_storm_is_the_same_for_the_same_seed() {
    let run = async |seed| {
        let (discord, channel) = discord().await;
        discord.storm(Storm { seed, gateway: 0.0, rest: 0.5 });
        for n in 0..40 {
            discord.clock().advance(Duration::from_secs(5));
            create(&discord, channel, &n.to_string()).await;
        }
        let faults = discord.record().into_iter().filter_map(|entry| match entry.what {
            What::Fault { act, .. } => Some(format!("{act:?}")),
            _ => None,
        });
        faults.collect::<Vec<_>>()
    };
    let first = run(7).await;
    assert!(first.len() > 10, "{first:?}");
    assert_eq!(run(7).await, first);
    assert_ne!(run(8).await, first);
    let (discord, _) = discord().await;
    discord.storm(Storm { seed: 7, gateway: 1.0, rest: 1.0 });
    discord.calm();
    assert_eq!(get(&discord, "/users/@me").await.status, 200);
    assert_eq!(discord.report().faults, 0);
    let _: Value = json!(discord.report());
}
