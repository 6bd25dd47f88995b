//! Every variable, good and bad.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::*;

mod files;
mod mirror;
mod mysql;

/// Any of these in a message would be a leak.
const PASSWORD: &str = "hunter2-marker";

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: BTreeMap<_, _> = variables.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
    Config::from_lookup(&|name| variables.get(name).cloned())
}

fn read_mysql(variables: &[(&str, &str)]) -> Result<MysqlConfig, ConfigError> {
    let mut all = vec![("DATABASE_TYPE", "mysql"), ("MYSQL_USERNAME", "bot"), ("MYSQL_PASSWORD", PASSWORD)];
    all.extend_from_slice(variables);
    match read(&all)?.database {
        DatabaseConfig::Mysql(config) => Ok(config),
        DatabaseConfig::Sqlite(_) => panic!("DATABASE_TYPE=mysql gave SQLite"),
    }
}

/// Both readers say the same, and it is exactly one mistake, of `name`, that contains `part`.
#[track_caller]
fn one_mistake<T: std::fmt::Debug>(read: Result<T, ConfigError>, name: &str, part: &str) {
    let mistakes = read.expect_err(name).0;
    let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
    assert!(mistake.starts_with(&format!("{name} ")), "{mistake}");
    assert!(mistake.contains(part), "{mistake}");
    assert!(!mistake.contains(PASSWORD), "{mistake}");
    assert!(!mistake.contains('\n') && !mistake.contains('\x1b'), "{mistake:?}");
}

#[test]
fn an_empty_environment_gives_the_documented_defaults() {
    let config = read(&[]).unwrap();
    let DatabaseConfig::Sqlite(sqlite) = &config.database else { panic!("{config:?}") };
    assert_eq!(sqlite.path, Path::new("./data/bot_state.db"));
    assert_eq!(config.plugin, PluginSource::BesideOrEmbedded);
    assert_eq!(config.plugin_sha256, None);
    assert_eq!(config.cache, None);
    assert_eq!(config.pool, PoolConfig::default());
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.message_recovery_window, Duration::from_secs(300));
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let empty: Vec<_> = VARIABLES.iter().map(|variable| (variable.name, "")).collect();
    let config = read(&empty).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", read(&[]).unwrap()));
}

#[test]
fn every_default_in_the_table_is_one_that_its_variable_takes() {
    let set: Vec<_> =
        VARIABLES.iter().filter_map(|variable| Some((variable.name, variable.default_value()?))).collect();
    assert_eq!(format!("{:?}", read(&set).unwrap()), format!("{:?}", read(&[]).unwrap()));
    let set: Vec<_> = set.into_iter().filter(|(name, _)| *name != "DATABASE_TYPE").collect();
    assert_eq!(format!("{:?}", read_mysql(&set).unwrap()), format!("{:?}", read_mysql(&[]).unwrap()));
}

#[test]
fn no_variable_is_listed_twice_or_without_a_meaning() {
    for (index, variable) in VARIABLES.iter().enumerate() {
        assert!(VARIABLES[..index].iter().all(|other| other.name != variable.name), "{}", variable.name);
        assert!(!variable.meaning.is_empty() && !variable.meaning.contains('|'), "{}", variable.name);
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let mistakes = read(&[
        ("DATABASE_TYPE", "mysql"),
        ("MYSQL_PORT", "http"),
        ("MYSQL_TIMEOUT", "30"),
        ("MYSQL_TLS", "yes"),
        ("DATABASE_MAX_OPEN_CONNECTIONS", "0"),
        ("COFFERDAM_PLUGIN_SHA256", "abc"),
        ("MESSAGE_RECOVERY_WINDOW_MINUTES", "five"),
    ])
    .unwrap_err();
    let names: Vec<_> = mistakes.0.iter().filter_map(|mistake| mistake.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "MYSQL_PORT",
            "MYSQL_USERNAME",
            "MYSQL_PASSWORD",
            "MYSQL_TIMEOUT",
            "MYSQL_TLS",
            "COFFERDAM_PLUGIN_SHA256",
            "DATABASE_MAX_OPEN_CONNECTIONS",
            "MESSAGE_RECOVERY_WINDOW_MINUTES"
        ]
    );
    assert_eq!(mistakes.to_string().lines().count(), 8);
}

#[test]
fn the_type_is_sqlite_or_mysql_and_nothing_else() {
    for (value, part) in [
        ("postgres", "it must be sqlite or mysql; there is no backend for PostgreSQL"),
        ("MySQL", "it must be sqlite or mysql; write mysql"),
        ("sqlite3", "it must be sqlite or mysql; write sqlite"),
        (" sqlite", "it begins or ends with a blank or an invisible character"),
        ("\"sqlite\"", "it begins or ends with a quote"),
        ("mariadb", "write mysql, also for MariaDB"),
        ("oracle", "it must be sqlite or mysql"),
    ] {
        one_mistake(read(&[("DATABASE_TYPE", value)]), "DATABASE_TYPE", part);
    }
}

#[test]
fn variables_of_the_other_database_are_not_looked_at() {
    read(&[("MYSQL_PORT", "nonsense"), ("MYSQL_PASSWORD_FILE", "/nowhere")]).unwrap();
    read_mysql(&[("DATABASE_PATH", ":memory:")]).unwrap();
}

