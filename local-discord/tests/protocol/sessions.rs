//! Sessions that outlive their connections, and who hears of what.

use std::time::Duration;

use local_discord::{Clock, Kind, Settings, What, intents, permissions};
use serde_json::json;

use crate::client::{LONG, Socket, discord, identify, resume, settings, with};

const MESSAGES: u64 = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT;

#[tokio::test]
async fn a_resume_repeats_what_was_missed_in_order() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, ready) = Socket::ready(&discord, MESSAGES).await;
    discord.say(channel, ada, "one").unwrap();
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "one");
    discord.cut_connections();
    assert_eq!(socket.closed().await, None);
    discord.say(channel, ada, "two").unwrap();
    discord.say(channel, ada, "three").unwrap();

    // The client has handled nothing after the second event: it gets `one` again.
    let mut socket = Socket::hello(&discord).await;
    socket.send(resume(&discord, &ready, 2)).await;
    for content in ["one", "two", "three"] {
        assert_eq!(socket.event("MESSAGE_CREATE").await["content"], content);
    }
    socket.event("RESUMED").await;
    assert_eq!(socket.seq, Some(6));
    discord.say(channel, ada, "four").unwrap();
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "four");
    assert_eq!(discord.report().resumes, 1);
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut first, ready) = Socket::ready(&discord, MESSAGES).await;
    let mut second = Socket::hello(&discord).await;
    second.send(resume(&discord, &ready, 2)).await;
    second.event("RESUMED").await;
    assert_eq!(first.closed().await, Some(4000));
    discord.say(channel, ada, "one").unwrap();
    assert_eq!(second.event("MESSAGE_CREATE").await["content"], "one");
}

#[tokio::test]
async fn codes_of_the_client_end_the_session_or_keep_it() {
    let (discord, _) = discord().await;
    for (code, kept) in [(1000, false), (1001, false), (4000, true)] {
        let (socket, ready) = Socket::ready(&discord, intents::GUILDS).await;
        socket.close(code).await;
        let closed = |what: &What| matches!(what, What::Closed { code: Some(found), .. } if *found == code);
        assert!(discord.happened(LONG, closed).await);
        let mut socket = Socket::hello(&discord).await;
        socket.send(resume(&discord, &ready, 2)).await;
        let frame = socket.frame().await;
        if kept {
            assert_eq!(frame["t"], "RESUMED");
        } else {
            assert_eq!((&frame["op"], &frame["d"]), (&json!(9), &json!(false)), "{code}");
        }
    }
}

#[tokio::test]
async fn a_session_is_forgotten_by_time_and_by_the_number_of_events() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { time, event_buffer: 3, ..settings() }).await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, ready) = Socket::ready(&discord, MESSAGES).await;
    discord.cut_connections();
    socket.closed().await;
    for content in ["one", "two", "three", "four"] {
        discord.say(channel, ada, content).unwrap();
    }
    let answer = async |seq| {
        let mut socket = Socket::hello(&discord).await;
        socket.send(resume(&discord, &ready, seq)).await;
        socket
    };
    // Event 3 was the first of four, and three are remembered.
    assert_eq!(answer(2).await.frame().await["op"], 9);
    let mut socket = answer(3).await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "two");
    assert_eq!(answer(99).await.closed().await, Some(4007));
    discord.cut_connections();
    socket.closed().await;
    let lost = |what: &What| matches!(what, What::Closed { connection: 3, .. });
    assert!(discord.happened(LONG, lost).await);
    discord.clock().advance(Duration::from_secs(181));
    assert_eq!(answer(7).await.frame().await["d"], false);
}

