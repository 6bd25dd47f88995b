//! The bot as a process, against a local Discord.

mod harness;

use std::time::Duration;

use local_discord::{Act, Fault, Kind, Moment};

use crate::harness::{Bot, LONG, Place, WRITE};

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_is_answered_in_a_thread_and_the_thread_without_one() {
    let place = Place::new(Duration::from_secs(180)).await;
    let mut bot = Bot::start(&place);
    bot.is_ready(&place).await;
    let discord = &place.discord;
    let ada = discord.create_user("ada", Kind::Person);
    let robot = discord.create_user("robot", Kind::Bot);
    let hook = discord.create_user("hook", Kind::Webhook);
    let channel = place.channel(0);
    let asked = place.ask(channel, ada, "why does it leak?");
    assert!(discord.answered(LONG).await, "{}", bot.log());
    discord.ask(asked, ada, "and at night?", None).unwrap();
    assert!(discord.answered(LONG).await, "{}", bot.log());
    discord.say(channel, ada, "not for the bot").unwrap();
    for other in [robot, hook] {
        place.say_to_bot(channel, other, "from no person");
        discord.say(asked, other, "from no person").unwrap();
    }
    let last = discord.ask(asked, ada, &format!("```\n{}```", "line\n".repeat(900)), Some("line")).unwrap();
    assert!(discord.answered(LONG).await, "{}", bot.log());
    assert_eq!(bot.stop().await, 0, "{}", bot.log());

    let answers = place.answers(asked);
    assert_eq!(answers[..2], ["why does it leak?", "and at night?"]);
    let parts = &answers[2..];
    assert!(parts.len() == 3 && parts.iter().all(|part| part.starts_with("```\nline") && part.ends_with("line\n```")));
    assert!(place.answers(channel).is_empty());
    let report = discord.report();
    assert!(report.broken.is_empty() && report.lost.is_empty() && report.out_of_order.is_empty(), "{report}");
    let (asked, last) = (asked.to_string(), last.to_string());
    assert_eq!(
        place.states(),
        [(channel.to_string(), None, asked.clone()), (asked.clone(), Some(asked.clone()), last)]
    );
    assert_eq!(place.ownerships(), [(asked, ada.to_string(), discord.bot().to_string())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_read_from_the_history_to_its_end() {
    // Discord has forgotten the session when the bot is back.
    let place = Place::new(Duration::ZERO).await;
    let mut bot = Bot::start(&place);
    bot.is_ready(&place).await;
    let discord = &place.discord;
    let ada = discord.create_user("ada", Kind::Person);
    let thread = place.ask(place.channel(0), ada, "the first");
    assert!(discord.answered(LONG).await, "{}", bot.log());
    // What is recorded is not read again.
    while place.states().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bot.kill().await;
    for number in 0..230 {
        discord.say(place.channel(1), ada, &format!("talk {number}")).unwrap();
    }
    discord.ask(thread, ada, "in the thread", None).unwrap();
    place.ask(place.channel(1), ada, "where nobody ever asked");
    let mut bot = Bot::start(&place);
    assert!(discord.answered(LONG).await, "{}", bot.log());
    assert_eq!(bot.stop().await, 0, "{}", bot.log());
    let report = discord.report();
    assert!(report.is_clean(), "{report}\n{:?}\n{}", report.broken_at, bot.log());
    assert_eq!((report.identifies, report.resumes), (2, 0), "{report}");
    assert!(bot.log().contains("pages=4"), "{}", bot.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_after_a_stop_and_after_a_kill() {
    let place = Place::new(Duration::from_secs(180)).await;
    let discord = &place.discord;
    let ada = discord.create_user("ada", Kind::Person);
    for life in 0..4 {
        place.ask(place.channel(life % 2), ada, &format!("before life {life}"));
        let mut bot = Bot::start(&place);
        place.ask(place.channel(life % 2), ada, &format!("in life {life}"));
        assert!(discord.answered(LONG).await, "{}", bot.log());
        if life % 2 == 0 { bot.kill().await } else { assert_eq!(bot.stop().await, 0, "{}", bot.log()) }
    }
    let report = discord.report();
    assert!(report.is_clean(), "{report}\n{:?}", report.broken_at);
    assert_eq!((report.identifies, report.resumes), (1, 3), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_a_kill_left_in_doubt_is_given_once() {
    let place = Place::new(Duration::from_secs(180)).await;
    let discord = &place.discord;
    let ada = discord.create_user("ada", Kind::Person);
    for step in [Moment::Answer(WRITE.into()), Moment::Request(WRITE.into())] {
        let mut bot = Bot::start(&place);
        bot.is_ready(&place).await;
        discord.script(Fault::new(step, Act::Hold)).unwrap();
        place.ask(place.channel(0), ada, "the one in doubt");
        place.ask(place.channel(0), ada, "the one behind it");
        discord.held().await;
        bot.kill().await;
        discord.calm();
        let mut bot = Bot::start(&place);
        assert!(discord.answered(LONG).await, "{}", bot.log());
        assert_eq!(bot.stop().await, 0, "{}", bot.log());
    }
    let report = discord.report();
    assert!(report.is_clean(), "{report}\n{:?}", report.broken_at);
    // Discord may notice a kill late, and make what it was asked for: then the second one is spared too.
    assert!(report.asked == 4 && (1..=2).contains(&report.same_nonce), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_answered_is_given_up_and_told() {
    let place = Place::new(Duration::from_secs(180)).await;
    let discord = &place.discord;
    let ada = discord.create_user("ada", Kind::Person);
    let program = place.program("read question; case $question in *bad*) exit 1;; *) echo good;; esac");
    let mut bot = Bot::start_with(&place, &["--program", &program]);
    bot.is_ready(&place).await;
    let bad = place.say_to_bot(place.channel(0), ada, "bad");
    place.ask(place.channel(0), ada, "fine");
    assert!(discord.answered(LONG).await, "{}", bot.log());
    assert_eq!(bot.stop().await, 0, "{}", bot.log());
    assert!(bot.log().contains("gave up a message: the responder failed"), "{}", bot.log());
    assert_eq!(place.answers(place.channel(0)), ["Sorry, I could not answer this."]);
    assert!(discord.report().twice.is_empty() && discord.report().unasked.len() == 1);
    assert!(discord.channels().iter().all(|(channel, _)| *channel != bad), "no thread was made for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discord_or_another_process_has_against_it_is_told() {
    let place = Place::new(Duration::from_secs(180)).await;
    let mut wrong = Bot::start_as(&place, "wrong-token", &[]);
    assert_eq!(wrong.ended().await, 4, "{}", wrong.log());
    assert!(wrong.log().contains("refused the token") && !wrong.log().contains("wrong-token"), "{}", wrong.log());
    let mut bot = Bot::start(&place);
    bot.is_ready(&place).await;
    let mut second = Bot::start(&place);
    assert_eq!(second.ended().await, 5, "{}", second.log());
    assert!(second.log().contains("another process runs these shards"), "{}", second.log());
    assert_eq!(bot.stop().await, 0, "{}", bot.log());
}
