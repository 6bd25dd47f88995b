//! A bot on serenity, which shares nothing with twilight, against local-discord: its session is cut, closed, told to go elsewhere and
//! called invalid while it answers.

use std::time::Duration;

use local_discord::record::What;
use local_discord::{Act, Discord, Fault, Kind, Moment, Settings};
use serenity::all::{
    ClientBuilder, Context, CreateMessage, CreateThread, EventHandler, GatewayIntents, HttpBuilder, Message,
};
use serenity::async_trait;

/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(60);

struct Bot;

#[async_trait]
impl EventHandler for Bot {
    /// Answers a mention in a new thread, and by a reply what is written in there.
    async fn message(&self, context: Context, message: Message) {
        if message.author.bot {
            return;
        }
        let answer = CreateMessage::new().content(&message.content);
        let (place, answer) = match message.mentions_me(&context).await {
            Ok(true) => {
                let thread = CreateThread::new("an answer");
                let made = message.channel_id.create_thread_from_message(&context.http, message.id, thread).await;
                (made.expect("a thread").id, answer)
            }
            _ => (message.channel_id, answer.reference_message(&message)),
        };
        place.send_message(&context.http, answer).await.expect("an answer");
    }
}

#[tokio::main]
async fn main() {
    let guilds = vec![("guild".to_owned(), vec!["general".to_owned()])];
    let discord = Discord::start(Settings { guilds, ..Settings::default() }).await.expect("a local Discord");
    let (channel, ada) = (discord.channels()[0].0, discord.create_user("ada", Kind::Person));
    let ask = |place, key: &str| {
        let mention = if place == channel { format!("<@{}> ", discord.bot()) } else { String::new() };
        discord.ask(place, ada, &format!("{mention}{key}"), Some(key)).expect("a question")
    };

    // Its limiter knows no address but Discord's own.
    let http = HttpBuilder::new(discord.token()).proxy(discord.api()).ratelimiter_disabled(true).build();
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::MESSAGE_CONTENT;
    let mut client = ClientBuilder::new_with_http(http, intents).event_handler(Bot).await.expect("a client");
    let running = tokio::spawn(async move { client.start().await });
    assert!(discord.happened(LONG, |what| matches!(what, What::Identified { .. })).await, "no session");

    let thread = ask(channel, "first.");
    assert!(discord.answered(LONG).await, "{}", discord.report());
    ask(thread, "second.");
    assert!(discord.answered(LONG).await, "{}", discord.report());
    // What is missed meanwhile is sent again.
    for (number, act) in [Act::Cut, Act::Close(4000), Act::Reconnect].into_iter().enumerate() {
        let seen = discord.recorded();
        discord.script(Fault::new(Moment::Event("MESSAGE_CREATE".into()), act)).expect("a fault");
        ask(thread, &format!("missed-{number}."));
        let resumed = discord.happened_after(seen, LONG, |what| matches!(what, What::Resumed { .. })).await;
        assert!(resumed && discord.answered(LONG).await, "{number}: {}", discord.report());
    }
    let seen = discord.recorded();
    discord.invalidate_sessions(false);
    let again = discord.happened_after(seen, LONG, |what| matches!(what, What::Identified { .. })).await;
    assert!(again, "no new session");
    ask(thread, "last.");
    assert!(discord.answered(LONG).await, "{}", discord.report());

    running.abort();
    let report = discord.report();
    println!("{report}");
    assert!(report.is_clean(), "{:?}", report.broken_at);
    assert_eq!((report.identifies, report.resumes), (2, 3));
}
