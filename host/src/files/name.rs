//! Validated file names.
//!
//! A malformed name would silently create a new, empty file beside the intended one. So a name with leftovers of a driver, a
//! shell, a template or an env file is refused, with the name as it was received and a suggestion. An existing file with
//! exactly such a name is accepted, unless the file that the name resembles exists too.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::identity::Whereabouts;
use super::links::{Hazard, hazard};
use super::slip::{self, Slip};

/// What a file is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// A SQLite file that is written, and created if it is missing: a database, a spool.
    Database,
    /// A SQLite file that is only read.
    Source,
    /// A file that is written as a whole or line by line.
    Output,
    /// A file or a folder that is read: a password, a component, a snapshot. An existing one is always accepted.
    Input,
    /// A folder that is created if it is missing.
    Folder,
}

/// A validated file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// Validates a name as it was received. `home` is the meaning of `~`, for the suggestion.
    ///
    /// # Errors
    ///
    /// The name is malformed; the error has a suggestion.
    pub fn new(name: impl AsRef<OsStr>, usage: FileUse, home: Option<&Path>) -> Result<Self, FileNameError> {
        let name = name.as_ref();
        let path = Path::new(name);
        let text = name.to_string_lossy();
        if let Some(problem) = problem_of(&text, usage) {
            let meant = meant(&text, &problem, home).filter(|meant| problem_of(meant, usage).is_none());
            let is_there = meant.as_deref().is_some_and(|meant| Path::new(meant).exists());
            let is_taken = !problem.is_final() && is_of_use(path, &problem, usage) && !is_there;
            if !is_taken {
                return Err(FileNameError { received: shown(name), problem, meant, is_there });
            }
        }
        match problem_at(path, usage) {
            Some(problem) => Err(FileNameError { received: shown(name), problem, meant: None, is_there: false }),
            None => Ok(Self(path.to_owned())),
        }
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<FilePath> for PathBuf {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

/// Why a name is refused: the name as it was received, and a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {received}, which {problem}: {}", self.remedy())]
pub struct FileNameError {
    received: String,
    problem: Problem,
    meant: Option<String>,
    is_there: bool,
}

impl FileNameError {
    fn remedy(&self) -> String {
        match &self.meant {
            Some(meant) if self.is_there => format!("write {meant}, which exists"),
            Some(meant) => format!("write {meant}"),
            None => self.problem.remedy().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Slip(Slip),
    #[error("is empty")]
    Empty,
    #[error("is a switch, not a name")]
    Switch,
    #[error("is a URL")]
    Url,
    #[error("is the address of a server")]
    Server,
    #[error("ends with a driver's options")]
    Options,
    #[error("is a database in memory, which a pool of connections cannot share")]
    Memory,
    #[error("begins with a colon, which SQLite reserves")]
    Colon,
    #[error("begins with two slashes, as a URL does")]
    Slashes,
    #[error("contains a ~ that was not replaced by a home folder")]
    Home,
    #[error("is a Windows path")]
    Windows,
    #[error("contains %20 or %2F, as a URL does")]
    Encoded,
    #[error("is a pattern that was not replaced by a name")]
    Pattern,
    #[error("ends with a comma or a semicolon")]
    Punctuation,
    #[error("is the name of a log file that SQLite keeps beside a database")]
    Log,
    #[error("is a folder")]
    Folder,
    #[error("is a file")]
    File,
    #[error("is not a regular file, and cannot be replaced by one")]
    Special,
    #[error("has {0} names (hard links), and each of them would have its own write-ahead log")]
    Links(u64),
    #[error(
        "is mounted by itself, so that its write-ahead log would be outside the mount, where no other host sees \
        it"
    )]
    Mount,
}

impl Problem {
    /// Whether the name stays refused where there is such a file: it would not be what is opened.
    fn is_final(&self) -> bool {
        matches!(self, Self::Empty | Self::Memory | Self::Folder | Self::Slip(Slip::Nul))
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Server => "write the path of a file, or set DATABASE_TYPE=mysql and the MYSQL_ variables",
            Self::Switch | Self::Slip(Slip::Word) => "leave it unset, or write a path",
            Self::Folder => "name a file in it",
            Self::File => "name a folder",
            Self::Memory | Self::Special => "name another file",
            Self::Log => "name the database itself",
            Self::Links(_) => "remove the others, or name a copy of it",
            Self::Mount => "mount the folder that it is in",
            _ => "write the path itself",
        }
    }
}

/// Schemes that are one also where no `//` follows.
const SCHEMES: [&str; 13] = [
    "file",
    "sqlite",
    "sqlite2",
    "sqlite3",
    "libsql",
    "jdbc",
    "plugin",
    "mysql",
    "mariadb",
    "postgres",
    "postgresql",
    "unix",
    "dsn",
];

/// Those behind which a path comes.
const PATHS: [&str; 6] = ["file", "sqlite", "sqlite2", "sqlite3", "libsql", "jdbc"];

/// What the name itself tells, whatever is there.
fn problem_of(text: &str, usage: FileUse) -> Option<Problem> {
    if text.is_empty() {
        return Some(Problem::Empty);
    }
    if text.contains('\0') {
        return Some(Problem::Slip(Slip::Nul));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains(":memory:") || lower == ":memory" || lower.contains("mode=memory") {
        return Some(Problem::Memory);
    }
    if lower.contains("@tcp(") || lower.contains("@unix(") || lower.contains("@/") && lower.contains(':') {
        return Some(Problem::Server);
    }
    // First what is in the way of seeing the rest.
    if let Some(slip @ (Slip::Quotes | Slip::Blank | Slip::Invisible | Slip::Assignment)) = slip::of(text) {
        return Some(Problem::Slip(slip));
    }
    if let Some(scheme) = scheme(text) {
        let is_server = ["mysql", "mariadb", "postgres", "postgresql", "tcp", "unix"].contains(&scheme.as_str());
        return Some(if is_server { Problem::Server } else { Problem::Url });
    }
    if let Some(slip) = slip::of(text) {
        return Some(Problem::Slip(slip));
    }
    let path = Path::new(text);
    let mut names = path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_switch = ["off", "on", "true", "false", "yes", "no", "0", "1", "-", "disabled", "enabled", "default"];
    let makes = matches!(usage, FileUse::Database | FileUse::Source | FileUse::Folder);
    let first = names.clone().next().unwrap_or_default();
    let is_drive = text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic();
    let is_file = usage != FileUse::Folder && usage != FileUse::Input;
    let found = [
        (makes && is_switch.contains(&lower.as_str()), Problem::Switch),
        (
            names.clone().any(|name| ["undefined", "null", "[object Object]"].contains(&name)) && text != "/dev/null",
            Problem::Slip(Slip::Word),
        ),
        (text.contains('\\') || is_drive && text[2..].starts_with('/'), Problem::Windows),
        (options(text).is_some(), Problem::Options),
        (text.starts_with(':'), Problem::Colon),
        (text.starts_with("//"), Problem::Slashes),
        // `%h` is what systemd calls a home folder.
        (text.starts_with('~') || first == "%h" || names.any(|name| name == "~"), Problem::Home),
        (lower.contains("%20") || lower.contains("%2f"), Problem::Encoded),
        (text.contains('*'), Problem::Pattern),
        (text.ends_with([',', ';']), Problem::Punctuation),
        (is_file && (text.ends_with('/') || text.ends_with("/.") || name.is_empty()), Problem::Folder),
        (is_file && LOGS.iter().any(|log| name.ends_with(log)), Problem::Log),
    ];
    found.into_iter().find_map(|(is, problem)| is.then_some(problem))
}

const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What only a look at what is there tells.
fn problem_at(path: &Path, usage: FileUse) -> Option<Problem> {
    let there = std::fs::metadata(path).ok();
    match usage {
        FileUse::Input => return None,
        FileUse::Folder => return there.filter(|there| there.is_file()).map(|_| Problem::File),
        _ => {}
    }
    match there {
        Some(there) if there.is_dir() => Some(Problem::Folder),
        Some(there) if !there.is_file() => Some(Problem::Special),
        Some(_) if usage == FileUse::Database => hazard(path).map(|hazard| match hazard {
            Hazard::Links(links) => Problem::Links(links),
            Hazard::Mount => Problem::Mount,
        }),
        Some(_) => None,
        None => {
            let real = Whereabouts::of(path).path();
            let is_in = |folder: &str| real.starts_with(folder);
            (is_in("/dev") && !is_in("/dev/shm") || is_in("/proc") || is_in("/sys")).then_some(Problem::Special)
        }
    }
}

/// Whether a file of just this name is there, which is then meant.
fn is_of_use(path: &Path, problem: &Problem, usage: FileUse) -> bool {
    // SQLite would take it for a URI.
    if path.as_os_str().as_bytes().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"file:")) {
        return false;
    }
    match usage {
        FileUse::Input => path.exists(),
        FileUse::Folder => path.is_dir(),
        FileUse::Output => *problem != Problem::Log && path.is_file(),
        // An empty one may have been made by the same mistake.
        FileUse::Database | FileUse::Source => is_sqlite(path),
    }
}

