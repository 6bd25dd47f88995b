//! What changes in Discord while the bot works there: threads go, permissions go and come back.

use local_discord::permissions::{
    CREATE_PUBLIC_THREADS, READ_MESSAGE_HISTORY, SEND_MESSAGES, SEND_MESSAGES_IN_THREADS, VIEW_CHANNEL,
};

use local_discord::{Act, Fault, Id, Moment};

use crate::rig::{Bot, CREATE, On, Rig};

/// A thread is deleted while its question is being answered, and another one waits there.
async fn deleted(on: On) {
    let rig = Rig::new(on, 2).await;
    let bot = Bot::start(&rig);
    for _ in 0..2 {
        let thread = rig.ask(rig.channel(0));
        rig.answered(&bot).await;
        rig.hold(Moment::Request(CREATE.to_owned()));
        let asked = rig.ask_in_thread(thread);
        let held = rig.held(&bot).await;
        rig.ask_in_thread(thread);
        rig.forget(thread, (asked, true));
        go_on_without(&rig, &bot, thread, held.number).await;
    }
    let log = bot.log();
    bot.stop().await;
    assert!(!log.contains("gave up") && !log.contains("failed:"), "{log}");
    assert_eq!(rig.discord.report().withdrawn, 4);
    rig.prove("a thread deleted before the answer").await;
}

/// A thread is deleted between two parts of its first answer.
async fn deleted_between_parts(on: On) {
    let rig = Rig::new(on, 2).await;
    let program = rig.talkative();
    let bot = Bot::start_with(&rig, &["--program", &program], &[]);
    let second = Fault::new(Moment::Request(CREATE.to_owned()), Act::Hold).skip(1);
    rig.discord.script(second).unwrap();
    let thread = rig.ask(rig.channel(0));
    let held = rig.held(&bot).await;
    go_on_without(&rig, &bot, thread, held.number).await;
    let log = bot.log();
    bot.stop().await;
    assert!(!log.contains("gave up") && !log.contains("failed:"), "{log}");
    // Those of the two that came afterwards.
    rig.prove_with("a thread deleted between two parts", 2).await;
}

/// Deletes a thread while something of it is held. The channels go on.
async fn go_on_without(rig: &Rig, bot: &Bot, thread: Id, held: u64) {
    rig.discord.delete_channel(thread).unwrap();
    rig.discord.release(held);
    rig.ask(rig.channel(0));
    rig.ask(rig.channel(1));
    rig.answered(bot).await;
}

/// Permissions are lost and regained, with a message in between that cannot be answered.
async fn a_permission_is_lost_and_regained(on: On) {
    let rig = Rig::new(on, 2).await;
    let bot = Bot::start(&rig);
    let (channel, other) = (rig.channel(0), rig.channel(1));
    let mention = format!("<@{}> in vain", rig.discord.bot());
    rig.ask(channel);
    rig.answered(&bot).await;
    let everything = SEND_MESSAGES | SEND_MESSAGES_IN_THREADS | CREATE_PUBLIC_THREADS;
    for (times, denied) in [VIEW_CHANNEL, everything, everything | READ_MESSAGE_HISTORY].into_iter().enumerate() {
        rig.discord.deny(channel, denied).unwrap();
        rig.discord.say(channel, rig.ada, &mention).unwrap();
        // It never hears of the first.
        bot.says_so_often("may not be answered", times).await;
        // The others do not notice.
        rig.ask(other);
        rig.answered(&bot).await;
        rig.discord.deny(channel, 0).unwrap();
        rig.ask(channel);
        rig.ask(other);
        rig.answered(&bot).await;
    }
    // Without a thread it replies.
    rig.discord.deny(channel, CREATE_PUBLIC_THREADS).unwrap();
    rig.ask_for_reply(channel);
    rig.answered(&bot).await;
    rig.discord.deny(channel, 0).unwrap();
    rig.ask(channel);
    rig.answered(&bot).await;
    let log = bot.log();
    bot.stop().await;
    assert_eq!(log.matches("may not be answered").count(), 2, "{log}");
    assert!(log.contains("no thread can be made"), "{log}");
    rig.prove("permissions lost and regained").await;
}

async fn a_thread_is_deleted(on: On) {
    tokio::join!(deleted(on), deleted_between_parts(on));
}

on_both!(a_thread_is_deleted, a_permission_is_lost_and_regained);
