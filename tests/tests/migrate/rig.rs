//! Databases looked at and filled from outside, and the command between them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cofferdam::{MessageState, ThreadOwnership};
use cofferdam_tests::harness::command::cofferdam;
use cofferdam_tests::harness::mysql::MysqlDatabase;
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};

/// All rows of a database with their ids, ordered by id.
pub type Rows = (Vec<MessageState>, Vec<ThreadOwnership>);

/// The old bot's tables, without a charset as it made them.
const LEGACY_SQLITE: &str = include_str!("../../../plugins/sqlite/src/schema/v1.sql");
const LEGACY_MYSQL: [&str; 2] = [
    "CREATE TABLE message_states (id BIGINT AUTO_INCREMENT PRIMARY KEY, channel_id VARCHAR(255) NOT NULL, \
     thread_id VARCHAR(255) NULL, last_message_id VARCHAR(255) NOT NULL, last_seen_timestamp BIGINT NOT NULL, \
     created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, UNIQUE KEY unique_channel_thread (channel_id, thread_id))",
    "CREATE TABLE thread_ownerships (id BIGINT AUTO_INCREMENT PRIMARY KEY, thread_id VARCHAR(255) NOT NULL UNIQUE, \
     original_user_id VARCHAR(255) NOT NULL, created_by VARCHAR(255) NOT NULL, creation_time BIGINT NOT NULL, \
     created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)",
];

/// The variables that both sides need.
pub fn environment(from: &Home, to: &Home) -> Vec<(&'static str, String)> {
    let folder = Path::new(plugins::SQLITE).parent().expect("components lie in a folder");
    let mut variables = vec![
        ("COFFERDAM_PLUGINS", folder.display().to_string()),
        ("COFFERDAM_CACHE", plugins::CODE_CACHE.to_owned()),
        ("MYSQL_TLS", "disabled".to_owned()),
    ];
    for (name, home) in [("COFFERDAM_FROM_PASSWORD", from), ("COFFERDAM_TO_PASSWORD", to)] {
        if let Home::Mysql(database) = home {
            variables.push((name, database.config().password.expose().to_owned()));
        }
    }
    variables
}

/// `cofferdam migrate` with these arguments after both sides, in a folder of its own for its files.
pub fn migrate(from: &Home, to: &Home, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = bare(from, to, folder);
    command.args(["migrate", "--from", &from.spec(), "--to", &to.spec()]).args(arguments);
    command
}

/// [`migrate`] with these names of sides, of which a server has the password of `home`.
pub fn between(home: &Home, folder: &Path, from: &str, to: &str, arguments: &[&str]) -> Command {
    let mut command = bare(home, home, folder);
    command.args(["migrate", "--from", from, "--to", to]).args(arguments);
    command
}

/// `cofferdam migrate verify`.
pub fn verify(from: &Home, to: &Home, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = bare(from, to, folder);
    command.args(["migrate", "verify", "--from", &from.spec(), "--to", &to.spec()]).args(arguments);
    command
}

/// `cofferdam migrate rollback`.
pub fn rollback(to: &Home, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = bare(to, to, folder);
    command.args(["migrate", "rollback", "--to", &to.spec()]).args(arguments);
    command
}

/// `cofferdam migrate forget`.
pub fn forget(to: &Home, folder: &Path) -> Command {
    let mut command = bare(to, to, folder);
    command.args(["migrate", "forget", "--to", &to.spec()]);
    command
}

fn bare(from: &Home, to: &Home, folder: &Path) -> Command {
    let mut command = Command::new(cofferdam().expect("the command compiles"));
    command.env_clear().envs(environment(from, to)).current_dir(folder).stdin(std::process::Stdio::null());
    command
}

/// Makes the old bot's tables.
pub async fn make_legacy(home: &Home) -> Result<()> {
    match home {
        Home::Sqlite(folder) => rusqlite::Connection::open(folder.database())?.execute_batch(LEGACY_SQLITE)?,
        Home::Mysql(database) => run_mysql(database, &LEGACY_MYSQL).await?,
    }
    Ok(())
}

