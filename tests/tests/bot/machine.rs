//! What is wrong on the bot's own machine: files that are missing, and a disk that is full.

use cofferdam_tests::harness::tmpfs::Tmpfs;
use cofferdam_tests::harness::wait::until;

use crate::rig::{Bot, LONG, On, Rig};

/// Starts it so, and wants one clear line and exit code 2.
async fn refused(rig: &Rig, arguments: &[&str], environment: &[(&str, String)], words: &[&str]) {
    let mut bot = Bot::start_with(rig, arguments, environment);
    bot.says("cofferdam-bot: ").await;
    assert_eq!(bot.ended().await, Some(2), "{}", bot.log());
    let log = bot.log();
    assert_eq!(log.lines().filter(|line| line.starts_with("cofferdam-bot: ")).count(), 1, "{log}");
    for word in words {
        assert!(log.contains(word), "{word:?} is not in {log}");
    }
    assert!(!log.contains(&rig.discord.token()), "{log}");
}

#[tokio::test]
async fn a_missing_file_is_told_at_the_start() {
    let rig = Rig::new(On::Sqlite, 1).await;
    let at = |name: &str| rig.folder.path().join(name).display().to_string();
    let file = |name: &str, content: &str| {
        std::fs::write(at(name), content).unwrap();
        at(name)
    };
    let missing = rig.folder.path().join("missing").display().to_string();
    let plain = file("plain", "#!/bin/sh\n");
    let program = ["--program (BOT_PROGRAM)", "cannot be run", "name an executable file"];
    for (name, cause) in [(missing.as_str(), "No such file"), (plain.as_str(), "permission denied")] {
        refused(&rig, &["--program", name], &[], &[&program[..], &[name, cause]].concat()).await;
    }
    refused(&rig, &["--program", "no-such-program"], &[], &program).await;
    let token = |file: String| [("DISCORD_TOKEN", String::new()), ("DISCORD_TOKEN_FILE", file)];
    refused(&rig, &[], &token(missing.clone()), &["DISCORD_TOKEN_FILE", &missing, "No such file", "name the file"])
        .await;
    refused(&rig, &[], &token(file("empty", "\n")), &["DISCORD_TOKEN_FILE", "is empty", "copy the token again"]).await;
    refused(&rig, &[], &token(file("odd", "a b")), &["DISCORD_TOKEN_FILE", "no token has", "copy the token"]).await;
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    refused(&rig, &[], &token(at("pipe")), &["DISCORD_TOKEN_FILE", "is empty", "copy the token again"]).await;
    refused(&rig, &[], &token("/dev/zero".into()), &["DISCORD_TOKEN_FILE", "larger than 64 KiB", "name the file"])
        .await;
    let claimed = match &rig.home {
        cofferdam_tests::harness::storage::Home::Sqlite(folder) => folder.database().display().to_string(),
        _ => unreachable!("it was asked for"),
    };
    refused(&rig, &[], &[("BOT_JOURNAL", claimed)], &["--journal (BOT_JOURNAL)", "DATABASE_PATH", "another"]).await;
    refused(&rig, &[], &[("COFFERDAM_ADMIN_SOCKET", plain)], &["--admin-socket", "not a socket", "another"]).await;
    let (claimed, token) = (at("bot_journal.db"), token(at("token"))[1].clone());
    let by_default = [("BOT_JOURNAL", String::new()), ("DATABASE_PATH", claimed.clone())];
    refused(&rig, &[], &by_default, &["the journal is", &claimed, "DATABASE_PATH", "--journal (BOT_JOURNAL)"]).await;
    assert!(!std::path::Path::new(&claimed).exists());
    refused(&rig, &[], &[token], &["DISCORD_TOKEN and DISCORD_TOKEN_FILE are both set: set one of them"]).await;
    assert_eq!(rig.discord.report().requests, 0);
}

