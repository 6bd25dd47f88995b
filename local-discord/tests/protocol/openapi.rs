//! Answers and events are shaped as Discord describes its API.

use std::collections::BTreeSet;
use std::time::Duration;

use jsonschema::Validator;
use local_discord::{Discord, Id, Kind, Settings, intents};
use serde_json::{Value, json};

use crate::client::{Answer, Came, Socket, ask, discord, settings, with};

const EXCERPT: &str = include_str!("../openapi/excerpt.json");

/// Discord's description, in which objects have no fields but those that are described.
struct Description {
    paths: Value,
    components: Value,
    seen: BTreeSet<String>,
}

impl Description {
    fn read() -> Self {
        let mut excerpt: Value = serde_json::from_str(EXCERPT).unwrap();
        let mut components = excerpt["components"].take();
        for (name, schema) in components["schemas"].as_object_mut().unwrap() {
            // Errors are put together of several schemas, each with fields of its own.
            if name != "Error"
                && schema["type"] == "object"
                && schema["properties"].is_object()
                && schema.get("allOf").is_none()
            {
                schema["additionalProperties"] = false.into();
            }
        }
        // The description says that the code of a field's error is a number; it is a word, as in Discord's documents.
        components["schemas"]["InnerErrors"]["properties"]["_errors"]["items"] = json!({ "type": "object", "properties": { "code": { "type": "string" }, "message": { "type": "string" } } });
        Self { paths: excerpt["paths"].take(), components, seen: BTreeSet::new() }
    }

    fn validator(&self, schema: &Value) -> Validator {
        let mut whole = json!({ "components": self.components });
        whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&whole).unwrap()
    }

    fn check(&self, what: &str, schema: &Value, value: &Value) {
        let validator = self.validator(schema);
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
    }

    fn named(&self, what: &str, name: &str, value: &Value) {
        self.check(what, &json!({ "$ref": format!("#/components/schemas/{name}") }), value);
    }

    /// Checks the answer to a request by the description of its route.
    fn answer(&mut self, method: &str, template: &str, answer: &Answer) {
        let what = format!("{method} {template}");
        let described = &self.paths[template][method.to_lowercase()][answer.status.to_string()];
        if answer.status == 204 {
            assert_eq!(answer.text, "", "{what}");
        } else {
            assert!(described.is_object(), "{what}: {} is not described: {}", answer.status, answer.text);
            self.check(&what, described, &answer.body);
        }
        self.seen.insert(what);
    }
}

/// What a path is made of.
struct Ids {
    guild: Id,
    channel: Id,
    message: Id,
    user: Id,
}

async fn go(
    discord: &Discord,
    description: &mut Description,
    ids: &Ids,
    method: &str,
    template: &str,
    body: Value,
) -> Answer {
    let path = template
        .replace("{guild_id}", &ids.guild.to_string())
        .replace("{channel_id}", &ids.channel.to_string())
        .replace("{message_id}", &ids.message.to_string())
        .replace("{user_id}", &ids.user.to_string());
    let answer = ask(discord, method, &path, body).await;
    description.answer(method, template, &answer);
    answer
}

#[tokio::test]
async fn every_route_answers_as_it_is_described() {
    let (discord, channel) = discord().await;
    let mut description = Description::read();
    let ada = discord.create_user("ada", Kind::Person);
    let hook = discord.create_user("hook", Kind::Webhook);
    let guild = discord.guilds()[0].0;
    let said = discord.say(channel, ada, &format!("<@{}> hello", discord.bot())).unwrap();
    discord.say(channel, hook, "from a webhook").unwrap();
    discord.create_thread(channel, None, ada, "hers").unwrap();
    let ids = Ids { guild, channel, message: said, user: ada };
    let description = &mut description;
    let nothing = Value::Null;

    for path in ["/gateway", "/gateway/bot", "/users/@me", "/applications/@me", "/guilds/{guild_id}"] {
        go(&discord, description, &ids, "GET", path, nothing.clone()).await;
    }
    go(&discord, description, &ids, "GET", "/guilds/{guild_id}/members/{user_id}", nothing.clone()).await;
    let direct = json!({ "recipient_id": ada });
    let direct = go(&discord, description, &ids, "POST", "/users/@me/channels", direct).await.id();
    let direct = Ids { channel: direct, ..ids };
    go(&discord, description, &direct, "GET", "/channels/{channel_id}", nothing.clone()).await;

    let messages = "/channels/{channel_id}/messages";
    let own = go(&discord, description, &ids, "POST", messages, json!({ "content": "one", "nonce": 7 })).await.id();
    let reply = json!({ "content": "two", "message_reference": { "message_id": said }, "embeds": [{ "title": "t" }] });
    go(&discord, description, &ids, "POST", messages, reply).await;
    go(&discord, description, &ids, "POST", "/channels/{channel_id}/typing", nothing.clone()).await;
    let thread = "/channels/{channel_id}/messages/{message_id}/threads";
    let thread = go(&discord, description, &ids, "POST", thread, json!({ "name": "from a message" })).await.id();
    go(&discord, description, &ids, "POST", "/channels/{channel_id}/threads", json!({ "name": "private" })).await;
    let thread = Ids { channel: thread, ..ids };
    go(&discord, description, &thread, "POST", messages, json!({ "content": "in the thread" })).await;
    for ids in [&ids, &thread] {
        go(&discord, description, ids, "GET", messages, nothing.clone()).await;
        go(&discord, description, ids, "GET", "/channels/{channel_id}", nothing.clone()).await;
    }
    go(&discord, description, &ids, "GET", "/guilds/{guild_id}/channels", nothing.clone()).await;
    go(&discord, description, &ids, "GET", "/guilds/{guild_id}/threads/active", nothing.clone()).await;
    let member = "/channels/{channel_id}/thread-members/@me";
    go(&discord, description, &thread, "DELETE", member, nothing.clone()).await;
    go(&discord, description, &thread, "PUT", member, nothing.clone()).await;
    go(&discord, description, &thread, "PATCH", "/channels/{channel_id}", json!({ "archived": true })).await;

    let message = "/channels/{channel_id}/messages/{message_id}";
    go(&discord, description, &ids, "GET", message, nothing.clone()).await;
    let own = Ids { message: own, ..ids };
    go(&discord, description, &own, "PATCH", message, json!({ "content": "three" })).await;
    go(&discord, description, &own, "DELETE", message, nothing.clone()).await;
    go(&discord, description, &direct, "DELETE", "/channels/{channel_id}", nothing).await;

    let all = description.paths.as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    assert_eq!(description.seen, all.collect());
}