/// Runs statements on a database from outside.
pub async fn execute(home: &Home, statements: &[&str]) -> Result<()> {
    match home {
        Home::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.database())?;
            statements.iter().try_for_each(|text| connection.execute_batch(text))?;
        }
        Home::Mysql(database) => run_mysql(database, statements).await?,
    }
    Ok(())
}

async fn run_mysql(database: &MysqlDatabase, statements: &[&str]) -> Result<()> {
    let mut connection = database.connect().await?;
    for text in statements {
        connection.query_drop(*text).await?;
    }
    connection.disconnect().await?;
    Ok(())
}

const STATE: &str = "INTO message_states (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
                     updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
const OWNERSHIP: &str = "INTO thread_ownerships (id, thread_id, original_user_id, created_by, creation_time, created_at, \
                         updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// Writes rows from outside with their ids, leaving out those that a key or the charset does not let in.
pub async fn fill(home: &Home, (states, ownerships): &Rows) -> Result<()> {
    match home {
        Home::Sqlite(folder) => {
            let mut connection = rusqlite::Connection::open(folder.database())?;
            let transaction = connection.transaction()?;
            for row in states {
                transaction.prepare_cached(&format!("INSERT OR IGNORE {STATE}"))?.execute((
                    row.id,
                    &row.channel_id,
                    &row.thread_id,
                    &row.last_message_id,
                    row.last_seen_timestamp,
                    row.created_at,
                    row.updated_at,
                ))?;
            }
            for row in ownerships {
                transaction.prepare_cached(&format!("INSERT OR IGNORE {OWNERSHIP}"))?.execute((
                    row.id,
                    &row.thread_id,
                    &row.original_user_id,
                    &row.created_by,
                    row.creation_time,
                    row.created_at,
                    row.updated_at,
                ))?;
            }
            transaction.commit()?;
        }
        Home::Mysql(database) => {
            let mut connection = database.connect().await?;
            connection.query_drop("SET NAMES utf8mb4").await?;
            connection.query_drop("START TRANSACTION").await?;
            let rows = states.iter().map(|row| {
                Params::Positional(vec![
                    row.id.into(),
                    row.channel_id.as_str().into(),
                    row.thread_id.as_deref().into(),
                    row.last_message_id.as_str().into(),
                    row.last_seen_timestamp.into(),
                    row.created_at.into(),
                    row.updated_at.into(),
                ])
            });
            insert(&mut connection, &format!("INSERT IGNORE {STATE}"), rows).await?;
            let rows = ownerships.iter().map(|row| {
                Params::Positional(vec![
                    row.id.into(),
                    row.thread_id.as_str().into(),
                    row.original_user_id.as_str().into(),
                    row.created_by.as_str().into(),
                    row.creation_time.into(),
                    row.created_at.into(),
                    row.updated_at.into(),
                ])
            });
            insert(&mut connection, &format!("INSERT IGNORE {OWNERSHIP}"), rows).await?;
            connection.query_drop("COMMIT").await?;
            connection.disconnect().await?;
        }
    }
    Ok(())
}

/// MySQL's answer to a parameter with letters that the column's charset lacks. It gives it in spite of IGNORE.
const NOT_IN_CHARSET: u16 = 3988;

async fn insert(connection: &mut Conn, statement: &str, rows: impl Iterator<Item = Params>) -> Result<()> {
    let statement = connection.prep(statement).await?;
    for row in rows {
        match connection.exec_drop(&statement, row).await {
            Err(mysql_async::Error::Server(error)) if error.code == NOT_IN_CHARSET => {}
            result => result?,
        }
    }
    Ok(())
}