/// Whether a file begins as SQLite's databases do.
///
/// On a database that this process has open, closing the file again would take its locks away.
pub(crate) fn is_sqlite(path: &Path) -> bool {
    let mut head = [0; 16];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && &head == b"SQLite format 3\0"
}

/// What a file is that nothing may take the place of; `None` for one that may be replaced.
#[cfg(feature = "snapshot")]
pub(crate) fn irreplaceable(path: &Path) -> Option<&'static str> {
    let real = std::fs::canonicalize(path).ok()?;
    let name = real.as_os_str().as_bytes();
    let beside = |suffix: &str| super::with_suffix(&real, suffix).exists();
    // Before it is opened: see `is_sqlite`.
    if LOGS.iter().any(|log| beside(log)) {
        return Some("a SQLite database that is in use");
    }
    let base_of =
        |suffix: &str| name.strip_suffix(suffix.as_bytes()).map(|base| PathBuf::from(OsStr::from_bytes(base)));
    if LOGS.iter().filter_map(|log| base_of(log)).any(|base| base.exists()) {
        return Some("a log of SQLite's");
    }
    if base_of("-lock").is_some_and(|base| is_sqlite(&base)) {
        return Some("the lock of a spool");
    }
    let mut head = [0; 16];
    let mut length = 0;
    if let Ok(mut file) = File::open(&real) {
        while let Ok(more @ 1..) = file.read(&mut head[length..]) {
            length += more;
        }
    }
    match &head[..length] {
        b"SQLite format 3\0" => Some("a SQLite database"),
        [b'\0', b'a', b's', b'm', ..] => Some("a WebAssembly component"),
        _ => None,
    }
}

