//! What a session can change is the same on every server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::PoolConfig;
use cofferdam::sql::{Access, ResultLimits, Statement, Value, Work, mysql};
use cofferdam::{MessageState, StorageService, ThreadOwnership};
use cofferdam_conformance::run_all;
use cofferdam_tests::harness::command::{on_mysql, run};
use cofferdam_tests::harness::mysql::MysqlDatabase;
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::{Hostile, run as run_statements};

/// Values of a variable that a server may have, and that would change what a session does.
const HOSTILE: &[(&str, &[&str])] = &[
    ("autocommit", &["0"]),
    ("completion_type", &["'CHAIN'", "'RELEASE'"]),
    ("tx_isolation", &["'READ-UNCOMMITTED'", "'SERIALIZABLE'"]),
    ("tx_read_only", &["1"]),
    ("sql_mode", &["'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_AUTO_VALUE_ON_ZERO'", "'ORACLE'", "''"]),
    ("time_zone", &["'+13:00'"]),
    ("sql_select_limit", &["0", "5"]),
    ("max_join_size", &["1"]),
    ("sql_big_selects", &["0"]),
    ("sql_safe_updates", &["1"]),
    ("sql_auto_is_null", &["1"]),
    ("group_concat_max_len", &["4"]),
    ("max_sort_length", &["64"]),
    ("unique_checks", &["0"]),
    ("foreign_key_checks", &["0"]),
    ("check_constraint_checks", &["0"]),
    ("div_precision_increment", &["0"]),
    ("default_week_format", &["3"]),
    ("lc_time_names", &["'de_DE'"]),
    ("lc_messages", &["'de_DE'"]),
    ("default_storage_engine", &["MyISAM"]),
    ("max_recursive_iterations", &["0"]),
    ("standard_compliant_cte", &["0"]),
    ("default_regex_flags", &["'EXTENDED,DOTALL'"]),
    ("old_mode", &["'NO_DUP_KEY_WARNINGS_WITH_IGNORE,ZERO_DATE_TIME_CAST,UTF8_IS_UTF8MB3'"]),
    ("system_versioning_asof", &["'2001-01-01 00:00:00'"]),
    ("sql_if_exists", &["1"]),
    ("alter_algorithm", &["'INSTANT'", "'NOCOPY'"]),
    ("innodb_strict_mode", &["0"]),
    ("query_cache_type", &["1"]),
    ("max_statement_time", &["0.000001"]),
    ("lock_wait_timeout", &["0"]),
    ("innodb_lock_wait_timeout", &["0", "100000000"]),
    ("wait_timeout", &["1"]),
    ("net_read_timeout", &["1"]),
    ("net_write_timeout", &["1"]),
    ("idle_transaction_timeout", &["1"]),
    ("idle_readonly_transaction_timeout", &["1"]),
    ("idle_write_transaction_timeout", &["1"]),
    ("sort_buffer_size", &["1024"]),
    ("tmp_disk_table_size", &["1024"]),
    ("max_session_mem_used", &["65536"]),
    ("character_set_client", &["latin1"]),
    ("character_set_connection", &["latin1"]),
    ("character_set_results", &["latin1"]),
    ("collation_connection", &["utf8mb4_general_ci"]),
];

/// The query cache can be switched on only where the server was started with one.
const ARGUMENTS: [&str; 2] = ["--query-cache-type=DEMAND", "--query-cache-size=1M"];

const PAGE: &str = include_str!("../../../../docs/mysql-servers.md");

/// The rows of the page's table of variables that are set, of variables that the servers `serves` names.
fn set_in_the_page() -> Result<Vec<[&'static str; 3]>> {
    let chapter = PAGE.split("\n### Set\n").nth(1).context("a chapter")?.split("\n### ").next().context("a chapter")?;
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| {
        let (name, rest) = line.split_once("` | ")?;
        let (servers, rest) = rest.split_once(" | ")?;
        Some([name, servers, rest.split_once(" | ")?.0])
    });
    rows.collect::<Option<Vec<_>>>().context("a row of the table")
}

/// What a server had before it was made hostile.
struct Before(BTreeMap<String, String>);

