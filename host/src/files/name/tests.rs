//! Every name that is refused, and those that are not.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

fn refused(name: &str) -> String {
    let home = Path::new("/home/bot");
    FilePath::new(name, FileUse::Database, Some(home)).expect_err(name).to_string()
}

#[test]
fn a_name_leaves_room_for_the_files_beside_it() {
    for (length, usage, is_taken) in [
        (200, FileUse::Database, true),
        (201, FileUse::Database, false),
        (255, FileUse::Input, true),
        (256, FileUse::Input, false),
        (255, FileUse::Folder, true),
    ] {
        let read = FilePath::new("a".repeat(length), usage, None);
        assert_eq!(read.is_ok(), is_taken, "{length} {usage:?}: {read:?}");
    }
    let folder = format!("{}/bot.db", "a".repeat(255));
    assert!(FilePath::new(folder, FileUse::Database, None).is_ok());
    let folder = format!("{}/bot.db", "a".repeat(256));
    let refused = FilePath::new(folder, FileUse::Database, None).unwrap_err().to_string();
    assert!(refused.contains("which no file system takes: write one of at most 255 bytes"), "{refused}");
}

#[test]
fn a_name_that_nobody_meant_is_refused_with_what_to_write() {
    for (name, problem, remedy) in [
        ("", "is empty", "write the path"),
        ("x\0", "NUL", "write x"),
        ("./bot.db?_journal_mode=WAL&_busy_timeout=5000", "a driver's options", "write ./bot.db"),
        ("bot.db?mode", "a driver's options", "write bot.db"),
        ("bot?cache=shared", "a driver's options", "write bot"),
        ("bot.db;Version=3;", "a driver's options", "write bot.db"),
        ("Data Source=bot.db;Cache=Shared", "a driver's options", "write bot.db"),
        ("file:bot.db", "is a URL", "write bot.db"),
        ("FILE:bot.db?mode=ro", "is a URL", "write bot.db"),
        ("file:///srv/my%20bot.db", "is a URL", "write /srv/my bot.db"),
        ("file://localhost/srv/bot.db", "is a URL", "write /srv/bot.db"),
        ("sqlite:bot.db", "is a URL", "write bot.db"),
        ("sqlite3:///bot.db", "is a URL", "write bot.db"),
        ("sqlite:////srv/bot.db", "is a URL", "write /srv/bot.db"),
        ("sqlite://srv/bot.db", "is a URL", "write srv/bot.db"),
        ("sqlite+aiosqlite:///bot.db", "is a URL", "write bot.db"),
        ("jdbc:sqlite:/srv/bot.db", "is a URL", "write /srv/bot.db"),
        ("https://example.org/bot.db", "is a URL", "write "),
        ("mysql://bot:hunter2@db/bot", "the address of a server", "DATABASE_TYPE=mysql"),
        ("bot:hunter2@tcp(127.0.0.1:3306)/bot", "the address of a server", "DATABASE_TYPE=mysql"),
        (":memory:", "in memory", "name another file"),
        ("file::memory:?cache=shared", "in memory", "name another file"),
        (":MEMORY:", "in memory", "name another file"),
        (":bot.db", "begins with a colon", "write the path"),
        ("//srv/bot.db", "two slashes", "write /srv/bot.db"),
        ("~/bot/bot.db", "a ~", "write /home/bot/bot/bot.db"),
        ("~bot/bot.db", "a ~", "write the path"),
        ("~", "a ~", "write the path"),
        ("/srv/~/bot.db", "a ~", "write the path"),
        ("%h/bot.db", "a ~", "write /home/bot/bot.db"),
        ("$HOME/bot.db", "a variable", "write /home/bot/bot.db"),
        ("${DATA_DIR}/bot.db", "a variable", "write the path"),
        ("$(pwd)/bot.db", "a variable", "write the path"),
        ("%APPDATA%/bot.db", "a variable", "write the path"),
        ("{{ .Values.path }}", "a variable", "write the path"),
        ("<path>", "a variable", "write the path"),
        ("\"./bot.db\"", "a quote", "write ./bot.db"),
        ("'./bot.db'", "a quote", "write ./bot.db"),
        ("\u{201c}bot.db\u{201d}", "a quote", "write bot.db"),
        (" bot.db", "a blank", "write bot.db"),
        ("bot.db\n", "a blank", "write bot.db"),
        ("bot.db\r", "a blank", "write bot.db"),
        ("\u{feff}bot.db", "a blank", "write bot.db"),
        ("bot.db\u{200b}", "a blank", "write bot.db"),
        ("bot.db\u{a0}", "a blank", "write bot.db"),
        ("bo\nt.db", "a line break", "write the path"),
        ("bo\x1b[31mt.db", "a line break", "write the path"),
        ("./bot.db # the bot's", "a comment", "write ./bot.db"),
        ("DATABASE_PATH=./bot.db", "the name of a variable", "write ./bot.db"),
        ("undefined", "word for no value", "leave it unset"),
        ("None", "word for no value", "leave it unset"),
        ("/srv/undefined/bot.db", "word for no value", "leave it unset"),
        ("off", "is a switch", "leave it unset"),
        ("-", "is a switch", "leave it unset"),
        ("C:\\bot\\bot.db", "a Windows path", "write the path"),
        ("C:/bot/bot.db", "a Windows path", "write the path"),
        ("data\\bot.db", "a Windows path", "write data/bot.db"),
        ("/srv/my%20bot.db", "%20", "write /srv/my bot.db"),
        ("data/*.db", "a pattern", "write the path"),
        ("bot.db,", "a comma", "write bot.db"),
        ("bot.db;", "a comma", "write bot.db"),
        ("bot.db-wal", "a log", "write bot.db"),
        ("bot.db-shm", "a log", "write bot.db"),
        ("bot.db-journal", "a log", "write bot.db"),
        (".", "is a folder", "name a file"),
        ("..", "is a folder", "name a file"),
        ("/", "is a folder", "name a file"),
        ("data/", "is a folder", "name a file"),
        ("data/.", "is a folder", "name a file"),
        ("/dev/null", "not a regular file", "name another file"),
        ("/dev/nothing", "not a regular file", "name another file"),
        ("/dev/./shm/../nothing", "not a regular file", "name another file"),
        ("/proc/nothing", "not a regular file", "name another file"),
    ] {
        let message = refused(name);
        assert!(message.contains(problem) && message.contains(remedy), "{name:?}: {message}");
        assert!(!message.contains("hunter2") && !message.contains(char::is_control), "{message:?}");
    }
    assert!(refused("x.db\n").starts_with("is \"x.db\\n\", "));
    assert!(refused("\u{feff}x.db").starts_with("is \"\\u{feff}x.db\", "));
    assert!(refused("x.db?_auth_pass=a&mode=ro").starts_with("is \"x.db?_auth_pass=***&mode=ro\", "));
}