#[tokio::test]
async fn reconnect_and_invalid_session_come_when_asked_for() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, ready) = Socket::ready(&discord, MESSAGES).await;
    discord.reconnect();
    assert_eq!(socket.frame().await["op"], 7);
    discord.invalidate_sessions(true);
    let invalid = socket.frame().await;
    assert_eq!((&invalid["op"], &invalid["d"]), (&json!(9), &json!(true)));
    // The connection is still good for a resume.
    discord.say(channel, ada, "meanwhile").unwrap();
    socket.send(resume(&discord, &ready, 2)).await;
    assert_eq!(socket.event("MESSAGE_CREATE").await["content"], "meanwhile");
    socket.event("RESUMED").await;
    discord.invalidate_sessions(false);
    assert_eq!(socket.frame().await["d"], false);
    socket.send(resume(&discord, &ready, 4)).await;
    assert_eq!(socket.frame().await["d"], false);
    socket.send(identify(&discord, intents::GUILDS)).await;
    socket.event("READY").await;
}

#[tokio::test]
async fn intents_decide_what_is_heard_and_what_is_hidden() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let direct = discord.direct_channel(ada).unwrap();
    let (mut none, _) = Socket::ready(&discord, 0).await;
    let (mut hidden, _) = Socket::ready(&discord, intents::GUILD_MESSAGES | intents::DIRECT_MESSAGES).await;
    let (mut all, _) = Socket::ready(&discord, MESSAGES).await;
    discord.say(channel, ada, "not for the bot").unwrap();
    discord.say(channel, ada, &format!("<@{}> for the bot", discord.bot())).unwrap();
    discord.say(direct, ada, "between us").unwrap();
    none.nothing_came().await;
    assert_eq!(hidden.event("MESSAGE_CREATE").await["content"], "");
    let mention = hidden.event("MESSAGE_CREATE").await;
    assert!(mention["content"].as_str().unwrap().ends_with("for the bot"));
    assert_eq!(mention["mentions"][0]["id"], json!(discord.bot()));
    assert!(mention["member"].is_object() && mention["mentions"][0]["member"].is_object(), "{mention}");
    let direct = hidden.event("MESSAGE_CREATE").await;
    assert_eq!(direct["content"], "between us");
    assert!(direct.get("guild_id").is_none() && direct.get("member").is_none());
    assert_eq!(all.event("MESSAGE_CREATE").await["content"], "not for the bot");
    all.event("MESSAGE_CREATE").await;
    all.nothing_came().await;
}

#[tokio::test]
async fn shards_share_the_guilds_and_the_first_has_direct_messages() {
    let (discord, _) = discord().await;
    discord.create_guild("second");
    let ada = discord.create_user("ada", Kind::Person);
    let direct = discord.direct_channel(ada).unwrap();
    let mut seen = Vec::new();
    for shard in 0..2_u64 {
        let mut socket = Socket::hello(&discord).await;
        let mut frame = identify(&discord, intents::GUILDS | intents::DIRECT_MESSAGES);
        frame["d"]["shard"] = json!([shard, 2]);
        socket.send(frame).await;
        let ready = socket.event("READY").await;
        for guild in ready["guilds"].as_array().unwrap() {
            let id: u64 = guild["id"].as_str().unwrap().parse().unwrap();
            assert_eq!((id >> 22) % 2, shard);
            assert_eq!(socket.event("GUILD_CREATE").await["id"], guild["id"]);
            seen.push(id);
        }
        discord.say(direct, ada, "hello").unwrap();
        if shard == 0 {
            socket.event("MESSAGE_CREATE").await;
        }
        socket.nothing_came().await;
    }
    seen.sort_unstable();
    assert_eq!(seen, discord.guilds().iter().map(|(id, _)| id.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_bot_does_not_see_it_does_not_hear_of() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, _) = Socket::ready(&discord, MESSAGES).await;
    discord.deny(channel, permissions::VIEW_CHANNEL).unwrap();
    discord.say(channel, ada, "secret").unwrap();
    socket.nothing_came().await;
    discord.deny(channel, permissions::SEND_MESSAGES).unwrap();
    let channel = socket.event("CHANNEL_UPDATE").await;
    assert_eq!(channel["permission_overwrites"][0]["deny"], permissions::SEND_MESSAGES.to_string());
}