impl Before {
    /// Only an open connection can, as an administrator with a session of its own from before.
    async fn note(connection: &mut mysql_async::Conn) -> Result<Self> {
        let query = "SELECT LOWER(variable_name), variable_type IN ('BOOLEAN', 'ENUM', 'SET', 'VARCHAR', 'FLAGSET'), global_value \
                     FROM information_schema.system_variables WHERE variable_scope = 'SESSION'";
        let rows: Vec<(String, bool, Option<String>)> = connection.query(query).await?;
        let value = |is_text, value: String| if is_text { format!("'{value}'") } else { value };
        let rows = rows.into_iter().filter_map(|(name, is_text, given)| Some((name, value(is_text, given?))));
        Ok(Self(rows.collect()))
    }

    fn undo(&self, name: &str) -> Result<String> {
        // Which is the present, and no value that can be written.
        if name == "system_versioning_asof" {
            return Ok(format!("SET GLOBAL {name} = DEFAULT"));
        }
        Ok(format!("SET GLOBAL {name} = {}", self.0.get(name).with_context(|| format!("{name} is unknown"))?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variable_that_a_session_inherits_is_decided() -> Result<()> {
    let hostile = Hostile::start(&[]).await?;
    let mut connection = hostile.server.administrator().await?;
    let query = "SELECT LOWER(variable_name) FROM information_schema.system_variables WHERE variable_scope <> 'GLOBAL'";
    let names: Vec<String> = connection.query(query).await?;
    connection.disconnect().await?;
    ensure!(names.len() > 150, "only {} variables were found", names.len());
    let missing: Vec<_> = names.iter().filter(|name| !PAGE.contains(&format!("`{name}`"))).collect();
    ensure!(missing.is_empty(), "docs/mysql-servers.md does not say what becomes of {missing:?}");
    let unknown = |name: &str| !names.iter().any(|known| known == name);
    for [name, servers, _] in set_in_the_page()? {
        // What another server has is not known here, nor is what only the nodes of a cluster get.
        let is_here = servers == "all" || servers.starts_with("MariaDB") && !servers.contains("11.");
        ensure!(!is_here || !unknown(name), "{name} is no variable of this server");
        let is_tried = HOSTILE.iter().any(|(tried, _)| *tried == name);
        ensure!(is_tried || unknown(name) || servers.contains("Galera"), "no test sets {name} to another value");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_values_of_the_page_whatever_the_server_has() -> Result<()> {
    let hostile = Hostile::start(&ARGUMENTS).await?;
    let Home::Mysql(database) = hostile.home().await? else { unreachable!("it is on a server") };
    let mut administrator = hostile.server.administrator().await?;
    let before = Before::note(&mut administrator).await?;
    for (name, values) in HOSTILE {
        run_statements(&mut administrator, &[&format!("SET GLOBAL {name} = {}", values[0])]).await?;
    }
    for pool in [PoolConfig::default(), PoolConfig { idle_timeout: Duration::from_secs(30), ..PoolConfig::default() }] {
        let database = mysql::open(&database.config(), &pool)?;
        let mut connection = database.acquire(Access::Read, soon()).await?;
        for [name, servers, value] in set_in_the_page()? {
            if !before.0.contains_key(name) || servers.contains("Galera") {
                continue;
            }
            let expected = match value {
                "nothing" => "",
                // The least of what it may be, since the server has none.
                _ if name == "innodb_lock_wait_timeout" => "1",
                _ if name == "wait_timeout" => &(pool.idle_timeout.as_secs() + 60).to_string(),
                value => value.trim_matches('`'),
            };
            let text = Statement::new(format!("SELECT CAST(@@SESSION.{name} AS CHAR)"), Work::Short);
            let rows = connection.query(&text, vec![], LIMITS, soon()).await?;
            let Value::Text(found) = &rows.values()[0][0] else { anyhow::bail!("{name} is no text") };
            let switch = |text: &str| match text {
                "ON" => "1".to_owned(),
                "OFF" => "0".to_owned(),
                text => text.to_owned(),
            };
            let (found, expected) = (switch(found), switch(expected));
            let is_equal = found == expected || found.parse::<f64>().ok() == Some(expected.parse().unwrap_or(f64::NAN));
            ensure!(is_equal, "{name} is {found} and not {expected}");
        }
        drop(connection);
        database.close(soon()).await;
    }
    run_statements(&mut administrator, &[&before.undo("wait_timeout")?]).await?;
    // A session of others has them: the server does pass them on.
    let mut other = database.connect().await?;
    for (name, expected) in [("autocommit", "0"), ("sql_select_limit", "0"), ("alter_algorithm", "INSTANT")] {
        let found: Option<String> = other.query_first(format!("SELECT @@SESSION.{name} LIMIT 1")).await?;
        assert_eq!(found.as_deref(), Some(expected), "{name}");
    }
    Ok(())
}

const LIMITS: ResultLimits = ResultLimits { rows: 10, bytes: 10_000 };

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// An old database is upgraded, written, read and cleaned up, and another process finds all of it.
async fn story(home: &Home) -> Result<()> {
    let storage = home.open().await.context("the upgrade")?;
    let old = storage.get_all_message_states().await?;
    ensure!(old.len() > 5, "only {} of the old bot's states", old.len());
    for channel in ["new", "New", "new "] {
        storage.upsert_message_state(&MessageState::new(channel, None, "\u{1f980}\\'", 1_700_000_000)).await?;
    }
    storage.upsert_message_state(&MessageState::new("new", Some("thread"), "1", 1_700_000_000)).await?;
    storage.upsert_message_state(&MessageState::new("new", Some("thread"), "2", 1_700_000_001)).await?;
    storage.upsert_thread_ownership(&ThreadOwnership::new("outdated", "user", "bot", 1)).await?;
    storage.upsert_thread_ownership(&ThreadOwnership::new("recent", "user", "bot", i64::MAX / 2)).await?;
    storage.cleanup_old_thread_ownerships(Duration::from_secs(86_400)).await?;
    storage.close().await?;
    let again = home.storage(Arc::new(SystemClock))?;
    again.initialize().await?;
    let states = again.get_all_message_states().await?;
    ensure!(states.len() == old.len() + 4, "{} states, and {} before", states.len(), old.len());
    let found = again.get_message_state("new", None).await?.context("the state")?;
    ensure!(found.last_message_id == "\u{1f980}\\'", "{found:?}");
    let found = again.get_message_state("new", Some("thread")).await?.context("the state")?;
    ensure!(found.last_message_id == "2", "{found:?}");
    ensure!(
        again.get_thread_ownership("recent").await?.is_some()
            && again.get_thread_ownership("outdated").await?.is_none()
    );
    again.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_value_alone_changes_nothing() -> Result<()> {
    let hostile = Hostile::start(&ARGUMENTS).await?;
    let mut administrator = hostile.server.administrator().await?;
    let before = Before::note(&mut administrator).await?;
    let mut failures = Vec::new();
    for (name, values) in HOSTILE {
        for value in *values {
            let home = hostile.legacy().await?;
            run_statements(&mut administrator, &[&format!("SET GLOBAL {name} = {value}")]).await?;
            if let Err(error) = story(&home).await {
                failures.push(format!("{name} = {value}: {error:#}"));
            }
            run_statements(&mut administrator, &[&before.undo(name)?]).await?;
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_hostile_values_at_once_pass_the_conformance_suite() -> Result<()> {
    let hostile = Hostile::start(&ARGUMENTS).await?;
    let legacy = hostile.legacy().await?;
    let mut administrator = hostile.server.administrator().await?;
    for (name, values) in HOSTILE {
        run_statements(&mut administrator, &[&format!("SET GLOBAL {name} = {}", values[0])]).await?;
    }
    story(&legacy).await?;
    run_all(hostile).await?;
    Ok(())
}

/// What an administrator may have every other session do before anything else.
const INIT_CONNECT: &str = "SET autocommit = 0, insert_id = 77, sql_select_limit = 1, time_zone = '+13:00'; \
    CREATE TEMPORARY TABLE message_states (a INT); CREATE TEMPORARY TABLE thread_ownerships (a INT); \
    DO GET_LOCK('cofferdam', 0); USE information_schema; START TRANSACTION";

#[tokio::test(flavor = "multi_thread")]
async fn what_init_connect_does_is_undone() -> Result<()> {
    let hostile = Hostile::start(&[]).await?;
    let legacy = hostile.legacy().await?;
    hostile.execute(&[&format!("SET GLOBAL init_connect = \"{INIT_CONNECT}\"")]).await?;
    story(&legacy).await?;
    run_all(hostile).await?;
    Ok(())
}

/// What a backend does not depend on, at one end of what it may be: nothing is set for it.
#[tokio::test(flavor = "multi_thread")]
async fn variables_that_are_not_set_are_of_no_matter() -> Result<()> {
    /// Such as leave no connection, no memory, or no administrator's session; refused by name; or a server's own identity.
    const LEFT_ALONE: [&str; 6] = [
        "max_allowed_packet",
        "max_user_connections",
        "enforce_storage_engine",
        "binlog_format",
        "server_id",
        "gtid_domain_id",
    ];
    let query = "\
        SELECT LOWER(variable_name), variable_type, global_value, numeric_min_value, numeric_max_value, enum_value_list
        FROM information_schema.system_variables WHERE variable_scope = 'SESSION' AND read_only = 'NO'";
    type Row = (String, String, Option<String>, Option<String>, Option<String>, Option<String>);
    for is_least in [true, false] {
        let hostile = Hostile::start(&[]).await?;
        let legacy = hostile.legacy().await?;
        let mut administrator = hostile.server.administrator().await?;
        let rows: Vec<Row> = administrator.query(query).await?;
        let mut set = Vec::new();
        for (name, kind, now, least, most, values) in rows {
            let is_set = HOSTILE.iter().any(|(hostile, _)| *hostile == name);
            // Memory is taken as soon as it is allowed.
            let is_memory = ["size", "buffer", "length"].iter().any(|part| name.contains(part));
            if is_set || LEFT_ALONE.contains(&&*name) || is_memory && !is_least {
                continue;
            }
            let others: Vec<_> = values.iter().flat_map(|values| values.split(',')).collect();
            let others = others.iter().filter(|value| Some(**value) != now.as_deref());
            let value = match &*kind {
                "BOOLEAN" | "ENUM" if is_least => others.min().map(|value| format!("'{value}'")),
                "BOOLEAN" | "ENUM" => others.max().map(|value| format!("'{value}'")),
                "SET" if is_least => Some("''".to_owned()),
                "SET" => values.map(|values| format!("'{values}'")),
                _ if is_least => least,
                _ => most,
            };
            let Some(value) = value else { continue };
            if administrator.query_drop(format!("SET GLOBAL {name} = {value}")).await.is_ok() {
                set.push(name);
            }
        }
        ensure!(set.len() > 60, "only {} variables could be set", set.len());
        story(&legacy).await?;
        run_all(hostile).await.with_context(|| format!("the least values: {is_least}"))?;
    }
    Ok(())
}

fn database(home: &Home) -> &MysqlDatabase {
    match home {
        Home::Mysql(database) => database,
        Home::Sqlite(_) => unreachable!("it is on a server"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_autocommit_a_write_is_there_for_the_next_process() -> Result<()> {
    for setting in ["SET GLOBAL autocommit = 0", "SET GLOBAL init_connect = 'SET autocommit = 0'"] {
        let hostile = Hostile::start(&[]).await?;
        let home = hostile.home().await?;
        let config = database(&home).config();
        hostile.execute(&[setting]).await?;
        run(&mut on_mysql(&config, &["check", "--timeout", "1m"]), 0);
        run(&mut on_mysql(&config, &["check", "--no-upgrade", "--timeout", "1m"]), 0);
        run(&mut on_mysql(&config, &["state", "put", "c", "--message", "m"]), 0);
        let (state, _) = run(&mut on_mysql(&config, &["state", "get", "c", "--json"]), 0);
        ensure!(serde_json::from_str::<Json>(&state)?["last_message_id"] == "m", "{state}");
        // Nor does a connection that lies idle hold anything.
        let storage = home.open().await?;
        storage.upsert_message_state(&MessageState::new("c", None, "n", 1_700_000_000)).await?;
        ensure!(storage.status().pool.is_some_and(|pool| pool.idle > 0), "a connection is idle");
        let open = hostile.number("SELECT COUNT(*) FROM information_schema.innodb_trx").await?;
        ensure!(open == 0, "{open} transactions are open");
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_rows_cuts_no_list() -> Result<()> {
    let hostile = Hostile::start(&[]).await?;
    let home = hostile.home().await?;
    let config = database(&home).config();
    home.open().await?.close().await?;
    hostile
        .execute(&[
            &format!("USE `{}`", config.database),
            "INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
             SELECT seq, 'm', 1700000000, 1, 1 FROM seq_1_to_1500",
        ])
        .await?;
    for limit in [0, 5, 1000] {
        hostile.execute(&[&format!("SET GLOBAL sql_select_limit = {limit}")]).await?;
        run(&mut on_mysql(&config, &["check", "--timeout", "1m"]), 0);
        let (list, _) = run(&mut on_mysql(&config, &["state", "list", "--json"]), 0);
        let list: Vec<Json> = serde_json::from_str(&list)?;
        ensure!(list.len() == 1500, "{} states with a limit of {limit}", list.len());
    }
    Ok(())
}
