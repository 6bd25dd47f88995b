//! Servers, accounts and encryption.

use super::*;

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
fn a_service_link_of_kubernetes_is_told_from_a_port() {
    for value in ["tcp://10.96.0.5:3306", "tcp://[fd00::5]:3306", "udp://10.96.0.5:3306"] {
        one_mistake(read_mysql(&[("MYSQL_PORT", value)]), "MYSQL_PORT", "enableServiceLinks: false");
        one_mistake(read_mysql(&[("MYSQL_PORT", value)]), "MYSQL_PORT", value);
    }
    one_mistake(read_mysql(&[("MYSQL_PORT", "tcp://bot:hunter2-marker@db:3306")]), "MYSQL_PORT", "a URL");
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
            "mysql://bot:hunter2-marker@db/bot",
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
fn debug_output_hides_the_password() {
    let config = read(&[("DATABASE_TYPE", "mysql"), ("MYSQL_USERNAME", "bot"), ("MYSQL_PASSWORD", PASSWORD)]).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains(PASSWORD) && shown.contains("***"), "{shown}");
}