#[tokio::test]
async fn a_file_of_something_else_is_no_journal_and_stays_as_it_is() {
    let rig = Rig::new(On::Sqlite, 1).await;
    let at = |name: &str| rig.folder.path().join(name);
    let (notes, foreign) = (at("notes.txt"), at("app.db"));
    std::fs::write(&notes, "my important notes").unwrap();
    let database = rusqlite::Connection::open(&foreign).unwrap();
    let statements = "CREATE TABLE limits (name TEXT, until INTEGER); INSERT INTO limits VALUES ('mine', 5);";
    database.execute_batch(statements).unwrap();
    drop(database);
    for (file, cause) in [(&notes, "no SQLite database"), (&foreign, "the database of something else")] {
        let before = std::fs::read(file).unwrap();
        let name = file.display().to_string();
        let words = [&name, "is not a journal", cause, "name another file with --journal (BOT_JOURNAL)"];
        refused(&rig, &["--journal", &name], &[], &words).await;
        assert!(std::fs::read(file).unwrap() == before, "{name} was changed");
    }
    let files = std::fs::read_dir(rig.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<_> = files.filter(|name| !name.to_str().unwrap().starts_with("admin")).collect();
    files.sort();
    assert_eq!(files, ["app.db", "notes.txt"]);
}

#[tokio::test]
async fn an_address_that_cannot_be_is_told_at_the_start_without_its_password() {
    let rig = Rig::new(On::Sqlite, 1).await;
    for address in
        ["http://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:1\n", "ftp://u:hunter2@x", "http://u:hunter2@x/api"]
    {
        for variable in ["DISCORD_API", "BOT_SERVICE"] {
            let mut bot = Bot::start_with(&rig, &[], &[(variable, address.to_owned())]);
            bot.says("cofferdam-bot: ").await;
            assert_eq!(bot.ended().await, Some(2), "{}", bot.log());
            let log = bot.log();
            assert!(log.contains(variable) && log.contains("give ") && !log.contains("hunter2"), "{log}");
        }
    }
    // As local-discord prints it.
    let bot = Bot::start_with(&rig, &[], &[("DISCORD_API", format!("{}/api/v10", rig.discord.api()))]);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
}

/// The disk under the journal is full for a while: messages wait, also over a restart, and then each is answered once.
async fn a_full_disk_costs_no_message(on: On) {
    let rig = Rig::new(on, 2).await;
    let disk = Tmpfs::mount(16 << 20).unwrap();
    let environment = [("BOT_JOURNAL", disk.path().join("journal.db").display().to_string())];
    let bot = Bot::start_with(&rig, &[], &environment);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    assert_eq!(rig.part("journal").await.unwrap()["standing"], "ok");
    let fail = async || {
        let filler = disk.fill().unwrap();
        let mut times = 0;
        let fails = async || {
            // What fits into the file as it is goes on.
            rig.ask(rig.channel(0));
            let part = rig.part("journal").await.unwrap();
            let is_full = part["reason"].as_str().is_some_and(|why| why.contains("full") && why.contains("journal.db"));
            let fails = part["standing"] == "failed" && part["ready"] == false && is_full;
            times = if fails { times + 1 } else { 0 };
            times == 3
        };
        let failed = until("the journal cannot be written", LONG, fails).await;
        failed.unwrap_or_else(|error| panic!("{error}\n{}", bot.log()));
        rig.ask(rig.channel(1));
        rig.ask_in_thread(thread);
        filler
    };
    drop(fail().await);
    rig.answered(&bot).await;
    bot.says("the journal is written again").await;
    let part = rig.part("journal").await.unwrap();
    assert_eq!((&part["standing"], &part["ready"]), (&"ok".into(), &true.into()));
    let filler = fail().await;
    let told = bot.log().matches("none is lost").count();
    assert!((2..10).contains(&told), "told {told} times: {}", bot.log());
    // Something is left for the next start.
    assert_eq!(bot.end().await, Some(1));
    drop(filler);
    let bot = Bot::start_with(&rig, &[], &environment);
    rig.ask(rig.channel(1));
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove("a full disk under the journal").await;
}

on_both!(a_full_disk_costs_no_message);
