//! Every variable, good and bad.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::*;

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
fn mysql_needs_only_a_user_and_a_password() {
    let mysql = read_mysql(&[]).unwrap();
    assert_eq!((&mysql.hosts[..], mysql.database.as_str()), (&[HostPort::new("localhost", 3306)][..], "bmad_bot"));
    assert_eq!((mysql.username.as_str(), mysql.password.expose()), ("bot", PASSWORD));
    assert_eq!((mysql.host_policy, mysql.password_file), (HostPolicy::Ordered, None));
    assert_eq!(mysql.connect_timeout, Duration::from_secs(30));
    assert_eq!(mysql.round_trip_timeout, Duration::from_secs(30));
    assert_eq!(mysql.connect_attempts, 5);
    assert_eq!(mysql.tls, Tls { mode: TlsMode::Preferred, ca: None });
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
fn the_sqlite_path_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b").join("bot.db");
    let config = read(&[("DATABASE_PATH", path.to_str().unwrap())]).unwrap();
    let DatabaseConfig::Sqlite(sqlite) = config.database else { panic!() };
    assert_eq!(sqlite.path, path);
    for (value, part) in [
        (":memory:", "a pool"),
        ("file:bot.db?mode=ro", "is a URL: write bot.db"),
        ("bot.db\n", "is \"bot.db\\n\", which begins or ends with a blank"),
        (folder.path().to_str().unwrap(), "a folder"),
        ("data/", "a folder"),
    ] {
        one_mistake(read(&[("DATABASE_PATH", value)]), "DATABASE_PATH", part);
    }
}