#[tokio::test]
async fn errors_are_as_described() {
    let (discord, channel) = with(Settings { ..settings() }).await;
    let description = Description::read();
    let path = format!("/channels/{channel}/messages");
    for (path, body) in [("/channels/1", Value::Null), (path.as_str(), json!({ "content": "x".repeat(2_001) }))] {
        let method = if body.is_null() { "GET" } else { "POST" };
        let answer = ask(&discord, method, path, body).await;
        assert!(answer.status >= 400);
        description.named(path, "ErrorResponse", &answer.body);
    }
    for _ in 0..5 {
        ask(&discord, "POST", &path, json!({ "content": "x" })).await;
    }
    let limited = ask(&discord, "POST", &path, json!({ "content": "x" })).await;
    assert_eq!(limited.status, 429);
    description.named(&path, "RatelimitedResponse", &limited.body);
}

/// Takes out what only events have.
fn without(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().retain(|name, _| !fields.contains(&name.as_str()));
    value
}

#[tokio::test]
async fn objects_in_events_are_as_described() {
    let (discord, channel) = discord().await;
    let description = Description::read();
    let ada = discord.create_user("ada", Kind::Person);
    let (mut socket, _) =
        Socket::ready(&discord, intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT).await;
    let said = discord.say(channel, ada, &format!("<@{}> hello", discord.bot())).unwrap();
    discord.edit(channel, said, "hello").unwrap();
    discord.create_thread(channel, Some(said), ada, "hers").unwrap();
    discord.archive(said, true, false).unwrap();
    discord.rename(channel, "renamed").unwrap();
    discord.create_guild("second");
    discord.delete_channel(said).unwrap();
    discord.delete_channel(channel).unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let frame = match tokio::time::timeout(Duration::from_secs(20), socket.came()).await.unwrap() {
            Came::Frame(frame) => frame,
            Came::Closed(code) => panic!("closed with {code:?}"),
        };
        let (name, mut data) = (frame["t"].as_str().unwrap().to_owned(), frame["d"].clone());
        match name.as_str() {
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => {
                for mention in data["mentions"].as_array_mut().unwrap() {
                    *mention = without(mention, &["member"]);
                }
                description.named(&name, "MessageResponse", &without(&data, &["guild_id", "member"]));
            }
            "THREAD_CREATE" | "THREAD_UPDATE" => {
                description.named(&name, "ThreadResponse", &without(&data, &["newly_created"]));
            }
            "CHANNEL_UPDATE" | "CHANNEL_DELETE" => description.named(&name, "GuildChannelResponse", &data),
            "GUILD_CREATE" => {
                let only_here = ["joined_at", "large", "unavailable", "member_count", "members", "channels", "threads"];
                let lists =
                    ["voice_states", "presences", "stage_instances", "guild_scheduled_events", "soundboard_sounds"];
                description.named(
                    &name,
                    "GuildWithCountsResponse",
                    &without(&data, &[&only_here[..], &lists[..]].concat()),
                );
            }
            "THREAD_DELETE" => assert_eq!(data["parent_id"], json!(channel)),
            other => panic!("{other}"),
        }
        seen.insert(name.clone());
        if name == "CHANNEL_DELETE" {
            break;
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}
