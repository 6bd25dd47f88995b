//! The database goes away: during a burst, at the start, and until after a restart.

use std::path::PathBuf;

use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::wait::until;
use local_discord::{Id, Settings};

use crate::rig::{Bot, LONG, On, Rig, guilds};

/// A database that can be taken away.
enum Fragile {
    /// The files, and where they are meanwhile.
    Files(PathBuf, PathBuf),
    Server(Box<MysqlServer>),
}

impl Fragile {
    async fn new(on: On) -> (Self, Home) {
        match on {
            On::Sqlite => {
                let home = Home::sqlite().unwrap();
                let Home::Sqlite(folder) = &home else { unreachable!("it was asked for") };
                let files = folder.database();
                let away = files.with_file_name("away");
                std::fs::create_dir(&away).unwrap();
                (Self::Files(files, away), home)
            }
            On::Mysql => {
                let server = MysqlServer::start(&[]).await.unwrap();
                let database = server.create_database(DatabaseOptions::default()).await.unwrap();
                (Self::Server(Box::new(server)), Home::Mysql(database))
            }
        }
    }

    fn take_away(&mut self) {
        match self {
            Self::Files(files, away) => Self::rename(files, &away.join(files.file_name().unwrap())),
            Self::Server(server) => server.process().unwrap().kill().unwrap(),
        }
    }

    async fn give_back(&mut self) {
        match self {
            Self::Files(files, away) => {
                // What was made in its place is not the database.
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{end}", files.display()));
                }
                Self::rename(&away.join(files.file_name().unwrap()), files);
            }
            Self::Server(server) => server.process().unwrap().start_again().await.unwrap(),
        }
    }

    fn rename(from: &std::path::Path, to: &std::path::Path) {
        // The log first: without it the file alone would be an older state.
        for end in ["-wal", "-shm", ""] {
            let name = |path: &std::path::Path| format!("{}{end}", path.display());
            match std::fs::rename(name(from), name(to)) {
                Err(error) if end.is_empty() => panic!("{error}"),
                _ => {}
            }
        }
    }
}

/// A bot that has answered once, in this thread.
struct Begun {
    database: Fragile,
    rig: Rig,
    /// What it is started with.
    environment: Vec<(&'static str, String)>,
    bot: Bot,
    thread: Id,
}

async fn begun(on: On, channels: usize, with_spool: bool) -> Begun {
    let (database, home) = Fragile::new(on).await;
    let rig = Rig::in_home(home, Settings { guilds: guilds(channels), ..Settings::default() }).await;
    let spool = rig.folder.path().join("spool.db").display().to_string();
    let environment = if with_spool { vec![("COFFERDAM_SPOOL", spool)] } else { Vec::new() };
    let bot = Bot::start_with(&rig, &[], &environment);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    Begun { database, rig, environment, bot, thread }
}

async fn during_a_burst(on: On, with_spool: bool) {
    let Begun { mut database, rig, environment, bot, thread } = begun(on, 8, with_spool).await;
    for round in 0..4 {
        match round {
            1 => database.take_away(),
            3 => database.give_back().await,
            _ => {}
        }
        for channel in 0..8 {
            rig.ask(rig.channel(channel));
        }
        rig.ask_in_thread(thread);
        // Users do not notice.
        rig.answered(&bot).await;
    }
    // What the database was not known to take again at the end is there after the next start.
    assert!(matches!(bot.end().await, Some(0 | 1)));
    let bot = Bot::start_with(&rig, &[], &environment);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove(if with_spool { "database away in a burst, with a spool" } else { "database away in a burst" }).await;
}

/// On a server: a SQLite file that is not there is a new database.
async fn at_the_start(with_spool: bool) {
    let (mut database, home) = Fragile::new(On::Mysql).await;
    let rig = Rig::in_home(home, Settings { guilds: guilds(2), ..Settings::default() }).await;
    let spool = rig.folder.path().join("spool.db").display().to_string();
    let environment = if with_spool { vec![("COFFERDAM_SPOOL", spool)] } else { Vec::new() };
    let bot = Bot::start_with(&rig, &[], &environment);
    let thread = rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    bot.stop().await;
    database.take_away();
    rig.ask(rig.channel(1));
    let before = rig.discord.recorded();
    let bot = Bot::start_with(&rig, &[], &environment);
    bot.is_connected(&rig, before).await;
    // Whose thread this is stands in the database.
    rig.ask_in_thread(thread);
    rig.ask(rig.channel(0));
    bot.says("nothing is answered before the database is available").await;
    let part = rig.part("answers").await.unwrap();
    let reason = "nothing is answered before the database has answered once";
    assert_eq!((&part["standing"], &part["reason"]), (&"failed".into(), &reason.into()), "{part}");
    assert_eq!(part["ready"], false, "{part}");
    database.give_back().await;
    rig.answered(&bot).await;
    let is_ready =
        async || rig.part("answers").await.is_some_and(|part| part["standing"] == "ok" && part["ready"] == true);
    until("it is ready", LONG, is_ready).await.unwrap_or_else(|error| panic!("{error}\n{}", bot.log()));
    bot.stop().await;
    rig.prove(if with_spool { "database away at the start, with a spool" } else { "database away at the start" }).await;
}

async fn until_after_a_restart(on: On) {
    let (mut database, home) = Fragile::new(on).await;
    let rig = Rig::in_home(home, Settings { guilds: guilds(2), ..Settings::default() }).await;
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(0));
    rig.answered(&bot).await;
    database.take_away();
    rig.ask(rig.channel(0));
    rig.ask(rig.channel(1));
    rig.answered(&bot).await;
    bot.kill().await;
    database.give_back().await;
    let bot = Bot::start(&rig);
    rig.ask(rig.channel(1));
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove("database away, and the bot killed meanwhile").await;
}

/// The bot is stopped as an operator does while the storage has given up asking the database.
async fn stopped_meanwhile(on: On, with_spool: bool) {
    let Begun { mut database, rig, environment, bot, thread } = begun(on, 4, with_spool).await;
    database.take_away();
    let open = async || {
        for channel in 0..4 {
            rig.ask(rig.channel(channel));
        }
        rig.answered(&bot).await;
        rig.status(&rig.socket()).await.is_some_and(|status| status["breaker"]["state"] != "closed")
    };
    until("the circuit breaker is open", LONG, open).await.unwrap_or_else(|error| panic!("{error}\n{}", bot.log()));
    rig.ask_in_thread(thread);
    rig.answered(&bot).await;
    // The journal has what the database has not; with a spool, that has it.
    assert_eq!(bot.end().await, Some(if with_spool { 0 } else { 1 }));
    rig.ask(rig.channel(1));
    database.give_back().await;
    let bot = Bot::start_with(&rig, &[], &environment);
    rig.ask(rig.channel(2));
    rig.ask_in_thread(thread);
    rig.answered(&bot).await;
    bot.stop().await;
    rig.prove(if with_spool {
        "stopped while the breaker was open, with a spool"
    } else {
        "stopped while the breaker was open"
    })
    .await;
}

async fn the_database_goes_away(on: On) {
    tokio::join!(
        during_a_burst(on, false),
        during_a_burst(on, true),
        stopped_meanwhile(on, false),
        stopped_meanwhile(on, true),
        until_after_a_restart(on),
    );
}

#[tokio::test]
async fn the_database_is_away_at_the_start() {
    tokio::join!(at_the_start(false), at_the_start(true));
}

on_both!(the_database_goes_away);
