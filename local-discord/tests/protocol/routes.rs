//! What the routes do, and how they refuse.

use std::time::Duration;

use local_discord::{Clock, Discord, Id, Kind, Settings, intents, permissions};
use serde_json::{Value, json};

use crate::client::{Answer, Socket, ask, discord, get, settings, with};

async fn create(discord: &Discord, channel: Id, body: Value) -> Answer {
    ask(discord, "POST", &format!("/channels/{channel}/messages"), body).await
}

fn ids(answer: &Answer) -> Vec<Id> {
    let messages = answer.body.as_array().unwrap().iter();
    messages.map(|message| message["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_history_is_newest_first_and_its_bounds_are_exclusive() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let said: Vec<Id> = (0..150).map(|n| discord.say(channel, ada, &format!("{n}")).unwrap()).collect();
    let newest_first = |range: std::ops::Range<usize>| said[range].iter().rev().copied().collect::<Vec<_>>();
    let page = async |query: &str| ids(&get(&discord, &format!("/channels/{channel}/messages{query}")).await);
    assert_eq!(page("").await, newest_first(100..150));
    assert_eq!(page("?limit=100").await, newest_first(50..150));
    assert_eq!(page(&format!("?after={}&limit=100", said[9])).await, newest_first(10..110));
    assert_eq!(page(&format!("?before={}&limit=3", said[9])).await, newest_first(6..9));
    assert_eq!(page(&format!("?around={}&limit=4", said[75])).await, newest_first(73..77));
    for wrong in ["?limit=0", "?limit=101", "?after=x", "?after=1&before=2"] {
        discord.clock().advance(Duration::from_secs(5));
        let answer = get(&discord, &format!("/channels/{channel}/messages{wrong}")).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!(50_035)), "{wrong}");
    }
}

#[tokio::test]
async fn a_nonce_makes_one_message_for_as_long_as_it_is_remembered() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { time, ..settings() }).await;
    let body = |enforce: bool| json!({ "content": "hello", "nonce": "n-1", "enforce_nonce": enforce });
    let first = create(&discord, channel, body(true)).await;
    assert_eq!((first.status, &first.body["nonce"]), (200, &json!("n-1")));
    assert_eq!(create(&discord, channel, body(true)).await.id(), first.id());
    // It is not made again after it was deleted.
    ask(&discord, "DELETE", &format!("/channels/{channel}/messages/{}", first.id()), Value::Null).await;
    assert_eq!(create(&discord, channel, body(true)).await.id(), first.id());
    assert_eq!(discord.messages(channel).unwrap(), []);
    assert_eq!(discord.report().same_nonce, 2);
    // Without `enforce_nonce` a nonce keeps nothing from being made.
    assert_ne!(create(&discord, channel, body(false)).await.id(), first.id());
    discord.clock().advance(Duration::from_secs(300));
    let later = create(&discord, channel, body(true)).await;
    assert_ne!(later.id(), first.id());
    let long = json!({ "content": "hello", "nonce": "x".repeat(26) });
    assert_eq!(create(&discord, channel, long).await.status, 400);
}

#[tokio::test]
async fn messages_that_cannot_be_are_refused() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let longest = create(&discord, channel, json!({ "content": "\u{e4}".repeat(2_000) })).await;
    assert_eq!(longest.status, 200);
    let longer = create(&discord, channel, json!({ "content": "x".repeat(2_001) })).await;
    assert_eq!(longer.status, 400);
    let error = json!({ "code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length." });
    assert_eq!(longer.body["errors"]["content"]["_errors"][0], error);
    let empty = create(&discord, channel, json!({ "content": " \n" })).await;
    assert_eq!((empty.status, &empty.body["code"]), (400, &json!(50_006)));
    let answer = ask(&discord, "POST", &format!("/channels/{channel}/messages"), json!("no object")).await;
    assert_eq!(answer.body["code"], 50_109);

    let hers = discord.say(channel, ada, "mine").unwrap();
    let path = format!("/channels/{channel}/messages/{hers}");
    let answer = ask(&discord, "PATCH", &path, json!({ "content": "yours" })).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!(50_005)));
    let answer = ask(&discord, "DELETE", &path, Value::Null).await;
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!(50_013)));
    let own = format!("/channels/{channel}/messages/{}", longest.id());
    let edited = ask(&discord, "PATCH", &own, json!({ "content": "shorter" })).await;
    assert_eq!((edited.status, &edited.body["content"]), (200, &json!("shorter")));
    assert!(edited.body["edited_timestamp"].is_string());
}

#[tokio::test]
async fn a_reply_names_its_message_and_mentions_only_whom_it_may() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let said = discord.say(channel, ada, "hello").unwrap();
    let reply = |allowed: Value| json!({ "content": format!("<@{ada}> @everyone"), "message_reference": { "message_id": said }, "allowed_mentions": allowed });
    let answer = create(&discord, channel, reply(Value::Null)).await;
    assert_eq!(answer.body["type"], 19);
    assert_eq!(answer.body["referenced_message"]["content"], "hello");
    assert_eq!((&answer.body["mentions"][0]["id"], &answer.body["mention_everyone"]), (&json!(ada), &json!(true)));
    let answer = create(&discord, channel, reply(json!({ "parse": [] }))).await;
    assert_eq!((&answer.body["mentions"], &answer.body["mention_everyone"]), (&json!([]), &json!(false)));
    let gone = json!({ "content": "x", "message_reference": { "message_id": "1" } });
    assert_eq!(create(&discord, channel, gone).await.body["code"], 50_035);
    let gone = json!({ "content": "x", "message_reference": { "message_id": "1", "fail_if_not_exists": false } });
    assert_eq!(create(&discord, channel, gone).await.body["type"], 0);
}