#[test]
fn a_path_need_not_be_utf8() {
    let path = OsString::from_vec(b"/srv/\xff/bot.db".to_vec());
    let config = Config::from_lookup(&|name| (name == "DATABASE_PATH").then(|| path.clone())).unwrap();
    let DatabaseConfig::Sqlite(sqlite) = config.database else { panic!() };
    assert_eq!(sqlite.path.as_os_str(), path);
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
fn hosts_are_names_or_addresses_with_or_without_a_port() {
    for (value, hosts) in [
        ("db", &["db:3300"][..]),
        ("mysql.bots.svc.cluster.local", &["mysql.bots.svc.cluster.local:3300"]),
        ("127.0.0.1", &["127.0.0.1:3300"]),
        ("::1", &["[::1]:3300"]),
        ("[::1]", &["[::1]:3300"]),
        ("[::1]:3307", &["[::1]:3307"]),
        ("db:3307", &["db:3307"]),
        ("a,b:3307,c", &["a:3300", "b:3307", "c:3300"]),
        (" a, ::1 ,[::2]:1,127.0.0.1:65535", &["a:3300", "[::1]:3300", "[::2]:1", "127.0.0.1:65535"]),
        ("db:1,db:2", &["db:1", "db:2"]),
    ] {
        let read = read_mysql(&[("MYSQL_HOST", value), ("MYSQL_PORT", "3300")]).unwrap().hosts;
        assert_eq!(read.iter().map(HostPort::to_string).collect::<Vec<_>>(), hosts, "{value}");
    }
    for (value, part) in [
        ("mysql://bot:hunter2-marker@db/bot", "a URL"),
        ("a,bot:hunter2-marker@db", "a URL"),
        ("/run/mysqld/mysqld.sock", "a path"),
        ("my host", "host name"),
        ("db\x1b[31m", "host name"),
        ("[db]:3306", "host name"),
        (":3306", "host name"),
        ("a,,b", "single commas"),
        ("a,", "single commas"),
        ("db:", "from 1 to 65535"),
        ("db:0", "from 1 to 65535"),
        ("db:+1", "from 1 to 65535"),
        ("a,db:65536", "from 1 to 65535"),
        ("db:x", "from 1 to 65535"),
        ("[::1]:x", "from 1 to 65535"),
        ("::1:zz", "brackets"),
        ("a:1:2", "brackets"),
        ("a,b,a", "a:3306 twice"),
        ("a,a:3306", "a:3306 twice"),
    ] {
        one_mistake(read_mysql(&[("MYSQL_HOST", value)]), "MYSQL_HOST", part);
    }
    for value in
        ["\"db\"", "$DB", "{{db}}", "undefined", "tcp(db:3306)", "\u{feff}db", "db?x=1", "a\\b", "~db", "db\u{200b}"]
    {
        let mistakes = read_mysql(&[("MYSQL_HOST", value)]).expect_err(value).0;
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("MYSQL_HOST names "), "{mistakes:?}");
    }
    let both = read_mysql(&[("MYSQL_HOST", "a:x,/b")]).expect_err("two mistakes").0;
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_host_policy_is_one_of_two() {
    for policy in HostPolicy::ALL {
        assert_eq!(read_mysql(&[("MYSQL_HOST_POLICY", policy.name())]).unwrap().host_policy, policy);
    }
    for value in ["random", "ORDERED", "first"] {
        one_mistake(read_mysql(&[("MYSQL_HOST_POLICY", value)]), "MYSQL_HOST_POLICY", "ordered or spread");
    }
}

#[test]
fn a_url_in_any_variable_is_not_shown() {
    let url = "mysql://bot:hunter2-marker@db/bot";
    one_mistake(read(&[("DATABASE_TYPE", url)]), "DATABASE_TYPE", "sqlite or mysql");
    for name in [
        "MYSQL_PORT",
        "MYSQL_HOST_POLICY",
        "MYSQL_TIMEOUT",
        "MYSQL_TLS",
        "DATABASE_MAX_OPEN_CONNECTIONS",
        "COFFERDAM_PLUGIN_SHA256",
    ] {
        one_mistake(read_mysql(&[(name, url)]), name, "a URL");
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
fn a_service_link_of_kubernetes_is_told_from_a_port() {
    for value in ["tcp://10.96.0.5:3306", "tcp://[fd00::5]:3306", "udp://10.96.0.5:3306"] {
        one_mistake(read_mysql(&[("MYSQL_PORT", value)]), "MYSQL_PORT", "enableServiceLinks: false");
        one_mistake(read_mysql(&[("MYSQL_PORT", value)]), "MYSQL_PORT", value);
    }
    one_mistake(read_mysql(&[("MYSQL_PORT", "tcp://bot:hunter2-marker@db:3306")]), "MYSQL_PORT", "a URL");
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

#[test]
fn names_are_short_and_printable() {
    for name in ["MYSQL_DATABASE", "MYSQL_USERNAME"] {
        one_mistake(read_mysql(&[(name, &"x".repeat(129))]), name, "characters");
        one_mistake(read_mysql(&[(name, "a\nb")]), name, "control characters");
        for value in [
            "\"bot\"",
            "'bot",
            "bot ",
            "\u{feff}bot",
            "bot\u{a0}",
            "${BOT}",
            "$BOT",
            "null",
            "/bot",
            "bot?a=b",
            "bot # it",
        ] {
            one_mistake(read_mysql(&[(name, value)]), name, "it must be the name alone");
        }
        read_mysql(&[(name, "my bot's")]).unwrap();
    }
    assert_eq!(read_mysql(&[("MYSQL_USERNAME", "bot:with@signs")]).unwrap().username, "bot:with@signs");
}

#[test]
fn a_password_comes_from_a_variable_or_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |content: &[u8]| {
        let path = folder.path().join(format!("{}", content.len()));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let from_file = |path: &str| read_mysql(&[("MYSQL_PASSWORD", ""), ("MYSQL_PASSWORD_FILE", path)]);
    for (content, password) in
        [("a", "a"), ("ab\n", "ab"), ("abc\r\n", "abc"), (" abc\n\n\n", " abc\n\n"), ("p\u{e4}ss:@/w", "p\u{e4}ss:@/w")]
    {
        let path = file(content.as_bytes());
        let mysql = from_file(&path).unwrap();
        assert_eq!((mysql.password.expose(), mysql.password_file), (password, Some(path.into())));
    }
    one_mistake(from_file(&file(b"")), "MYSQL_PASSWORD_FILE", "is empty");
    one_mistake(from_file(&file(b"\n")), "MYSQL_PASSWORD_FILE", "is empty");
    one_mistake(from_file(&file(b"hunter2-marker\xff")), "MYSQL_PASSWORD_FILE", "not UTF-8");
    one_mistake(from_file(folder.path().to_str().unwrap()), "MYSQL_PASSWORD_FILE", "cannot be read");
    one_mistake(from_file("/nowhere/secret"), "MYSQL_PASSWORD_FILE", "/nowhere/secret");
    one_mistake(from_file("/dev/zero"), "MYSQL_PASSWORD_FILE", "larger than");
    one_mistake(from_file(""), "MYSQL_PASSWORD", "MYSQL_PASSWORD_FILE");
    one_mistake(read_mysql(&[("MYSQL_PASSWORD_FILE", &file(b"other"))]), "MYSQL_PASSWORD", "both set");
    one_mistake(read_mysql(&[("MYSQL_USERNAME", "")]), "MYSQL_USERNAME", "is not set");
}

#[test]
fn tls_modes_are_those_of_the_mysql_client() {
    for mode in TlsMode::ALL {
        assert_eq!(read_mysql(&[("MYSQL_TLS", mode.name())]).unwrap().tls.mode, mode);
    }
    for value in ["true", "REQUIRED", "verify_ca", "skip-verify"] {
        one_mistake(read_mysql(&[("MYSQL_TLS", value)]), "MYSQL_TLS", "verify-identity");
    }
}

#[test]
fn an_authority_is_a_readable_certificate_and_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n").unwrap();
    let ca = ca.to_str().unwrap();
    let verified = Tls { mode: TlsMode::VerifyCa, ca: Some(ca.into()) };
    assert_eq!(read_mysql(&[("MYSQL_TLS_CA", ca)]).unwrap().tls, verified, "as the mysql client does");
    let identity = read_mysql(&[("MYSQL_TLS_CA", ca), ("MYSQL_TLS", "verify-identity")]).unwrap().tls;
    assert_eq!(identity.mode, TlsMode::VerifyIdentity);
    for mode in ["disabled", "preferred", "required"] {
        one_mistake(read_mysql(&[("MYSQL_TLS_CA", ca), ("MYSQL_TLS", mode)]), "MYSQL_TLS", "verifies nothing");
    }
    let text = folder.path().join("text");
    std::fs::write(&text, "hello").unwrap();
    one_mistake(read_mysql(&[("MYSQL_TLS_CA", text.to_str().unwrap())]), "MYSQL_TLS_CA", "no PEM certificate");
    one_mistake(read_mysql(&[("MYSQL_TLS_CA", "/nowhere/ca.pem")]), "MYSQL_TLS_CA", "cannot be read");
    one_mistake(read_mysql(&[("MYSQL_TLS_CA", folder.path().to_str().unwrap())]), "MYSQL_TLS_CA", "cannot be read");
}

#[test]
fn a_plugin_is_a_file_before_a_folder() {
    assert_eq!(read(&[("COFFERDAM_PLUGINS", "/opt/p")]).unwrap().plugin, PluginSource::Folder("/opt/p".into()));
    let both = [("COFFERDAM_PLUGINS", "/opt/p"), ("COFFERDAM_PLUGIN", "/opt/mine.wasm")];
    assert_eq!(read(&both).unwrap().plugin, PluginSource::File("/opt/mine.wasm".into()));
}

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let digest = "0123456789ABCDEF".repeat(4);
    let config = read(&[("COFFERDAM_PLUGIN_SHA256", &digest)]).unwrap();
    assert_eq!(config.plugin_sha256, Some(digest.to_lowercase()));
    for value in [&digest[1..], &format!("{digest}0"), &format!("g{}", &digest[1..]), "sha256:abc"] {
        one_mistake(read(&[("COFFERDAM_PLUGIN_SHA256", value)]), "COFFERDAM_PLUGIN_SHA256", "64 hexadecimal digits");
    }
}

#[test]
fn compiled_code_is_cached_where_caches_belong() {
    let cache = |variables: &[(&str, &str)]| read(variables).unwrap().cache;
    let (xdg, home) = (("XDG_CACHE_HOME", "/x"), ("HOME", "/h"));
    assert_eq!(cache(&[xdg, home, ("COFFERDAM_CACHE", "/c")]), Some("/c".into()));
    assert_eq!(cache(&[xdg, home, ("COFFERDAM_CACHE", "off")]), None);
    assert_eq!(cache(&[xdg, home]), Some("/x/cofferdam/compiled".into()));
    assert_eq!(cache(&[home]), Some("/h/.cache/cofferdam/compiled".into()));
    assert_eq!(cache(&[("XDG_CACHE_HOME", "relative"), home]), Some("/h/.cache/cofferdam/compiled".into()));
    let file = tempfile::NamedTempFile::new().unwrap();
    one_mistake(read(&[("COFFERDAM_CACHE", file.path().to_str().unwrap())]), "COFFERDAM_CACHE", "a file");
    for (value, part) in [("OFF", "write off"), ("false", "a switch"), ("~/cache", "a ~"), ("cache\n", "write cache")] {
        one_mistake(read(&[("COFFERDAM_CACHE", value)]), "COFFERDAM_CACHE", part);
    }
    assert_eq!(cache(&[("HOME", "/h\n")]), None);
}

#[test]
fn every_file_has_a_name_that_can_be_meant() {
    let path = |name: &str, value: &str| {
        let own = [("DATABASE_TYPE", "mysql"), ("MYSQL_USERNAME", "bot")];
        let password = ("MYSQL_PASSWORD", PASSWORD);
        match name {
            "DATABASE_PATH" => read(&[(name, value)]),
            "MYSQL_PASSWORD_FILE" => read(&[own[0], own[1], (name, value)]),
            _ => read(&[own[0], own[1], password, (name, value)]),
        }
    };
    for name in [
        "DATABASE_PATH",
        "MYSQL_PASSWORD_FILE",
        "MYSQL_TLS_CA",
        "COFFERDAM_SPOOL",
        "COFFERDAM_PLUGIN",
        "COFFERDAM_PLUGINS",
        "COFFERDAM_CACHE",
    ] {
        for (value, part) in [
            ("~/x", "a ~"),
            ("x\n", "\"x\\n\""),
            ("\"x\"", "a quote"),
            ("file:///x", "a URL"),
            ("$X/x", "a variable"),
            ("x?mode=ro", "write x"),
            ("C:\\x", "a Windows path"),
        ] {
            one_mistake(path(name, value), name, part);
        }
    }
    one_mistake(read(&[("COFFERDAM_MIRROR", "sqlite:~/x")]), "COFFERDAM_MIRROR", "a ~");
    for value in ["off", "false", "none", ":memory:", "x-wal"] {
        read(&[("COFFERDAM_SPOOL", value)]).unwrap_err();
    }
}

#[test]
fn no_file_is_two_things() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(at("bot.db"), at("link")).unwrap();
    std::fs::write(at("mine.wasm"), "\0asm").unwrap();
    let (database, dotted, link) = (at("bot.db"), at("./x/../bot.db"), at("link"));
    let (plugin, spool, copy) = (at("mine.wasm"), at("spool"), at("spool-copy"));
    let (linked, spooled) = (format!("sqlite:{link}"), format!("sqlite:{spool}"));
    for (name, value, other) in [
        ("COFFERDAM_SPOOL", &database, "DATABASE_PATH"),
        ("COFFERDAM_SPOOL", &dotted, "DATABASE_PATH"),
        ("COFFERDAM_SPOOL", &link, "DATABASE_PATH"),
        ("COFFERDAM_SPOOL", &plugin, "COFFERDAM_PLUGIN"),
        // What each makes beside itself.
        ("DATABASE_PATH", &copy, "COFFERDAM_SPOOL"),
        ("COFFERDAM_MIRROR", &spooled, "COFFERDAM_SPOOL"),
    ] {
        let mut all: BTreeMap<&str, &str> = BTreeMap::new();
        all.extend([("DATABASE_PATH", &*database), ("COFFERDAM_SPOOL", &*spool), ("COFFERDAM_PLUGIN", &*plugin)]);
        read(&all.clone().into_iter().collect::<Vec<_>>()).unwrap();
        all.insert(name, value);
        let mistakes = read(&all.into_iter().collect::<Vec<_>>()).expect_err(value).0;
        let names = [name, other].iter().all(|name| mistakes[0].contains(name));
        assert!(mistakes.len() == 1 && names && mistakes[0].contains("are the same file"), "{mistakes:?}");
    }
    let both = [("DATABASE_PATH", &*database), ("COFFERDAM_MIRROR", &*linked)];
    one_mistake(read(&both), "COFFERDAM_MIRROR", "own database");
}

#[test]
fn a_mirror_is_another_database_with_what_else_the_environment_says() {
    let given = [
        ("COFFERDAM_MIRROR", "mysql://bot@db:3307/state"),
        ("COFFERDAM_MIRROR_PASSWORD", PASSWORD),
        ("COFFERDAM_SHADOW_READS", "0.01"),
        ("COFFERDAM_SPOOL", "/tmp/spool"),
        ("COFFERDAM_OPERATION_TIMEOUT", "3s"),
    ];
    let config = read(&given).unwrap();
    assert!(matches!(config.database, DatabaseConfig::Sqlite(_)));
    let mirror = config.mirror.unwrap();
    assert_eq!((mirror.name.as_str(), mirror.shadow_reads), ("mysql://bot@db:3307/state", 0.01));
    let DatabaseConfig::Mysql(mysql) = &mirror.config.database else { panic!("{mirror:?}") };
    assert_eq!((mysql.hosts[0].to_string().as_str(), mysql.password.expose()), ("db:3307", PASSWORD));
    assert_eq!(mirror.config.timeouts.operation, Duration::from_secs(3));
    assert!(mirror.config.resilience.spool.is_none() && mirror.config.mirror.is_none());
    assert!(!format!("{mirror:?}").contains(PASSWORD));
}

#[test]
fn the_roles_are_exchanged_by_two_variables() {
    let both = [("DATABASE_PATH", "/data/bot.db"), ("MYSQL_HOST", "db"), ("MYSQL_DATABASE", "state")];
    let own = [("MYSQL_USERNAME", "bot"), ("MYSQL_PASSWORD", PASSWORD)];
    let before = [("DATABASE_TYPE", "sqlite"), ("COFFERDAM_MIRROR", "mysql://bot@db/state")];
    let after = [("DATABASE_TYPE", "mysql"), ("COFFERDAM_MIRROR", "sqlite:/data/bot.db")];
    let with = |two: [_; 2]| read(&[&both[..], &own, &two].concat()).unwrap();
    let (before, after) = (with(before), with(after));
    let debug = |database: &DatabaseConfig| format!("{database:?}");
    assert_eq!(debug(&before.database), debug(&after.mirror.as_ref().unwrap().config.database));
    assert_eq!(debug(&before.mirror.as_ref().unwrap().config.database), debug(&after.database));
}

#[test]
fn a_mirror_that_cannot_be_one_is_refused() {
    let mirror = |value| read(&[("COFFERDAM_MIRROR", value), ("MYSQL_PASSWORD", "x"), ("DATABASE_PATH", "/data/a.db")]);
    let with_password = format!("mysql://bot:{PASSWORD}@db/state");
    one_mistake(mirror("postgres://bot@db/state"), "COFFERDAM_MIRROR", "begins with none");
    one_mistake(mirror(&with_password), "COFFERDAM_MIRROR", "there is a password in the URL");
    one_mistake(mirror("sqlite:/data/a.db"), "COFFERDAM_MIRROR", "the bot's own database");
    one_mistake(read(&[("COFFERDAM_MIRROR", "mysql://bot@db/s")]), "COFFERDAM_MIRROR", "MYSQL_PASSWORD");
    let own = [("MYSQL_HOST", "a,b"), ("MYSQL_DATABASE", "state"), ("COFFERDAM_MIRROR", "mysql://other@b/state")];
    one_mistake(read_mysql(&own), "COFFERDAM_MIRROR", "the bot's own database");
    for share in ["1.5", "-0.1", "NaN", "many"] {
        one_mistake(read(&[("COFFERDAM_SHADOW_READS", share)]), "COFFERDAM_SHADOW_READS", "0 for none to 1 for all");
    }
    // What is wrong for both is told once.
    let both = [("COFFERDAM_MIRROR", "sqlite:/data/b.db"), ("COFFERDAM_RETRY_ATTEMPTS", "many")];
    one_mistake(read(&both), "COFFERDAM_RETRY_ATTEMPTS", "a whole number");
}

#[test]
fn debug_output_hides_the_password() {
    let config = read(&[("DATABASE_TYPE", "mysql"), ("MYSQL_USERNAME", "bot"), ("MYSQL_PASSWORD", PASSWORD)]).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains(PASSWORD) && shown.contains("***"), "{shown}");
}
