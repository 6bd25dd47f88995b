//! The report, and the driver over HTTP.

use std::time::Duration;

use hyper::Request;
use local_discord::{Discord, Id, Kind};
use serde_json::{Value, json};

use crate::client::{Answer, ask, discord, send};

async fn say(discord: &Discord, channel: Id, content: &str) -> Answer {
    ask(discord, "POST", &format!("/channels/{channel}/messages"), json!({ "content": content })).await
}

#[tokio::test]
async fn the_report_tells_answered_twice_lost_and_out_of_order_apart() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let key = |n| format!("q-{n}.");
    let asked: Vec<Id> =
        (1..=5).map(|n| discord.ask(channel, ada, &format!("what is {}?", key(n)), Some(&key(n))).unwrap()).collect();
    discord.say(channel, ada, "just talk").unwrap();
    assert_eq!(discord.report().lost, asked);
    say(&discord, channel, &format!("{} is two", key(2))).await;
    say(&discord, channel, &format!("{} is one", key(1))).await;
    say(&discord, channel, &format!("{} is one, again", key(1))).await;
    say(&discord, channel, "who asked?").await;
    discord.delete(channel, asked[4]).unwrap();
    let by_reference = discord.ask(channel, ada, "no key", None).unwrap();
    discord.clock().advance(Duration::from_secs(5));
    let reply = json!({ "content": "yes", "message_reference": { "message_id": by_reference } });
    ask(&discord, "POST", &format!("/channels/{channel}/messages"), reply).await;
    let report = discord.report();
    assert_eq!((report.asked, report.answered, report.withdrawn), (5, 3, 1));
    assert_eq!(report.twice, [asked[0]]);
    assert_eq!(report.lost, [asked[2], asked[3]]);
    assert_eq!(report.out_of_order, [asked[1]]);
    assert_eq!(report.unasked.len(), 1);
    assert!(!report.is_clean());
    assert!(report.to_string().contains("lost                2"), "{report}");
}

async fn command(discord: &Discord, body: Value) -> Answer {
    send(discord, Request::builder().method("POST").uri("/local/commands"), body).await.unwrap()
}

#[tokio::test]
async fn the_driver_is_there_over_http() {
    let (discord, channel) = discord().await;
    let ada = command(&discord, json!({ "do": "create_user", "name": "ada" })).await.id();
    let list = json!([
        { "do": "ask", "channel": channel, "author": ada, "content": "hello" },
        { "do": "script", "fault": { "at": { "answer": "POST /channels/{channel_id}/messages" }, "act": { "status": 502 } } },
        { "do": "script", "fault": { "at": "heartbeat", "act": "withhold", "times": 2 } },
        { "do": "storm", "storm": { "seed": 1, "gateway": 0.0, "rest": 0.0 } },
        { "do": "advance", "ms": 1000 },
    ]);
    let answer = command(&discord, list).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(say(&discord, channel, "x").await.status, 502);
    let read = async |path: &str| send(&discord, Request::builder().uri(path), Value::Null).await.unwrap().body;
    assert_eq!(read("/local/report").await["asked"], 1);
    assert_eq!(read("/local/state").await["channels"][0]["name"], "general");
    let record = read("/local/record?after=1").await;
    assert_eq!(record[0]["number"], 2);
    assert_eq!(read("/local/held").await, json!([]));
    let wrong = command(&discord, json!({ "do": "say", "channel": "1", "author": ada, "content": "x" })).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body["error"].as_str().unwrap().contains("channel 1"), "{}", wrong.text);
    assert_eq!(command(&discord, json!({ "do": "nothing" })).await.status, 400);
}