#[test]
fn a_name_that_may_be_meant_is_taken() {
    let odd = OsString::from_vec(b"/srv/\xff/bot.db".to_vec());
    assert_eq!(&*FilePath::new(&odd, FileUse::Database, None).unwrap(), Path::new(&odd));
    for name in [
        "bot.db",
        "./data/bot_state.db",
        "/srv/a b/bot.db",
        "bot",
        "../bot.db",
        "/srv//bot.db",
        "/dev/shm/bot.db",
        "what?.db",
        "a;b",
        "5$.db",
        "100%.db",
        "a#b.db",
        "bot:1.db",
        "b=1.db",
        "bot@home.db",
        "it's.db",
        "wal",
        "bot-walk",
        "..bot",
        "on.db",
        "null.db",
        "/srv/none/bot.db",
        "\u{e9}\u{1f980}.db",
        "-bot.db",
    ] {
        let path = FilePath::new(name, FileUse::Database, None).unwrap_or_else(|error| panic!("{name} {error}"));
        assert_eq!(&*path, Path::new(name));
    }
    for name in ["backup", "1", "no"] {
        FilePath::new(name, FileUse::Output, None).unwrap();
    }
    FilePath::new("/dev/stdin", FileUse::Input, None).unwrap();
    FilePath::new("data/", FileUse::Folder, None).unwrap();
}

#[test]
fn a_file_that_is_there_is_meant_unless_there_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let odd = at("bot.db?mode=ro");
    let judge = |usage| FilePath::new(&odd, usage, None);
    assert!(judge(FileUse::Database).is_err());
    std::fs::write(&odd, "").unwrap();
    assert!(judge(FileUse::Database).is_err(), "what is empty may be a slip of a moment ago");
    judge(FileUse::Output).unwrap();
    judge(FileUse::Input).unwrap();
    std::fs::write(&odd, "SQLite format 3\0").unwrap();
    judge(FileUse::Database).unwrap();
    std::fs::write(at("bot.db"), "").unwrap();
    let message = judge(FileUse::Database).unwrap_err().to_string();
    assert!(message.ends_with("bot.db, which exists"), "{message}");
    std::fs::write(at("bot.db-wal"), "log").unwrap();
    for usage in [FileUse::Database, FileUse::Source, FileUse::Output] {
        assert!(FilePath::new(at("bot.db-wal"), usage, None).is_err());
    }
    assert!(FilePath::new(folder.path(), FileUse::Output, None).is_err());
    assert!(FilePath::new(at("bot.db"), FileUse::Folder, None).is_err());
}

#[test]
fn a_file_with_two_names_is_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a"), "").unwrap();
    std::fs::hard_link(at("a"), at("b")).unwrap();
    let message = FilePath::new(at("a"), FileUse::Database, None).unwrap_err().to_string();
    assert!(message.contains("has 2 names (hard links)"), "{message}");
    FilePath::new(at("a"), FileUse::Source, None).unwrap();
}