#[tokio::test]
async fn a_message_has_one_thread_with_its_id() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, _) = Socket::ready(&discord, intents::GUILDS | intents::GUILD_MESSAGES).await;
    let said = discord.say(channel, ada, "hello").unwrap();
    socket.event("MESSAGE_CREATE").await;
    let path = format!("/channels/{channel}/messages/{said}/threads");
    let thread = ask(&discord, "POST", &path, json!({ "name": "talk" })).await;
    assert_eq!((thread.status, thread.id()), (201, said));
    let created = socket.event("THREAD_CREATE").await;
    assert_eq!((&created["id"], &created["newly_created"]), (&json!(said), &json!(true)));
    assert_eq!(socket.event("MESSAGE_UPDATE").await["thread"]["id"], json!(said));
    assert_eq!(socket.event("MESSAGE_CREATE").await["type"], 21);
    let again = ask(&discord, "POST", &path, json!({ "name": "talk" })).await;
    assert_eq!((again.status, &again.body["code"]), (400, &json!(160_004)));
    assert_eq!(get(&discord, &format!("/channels/{said}")).await.body["parent_id"], json!(channel));
    assert_eq!(create(&discord, said, json!({ "content": "in it" })).await.status, 200);
    let unknown = format!("/channels/{channel}/messages/1/threads");
    assert_eq!(ask(&discord, "POST", &unknown, json!({ "name": "talk" })).await.body["code"], 10_008);
    let nested = ask(&discord, "POST", &format!("/channels/{said}/threads"), json!({ "name": "x" })).await;
    assert_eq!(nested.body["code"], 50_024);
}

#[tokio::test]
async fn an_archived_thread_comes_back_by_a_message_unless_it_is_locked() {
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { time, ..settings() }).await;
    let path = format!("/channels/{channel}/threads");
    let thread =
        ask(&discord, "POST", &path, json!({ "name": "talk", "type": 11, "auto_archive_duration": 60 })).await.id();
    let own = create(&discord, thread, json!({ "content": "hello" })).await.id();
    // The clock moves for everybody who waits, the caretaker among them.
    discord.clock().advance(Duration::from_secs(3_601));
    let archived =
        async || get(&discord, &format!("/channels/{thread}")).await.body["thread_metadata"]["archived"].clone();
    while archived().await != true {
        discord.clock().advance(Duration::from_secs(1));
    }
    let edit = async || {
        ask(&discord, "PATCH", &format!("/channels/{thread}/messages/{own}"), json!({ "content": "x" })).await.body["code"].clone()
    };
    assert_eq!(edit().await, 50_083);
    assert_eq!(create(&discord, thread, json!({ "content": "back" })).await.status, 200);
    assert_eq!(archived().await, false);
    discord.archive(thread, true, true).unwrap();
    let refused = create(&discord, thread, json!({ "content": "back" })).await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!(50_083)));
    let back = ask(&discord, "PATCH", &format!("/channels/{thread}"), json!({ "archived": false })).await;
    assert_eq!((back.status, &back.body["code"]), (403, &json!(50_013)));
}

#[tokio::test]
async fn permissions_are_asked_first() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let said = discord.say(channel, ada, "hello").unwrap();
    let code = async |method: &str, path: String, body: Value| {
        let answer = ask(&discord, method, &path, body).await;
        (answer.status, answer.body["code"].as_u64().unwrap_or_default())
    };
    let messages = format!("/channels/{channel}/messages");
    discord.deny(channel, permissions::VIEW_CHANNEL).unwrap();
    assert_eq!(code("GET", messages.clone(), Value::Null).await, (403, 50_001));
    discord.deny(channel, permissions::SEND_MESSAGES).unwrap();
    assert_eq!(code("POST", messages.clone(), json!({ "content": "x" })).await, (403, 50_013));
    assert_eq!(code("POST", format!("/channels/{channel}/typing"), Value::Null).await, (403, 50_013));
    discord.deny(channel, permissions::CREATE_PUBLIC_THREADS).unwrap();
    assert_eq!(code("POST", format!("{messages}/{said}/threads"), json!({ "name": "x" })).await, (403, 50_013));
    discord.deny(channel, permissions::READ_MESSAGE_HISTORY).unwrap();
    assert_eq!(get(&discord, &messages).await.body, json!([]));
    assert_eq!(code("GET", format!("{messages}/{said}"), Value::Null).await, (403, 50_013));
    assert_eq!(code("DELETE", format!("/channels/{channel}"), Value::Null).await, (403, 50_013));
    discord.deny(channel, 0).unwrap();
    discord.delete_channel(channel).unwrap();
    assert_eq!(code("GET", messages, Value::Null).await, (404, 10_003));
    assert_eq!(code("GET", "/guilds/1".to_owned(), Value::Null).await, (404, 10_004));
    assert_eq!(code("GET", "/nothing".to_owned(), Value::Null).await, (404, 0));
    assert_eq!(code("PUT", "/users/@me".to_owned(), Value::Null).await, (405, 0));
}