/// The scheme of a URL, in lower case.
fn scheme(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    let known = scheme.split('+').next().is_some_and(|first| SCHEMES.contains(&first));
    (is_scheme && (rest.starts_with("//") || known)).then_some(scheme)
}

/// Where a driver's options begin: `?name=value`, `;name=value`, a `?` right behind a file's name.
fn options(text: &str) -> Option<usize> {
    for (at, mark) in text.char_indices().filter(|(_, c)| matches!(c, '?' | ';')) {
        let rest = &text[at + 1..];
        let is_pair = rest.split_once('=').is_some_and(|(name, _)| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
        });
        let is_behind = mark == '?'
            && (rest.is_empty()
                || [".db", ".db3", ".sqlite", ".sqlite3"]
                    .iter()
                    .any(|end| text[..at].to_ascii_lowercase().ends_with(end)));
        if is_pair || is_behind {
            return Some(at);
        }
    }
    None
}

/// What the name was surely meant to be.
fn meant(text: &str, problem: &Problem, home: Option<&Path>) -> Option<String> {
    if *problem == Problem::Server {
        return None;
    }
    let mut text = slip::cleaned(text).to_owned();
    for key in ["Data Source=", "DataSource=", "Filename="] {
        if text.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key)) {
            text = text[key.len()..].to_owned();
        }
    }
    let mut was_url = false;
    while let Some(scheme) = scheme(&text) {
        was_url = true;
        if !PATHS.contains(&scheme.split('+').next().unwrap_or_default()) {
            return None;
        }
        let rest = &text[scheme.len() + 1..];
        let rest = match rest.strip_prefix("//") {
            // As SQLAlchemy has it, three slashes come before a relative path, and four before an absolute one.
            Some(rest) if scheme.starts_with("sqlite") => rest.strip_prefix('/').unwrap_or(rest),
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        };
        text = rest.to_owned();
    }
    if let Some(at) = options(&text) {
        text.truncate(at);
    }
    if was_url || *problem == Problem::Encoded {
        text = text.replace("%20", " ").replace("%2F", "/").replace("%2f", "/");
    }
    let text = text.trim_end_matches([',', ';', '?', ' ']);
    let text = match text.strip_prefix("//") {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => text.to_owned(),
    };
    let at_home = text.strip_prefix("~/").or_else(|| text.strip_prefix("%h/")).or_else(|| text.strip_prefix("$HOME/"));
    let at_home = at_home.or_else(|| text.strip_prefix("${HOME}/"));
    let text = match (at_home, home) {
        (Some(rest), Some(home)) => home.join(rest).to_str()?.to_owned(),
        _ => text,
    };
    let text = match *problem {
        Problem::Windows if !text.contains(':') && !text.starts_with('\\') => text.replace('\\', "/"),
        Problem::Log => LOGS.iter().find_map(|log| text.strip_suffix(log))?.to_owned(),
        _ => text,
    };
    (!text.is_empty() && problem_of(&text, FileUse::Database).is_none()).then_some(text)
}

/// A name as a message may show it: on one line, with everything visible, and without what may be a password.
fn shown(name: &OsStr) -> String {
    const MOST: usize = 400;
    let text = name.to_string_lossy();
    let hidden = hide_secrets(&text);
    let mut shown = match hidden == text {
        true => format!("{name:?}"),
        false => format!("{hidden:?}"),
    };
    if let Some((end, _)) = shown.char_indices().nth(MOST) {
        shown.truncate(end);
        shown.push_str("\u{2026}\"");
    }
    shown
}

fn hide_secrets(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(at) = text.rfind('@')
        && text[..at].contains(':')
    {
        let start = text.find("://").map_or(0, |start| start + 3).min(at);
        text.replace_range(start..at, "***");
    }
    let mut shown = String::new();
    for piece in text.split_inclusive(['?', '&', ';']) {
        let is_secret = |name: &str| {
            ["pass", "pwd", "key", "secret", "token", "salt"]
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word))
        };
        match piece.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                let end = piece.strip_suffix(['?', '&', ';']).map_or("", |before| &piece[before.len()..]);
                shown.push_str(&format!("{name}=***{end}"));
            }
            _ => shown.push_str(piece),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn refused(name: &str) -> String {
        let home = Path::new("/home/bot");
        FilePath::new(name, FileUse::Database, Some(home)).expect_err(name).to_string()
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
}