/// Reads all rows from outside.
pub async fn dump(home: &Home) -> Result<Rows> {
    const STATES: &str = "SELECT id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at \
                          FROM message_states ORDER BY id";
    const OWNERSHIPS: &str = "SELECT id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at \
                              FROM thread_ownerships ORDER BY id";
    type Cells<A> = (i64, String, A, String, i64, i64, i64);
    let (states, ownerships): (Vec<Cells<Option<String>>>, Vec<Cells<String>>) = match home {
        Home::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.database())?;
            let states = connection.prepare(STATES)?.query_map([], |row| row.try_into())?.collect::<Result<_, _>>()?;
            let mut ownerships = connection.prepare(OWNERSHIPS)?;
            (states, ownerships.query_map([], |row| row.try_into())?.collect::<Result<_, _>>()?)
        }
        Home::Mysql(database) => {
            let mut connection = database.connect().await?;
            connection.query_drop("SET NAMES utf8mb4").await?;
            let rows = (connection.query(STATES).await?, connection.query(OWNERSHIPS).await?);
            connection.disconnect().await?;
            rows
        }
    };
    let states = states.into_iter().map(|row| MessageState {
        id: row.0,
        channel_id: row.1,
        thread_id: row.2,
        last_message_id: row.3,
        last_seen_timestamp: row.4,
        created_at: row.5,
        updated_at: row.6,
    });
    let ownerships = ownerships.into_iter().map(|row| ThreadOwnership {
        id: row.0,
        thread_id: row.1,
        original_user_id: row.2,
        created_by: row.3,
        creation_time: row.4,
        created_at: row.5,
        updated_at: row.6,
    });
    Ok((states.collect(), ownerships.collect()))
}

/// Whether a table of the migration's own is there.
pub async fn remembers(home: &Home) -> Result<bool> {
    const TABLE: &str = "cofferdam_migrations";
    match home {
        Home::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.database())?;
            Ok(connection.prepare("SELECT 1 FROM sqlite_master WHERE name = ?")?.exists([TABLE])?)
        }
        Home::Mysql(database) => {
            let mut connection = database.connect().await?;
            let found: Option<Value> = connection
                .exec_first(
                    "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
                    (TABLE,),
                )
                .await?;
            connection.disconnect().await?;
            Ok(found.is_some())
        }
    }
}

/// The names of the indexes that only reads need.
pub async fn indexes(home: &Home) -> Result<Vec<String>> {
    match home {
        Home::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.database())?;
            let mut names = connection
                .prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx%' ORDER BY name")?;
            Ok(names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        }
        Home::Mysql(database) => {
            let mut connection = database.connect().await?;
            let names = connection
                .query(
                    "SELECT DISTINCT index_name FROM information_schema.statistics \
                     WHERE table_schema = DATABASE() AND index_name LIKE 'idx%' ORDER BY index_name",
                )
                .await?;
            connection.disconnect().await?;
            Ok(names)
        }
    }
}

/// So many rows of every kind, in an order that is not that of their keys.
pub fn many(count: i64) -> Rows {
    let scattered = |number: i64| (number * 7_919) % 1_000_003;
    let states = (1..=count)
        .map(|number| {
            let channel = format!("11{:017}", scattered(number));
            let thread = (number % 3 == 0).then(|| channel.clone());
            MessageState {
                id: number,
                thread_id: thread,
                channel_id: channel,
                last_message_id: format!("12{number:017}"),
                last_seen_timestamp: 1_700_000_000 + scattered(number),
                created_at: 1_600_000_000,
                updated_at: 1_700_000_000 + number,
            }
        })
        .collect();
    let ownerships = (1..=count / 10)
        .map(|number| ThreadOwnership {
            id: number,
            thread_id: format!("13{:017}", scattered(number)),
            original_user_id: format!("14{number:017}"),
            created_by: "900000000000000001".into(),
            creation_time: scattered(number),
            created_at: number,
            updated_at: number,
        })
        .collect();
    (states, ownerships)
}

/// Rows without their ids, in the order of keys.
pub fn without_ids((mut states, mut ownerships): Rows) -> Rows {
    states.iter_mut().for_each(|row| row.id = 0);
    ownerships.iter_mut().for_each(|row| row.id = 0);
    states.sort_by(|a, b| (&a.channel_id, &a.thread_id).cmp(&(&b.channel_id, &b.thread_id)));
    ownerships.sort_by(|a, b| a.thread_id.cmp(&b.thread_id));
    (states, ownerships)
}

/// How often something random is tried: few times, or many where `COFFERDAM_TEST_FULL` is set.
pub fn times(few: u32, many: u32) -> u32 {
    if std::env::var_os("COFFERDAM_TEST_FULL").is_some() { many } else { few }
}
