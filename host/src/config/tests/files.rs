//! Files that variables name.

use super::*;

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