#[test]
fn text_must_be_utf8() {
    let read = |wrong: &'static str| {
        Config::from_lookup(&move |name| match name {
            _ if name == wrong => Some(OsString::from_vec(b"\xff".to_vec())),
            "DATABASE_TYPE" => Some("mysql".into()),
            "MYSQL_USERNAME" | "MYSQL_PASSWORD" => Some(PASSWORD.into()),
            _ => None,
        })
    };
    for name in [
        "MYSQL_HOST",
        "MYSQL_HOST_POLICY",
        "MYSQL_PORT",
        "MYSQL_USERNAME",
        "MYSQL_PASSWORD",
        "MYSQL_TIMEOUT",
        "MYSQL_TLS",
    ] {
        one_mistake(read(name), name, "UTF-8");
    }
}

#[test]
fn numbers_stay_within_reason() {
    assert_eq!(read_mysql(&[("MYSQL_PORT", "65535")]).unwrap().hosts[0].port, 65_535);
    assert_eq!(read_mysql(&[("MYSQL_CONNECT_ATTEMPTS", "1")]).unwrap().connect_attempts, 1);
    assert_eq!(read(&[("DATABASE_MAX_OPEN_CONNECTIONS", "1000")]).unwrap().pool.max_open, 1000);
    let config = read(&[("MESSAGE_RECOVERY_WINDOW_MINUTES", "60")]).unwrap();
    assert_eq!(config.message_recovery_window, Duration::from_secs(3600));
    for (name, most) in [
        ("MYSQL_PORT", "65536"),
        ("MYSQL_CONNECT_ATTEMPTS", "101"),
        ("DATABASE_MAX_OPEN_CONNECTIONS", "1001"),
        ("DATABASE_MAX_IDLE_CONNECTIONS", "1001"),
        ("MESSAGE_RECOVERY_WINDOW_MINUTES", "525601"),
    ] {
        for value in ["0", "-1", "+1", "1.5", "ten", " 7", "7 ", "0x10", "99999999999999999999", most] {
            one_mistake(read_mysql(&[(name, value)]), name, "a whole number from 1 to");
        }
    }
}

#[test]
fn durations_stay_within_reason() {
    let mysql = read_mysql(&[("MYSQL_TIMEOUT", "500ms"), ("MYSQL_ROUND_TRIP_TIMEOUT", "1m30s")]).unwrap();
    assert_eq!(mysql.connect_timeout, Duration::from_millis(500));
    assert_eq!(mysql.round_trip_timeout, Duration::from_secs(90));
    let config = read(&[
        ("DATABASE_CONNECTION_LIFETIME", "1.5h"),
        ("DATABASE_IDLE_TIMEOUT", "2m"),
        ("DATABASE_ACQUIRE_TIMEOUT", "750ms"),
        ("COFFERDAM_OPERATION_TIMEOUT", "1s"),
        ("COFFERDAM_LIST_TIMEOUT", "2s"),
        ("COFFERDAM_INITIALIZE_TIMEOUT", "3s"),
        ("COFFERDAM_CLOSE_TIMEOUT", "4s"),
    ])
    .unwrap();
    assert_eq!(config.pool.lifetime, Duration::from_secs(5400));
    assert_eq!(config.pool.idle_timeout, Duration::from_secs(120));
    assert_eq!(config.pool.acquire_timeout, Duration::from_millis(750));
    assert_eq!(
        config.timeouts,
        Timeouts {
            operation: Duration::from_secs(1),
            list: Duration::from_secs(2),
            initialize: Duration::from_secs(3),
            close: Duration::from_secs(4)
        }
    );
    for name in [
        "MYSQL_TIMEOUT",
        "MYSQL_ROUND_TRIP_TIMEOUT",
        "DATABASE_CONNECTION_LIFETIME",
        "DATABASE_IDLE_TIMEOUT",
        "DATABASE_ACQUIRE_TIMEOUT",
        "COFFERDAM_OPERATION_TIMEOUT",
        "COFFERDAM_LIST_TIMEOUT",
        "COFFERDAM_INITIALIZE_TIMEOUT",
        "COFFERDAM_CLOSE_TIMEOUT",
    ] {
        for value in ["30", "1d", "PT30S", "-5s", "soon", "30 s"] {
            one_mistake(read_mysql(&[(name, value)]), name, "a duration such as 500ms");
        }
        for value in ["0", "0s", "1ns", "9999h"] {
            one_mistake(read_mysql(&[(name, value)]), name, "it must be from");
        }
    }
}

#[test]
fn no_more_connections_are_kept_than_may_be_open() {
    let pool = read(&[("DATABASE_MAX_OPEN_CONNECTIONS", "4"), ("DATABASE_MAX_IDLE_CONNECTIONS", "4")]).unwrap().pool;
    assert_eq!((pool.max_open, pool.max_idle), (4, 4));
    let pool = read(&[("DATABASE_MAX_OPEN_CONNECTIONS", "2")]).unwrap().pool;
    assert_eq!((pool.max_open, pool.max_idle), (2, 2), "a default never contradicts what was set");
    let both = [("DATABASE_MAX_OPEN_CONNECTIONS", "4"), ("DATABASE_MAX_IDLE_CONNECTIONS", "5")];
    one_mistake(read(&both), "DATABASE_MAX_IDLE_CONNECTIONS", "DATABASE_MAX_OPEN_CONNECTIONS");
}
