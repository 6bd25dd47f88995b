//! twilight's own clients, which know nothing of this Discord but its address.

use std::sync::Once;
use std::time::Duration;

use local_discord::{Act, Bucket, Clock, Discord, Fault, Kind, Limits, Moment, Settings, What, intents};
use twilight_gateway::{CloseFrame, ConfigBuilder, Event, EventTypeFlags, Intents, Session, Shard, ShardId, StreamExt};
use twilight_http::Client;
use twilight_model::channel::message::AllowedMentions;
use twilight_model::id::Id;

use crate::client::{LONG, discord, settings, with};

/// The gateway's client needs it, though nothing here is encrypted.
fn provide() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn client(discord: &Discord) -> Client {
    provide();
    Client::builder().proxy(discord.address().to_string(), true).token(discord.token()).build()
}

fn shard(discord: &Discord, session: Option<Session>) -> Shard {
    provide();
    let intents = Intents::GUILDS | Intents::GUILD_MESSAGES | Intents::MESSAGE_CONTENT;
    let mut config = ConfigBuilder::new(discord.token(), intents).proxy_url(discord.gateway());
    if let Some(session) = session {
        config = config.session(session).resume_url(discord.gateway());
    }
    Shard::with_config(ShardId::ONE, config.build())
}

/// The next event that is one of these; errors and closes of the connection are what twilight reports and recovers from.
async fn next(shard: &mut Shard, wanted: EventTypeFlags) -> Event {
    tokio::time::timeout(LONG, async {
        loop {
            match shard.next_event(wanted).await.expect("the shard has ended for good") {
                Ok(Event::GatewayClose(_)) | Err(_) => {}
                Ok(event) => return event,
            }
        }
    })
    .await
    .expect("no event came")
}

/// Reads until the connection is closed: after that the shard would connect again.
async fn next_close(shard: &mut Shard) {
    let close =
        async { while !matches!(shard.next_event(EventTypeFlags::all()).await, Some(Ok(Event::GatewayClose(_)))) {} };
    tokio::time::timeout(LONG, close).await.expect("the connection was not closed");
}

