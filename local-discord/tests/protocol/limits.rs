//! Rate limits of REST.

use std::time::Duration;

use hyper::Request;
use local_discord::record::Rule;
use local_discord::{Act, Clock, Discord, Fault, Id, Limits, Moment, Scope, Settings};
use serde_json::{Value, json};

use crate::client::{Answer, ask, ask_again, get, send, settings, with};

const CREATE: &str = "POST /channels/{channel_id}/messages";

async fn stopped(limits: Limits) -> (Discord, Id) {
    let time = Clock::stopped(Duration::from_millis(1_800_000_000_250));
    with(Settings { time, limits, ..settings() }).await
}

async fn create(discord: &Discord, channel: Id) -> Answer {
    ask(discord, "POST", &format!("/channels/{channel}/messages"), json!({ "content": "x" })).await
}

#[tokio::test]
async fn a_bucket_is_told_of_in_headers_and_refuses_when_it_is_empty() {
    let (discord, channel) = stopped(Limits::default()).await;
    let other = discord.create_channel(discord.guilds()[0].0, "other").unwrap();
    for remaining in (0..5).rev() {
        let answer = create(&discord, channel).await;
        assert_eq!(answer.header("x-ratelimit-limit"), "5");
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining.to_string());
        assert_eq!(answer.header("x-ratelimit-reset"), "1800000005.250");
        assert_eq!(answer.header("x-ratelimit-reset-after"), "5.000");
        assert_eq!(answer.header("x-ratelimit-bucket").len(), 16);
    }
    discord.clock().advance(Duration::from_millis(1_500));
    let refused = create(&discord, channel).await;
    assert_eq!(refused.status, 429);
    assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-scope")), ("4", "user"));
    assert_eq!(refused.header("x-ratelimit-global"), "");
    let body = json!({ "message": "You are being rate limited.", "code": 0, "retry_after": 3.5, "global": false });
    assert_eq!(refused.body, body);
    // Each channel has its own.
    assert_eq!(create(&discord, other).await.status, 200);
    discord.clock().advance(Duration::from_millis(3_500));
    assert_eq!(create(&discord, channel).await.status, 200);
    assert_eq!(discord.report().broken.into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn all_routes_share_the_global_limit() {
    let (discord, _) = stopped(Limits { global: 3, ..Limits::default() }).await;
    for _ in 0..3 {
        assert_eq!(get(&discord, "/users/@me").await.status, 200);
    }
    let refused = get(&discord, "/applications/@me").await;
    assert_eq!((refused.status, refused.header("x-ratelimit-global")), (429, "true"));
    assert_eq!((refused.header("x-ratelimit-scope"), &refused.body["global"]), ("global", &json!(true)));
    discord.clock().advance(Duration::from_secs(1));
    assert_eq!(get(&discord, "/applications/@me").await.status, 200);
}

#[tokio::test]
async fn a_429_by_script_has_its_scope_and_its_pause_is_a_rule() {
    let (discord, channel) = stopped(Limits::default()).await;
    for scope in [Scope::User, Scope::Global, Scope::Shared] {
        let before = discord.report().broken.values().sum::<u64>();
        let act = Act::RateLimit { scope, retry_after: 1.5 };
        discord.script(Fault::new(Moment::Request(CREATE.to_owned()), act)).unwrap();
        let refused = create(&discord, channel).await;
        assert_eq!((refused.status, &refused.body["retry_after"]), (429, &json!(1.5)));
        assert_eq!(refused.header("x-ratelimit-scope"), format!("{scope:?}").to_lowercase());
        assert_eq!(refused.body["global"], scope == Scope::Global);
        // This one may have been on its way.
        assert_eq!(create(&discord, channel).await.status, 429);
        assert_eq!(discord.report().broken.values().sum::<u64>(), before);
        // The client was told to wait, and did not.
        discord.clock().advance(Duration::from_millis(200));
        assert_eq!(create(&discord, channel).await.status, 429);
        assert_eq!(discord.report().broken.values().sum::<u64>(), before + 1);
        discord.clock().advance(Duration::from_millis(1_300));
        assert_eq!(create(&discord, channel).await.status, 200);
        discord.clock().advance(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn who_repeats_a_request_at_once_breaks_the_rule_at_once() {
    let (discord, channel) = stopped(Limits::default()).await;
    let act = Act::RateLimit { scope: Scope::User, retry_after: 1.5 };
    discord.script(Fault::new(Moment::Request(CREATE.to_owned()), act)).unwrap();
    let path = format!("/channels/{channel}/messages");
    let answers = ask_again(&discord, "POST", &path, json!({ "content": "x" }), 2).await;
    assert!(answers.iter().all(|answer| answer.status == 429));
    assert_eq!(discord.report().broken.into_iter().collect::<Vec<_>>(), [(Rule::Pause, 1)]);
}

#[tokio::test]
async fn invalid_requests_end_in_a_ban_but_those_of_a_shared_limit_do_not_count() {
    let (discord, channel) = stopped(Limits { invalid_requests: 3, ..Limits::default() }).await;
    let act = Act::RateLimit { scope: Scope::Shared, retry_after: 0.0 };
    discord.script(Fault::new(Moment::Request(CREATE.to_owned()), act).times(4)).unwrap();
    for _ in 0..4 {
        assert_eq!(create(&discord, channel).await.status, 429);
    }
    let wrong = async || {
        let request = Request::builder().header("user-agent", "DiscordBot (x, 1)").header("authorization", "Bot wrong");
        send(&discord, request.uri("/api/v10/users/@me"), Value::Null).await.unwrap()
    };
    for _ in 0..3 {
        let answer = wrong().await;
        assert_eq!((answer.status, answer.body), (401, json!({ "message": "401: Unauthorized", "code": 0 })));
    }
    let banned = get(&discord, "/users/@me").await;
    assert_eq!((banned.status, banned.header("retry-after"), &banned.body), (429, "3600", &Value::Null));
    discord.clock().advance(Duration::from_secs(3_600));
    assert_eq!(get(&discord, "/users/@me").await.status, 200);
}

#[tokio::test]
async fn a_client_says_who_it_is() {
    let (discord, _) = stopped(Limits::default()).await;
    let request = Request::builder().header("authorization", format!("Bot {}", discord.token()));
    let answer = send(&discord, request.uri("/api/v10/users/@me"), Value::Null).await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!(40_333)));
}