#[tokio::test]
async fn a_bot_hears_makes_a_thread_and_answers() {
    let (discord, channel) = discord().await;
    let http = client(&discord);
    let ada = discord.create_user("ada", Kind::Person);
    let mut shard = shard(&discord, None);
    let Event::GuildCreate(guild) = next(&mut shard, EventTypeFlags::GUILD_CREATE).await else { panic!("no guild") };
    assert_eq!(guild.id().get(), discord.guilds()[0].0.0);
    let me = http.current_user().await.unwrap().model().await.unwrap();
    assert_eq!(me.id.get(), discord.bot().0);
    let gateway = http.gateway().authed().await.unwrap().model().await.unwrap();
    assert_eq!(gateway.url, discord.gateway());

    let asked = discord.ask(channel, ada, &format!("<@{}> hello", discord.bot()), None).unwrap();
    let Event::MessageCreate(message) = next(&mut shard, EventTypeFlags::MESSAGE_CREATE).await else {
        panic!("no message")
    };
    assert_eq!(message.id.get(), asked.0);
    assert_eq!(message.mentions[0].id, me.id);
    let typing = http.create_typing_trigger(message.channel_id).await.unwrap();
    assert_eq!(typing.status(), 204);
    let thread =
        http.create_thread_from_message(message.channel_id, message.id, "hello").await.unwrap().model().await.unwrap();
    assert_eq!(thread.id.get(), asked.0);
    let Event::ThreadCreate(created) = next(&mut shard, EventTypeFlags::THREAD_CREATE).await else {
        panic!("no thread")
    };
    assert_eq!(created.id, thread.id);
    let allowed = AllowedMentions::default();
    let answer = http.create_message(thread.id).content("hello yourself").allowed_mentions(Some(&allowed)).nonce(42);
    let answer = answer.await.unwrap().model().await.unwrap();
    let page = http.channel_messages(thread.id).limit(100).await.unwrap().models().await.unwrap();
    assert_eq!(page[0].id, answer.id);
    let guild = guild.id();
    http.guild(guild).await.unwrap().model().await.unwrap();
    http.guild_channels(guild).await.unwrap().models().await.unwrap();
    http.guild_member(guild, Id::new(ada.0)).await.unwrap().model().await.unwrap();
    let active = http.active_threads(guild).await.unwrap().model().await.unwrap();
    assert_eq!(active.threads[0].id, thread.id);
    http.update_message(thread.id, answer.id).content(Some("edited")).await.unwrap().model().await.unwrap();
    http.delete_message(thread.id, answer.id).await.unwrap();
    http.update_thread(thread.id).archived(true).await.unwrap().model().await.unwrap();
    let report = discord.report();
    assert_eq!((report.asked, report.answered), (1, 1));
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_shard_resumes_over_a_cut_in_the_middle_of_a_frame_and_over_a_restart() {
    let (discord, channel) = discord().await;
    let ada = discord.create_user("ada", Kind::Person);
    let mut first = shard(&discord, None);
    next(&mut first, EventTypeFlags::GUILD_CREATE).await;
    let message = Moment::Event("MESSAGE_CREATE".to_owned());
    discord.script(Fault::new(message.clone(), Act::Cut)).unwrap();
    discord.say(channel, ada, "cut").unwrap();
    let content = async |shard: &mut Shard| match next(shard, EventTypeFlags::MESSAGE_CREATE).await {
        Event::MessageCreate(message) => message.content.clone(),
        event => panic!("{event:?}"),
    };
    assert_eq!(content(&mut first).await, "cut");

    let session = first.session().unwrap().clone();
    first.close(CloseFrame::RESUME);
    next_close(&mut first).await;
    discord.say(channel, ada, "missed").unwrap();
    let mut second = shard(&discord, Some(session));
    assert_eq!(content(&mut second).await, "missed");
    let report = discord.report();
    assert_eq!((report.identifies, report.resumes), (1, 2));

    discord.invalidate_sessions(false);
    next(&mut second, EventTypeFlags::READY).await;
    discord.reconnect();
    next(&mut second, EventTypeFlags::RESUMED).await;
    discord.close_connections(4000);
    next(&mut second, EventTypeFlags::RESUMED).await;
    discord.say(channel, ada, "still here").unwrap();
    assert_eq!(content(&mut second).await, "still here");
    assert!(discord.report().broken.is_empty());
    let all = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT;
    assert!(
        discord.record().iter().any(|entry| matches!(entry.what, What::Identified { intents, .. } if intents == all))
    );
}

#[tokio::test]
async fn a_429_is_obeyed_and_repeated_by_itself() {
    let route = "POST /channels/{channel_id}/messages".to_owned();
    let bucket = Bucket { route, limit: 5, window: Duration::from_millis(300) };
    let limits = Limits { buckets: vec![bucket], ..Limits::default() };
    let time = Clock::stopped(Duration::from_secs(1_800_000_000));
    let (discord, channel) = with(Settings { limits, time, ..settings() }).await;
    let http = client(&discord);
    let create = async || {
        http.create_message(Id::new(channel.0)).content("x").await.unwrap();
    };
    let refused = |what: &What| matches!(what, What::Request { status: 429, .. });
    // However long the requests take, the window ends when one has been refused, and before twilight repeats it.
    let window = async {
        assert!(discord.happened(LONG, refused).await);
        discord.clock().advance(Duration::from_millis(300));
    };
    tokio::join!(create(), create(), create(), create(), create(), create(), create(), window);
    assert_eq!(discord.messages(channel).unwrap().len(), 7);
    // twilight 0.18 heeds a bucket that an answer of 429 tells of, and not those of other answers.
    assert_eq!(discord.record().iter().filter(|entry| refused(&entry.what)).count(), 1);
}
