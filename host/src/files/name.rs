//! Validated file names.
//!
//! A malformed name would silently create a new, empty file beside the intended one. So a name with leftovers of a driver, a
//! shell, a template or an env file is refused, with the name as it was received and a suggestion. An existing file with
//! exactly such a name is accepted, unless the file that the name resembles exists too.

use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::contents::{LOGS, is_sqlite};
use super::identity::Whereabouts;
use super::links::{Hazard, hazard};
use super::problem::{FileNameError, Problem};
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

/// The longest name of a file in a folder, in bytes (`NAME_MAX`).
const LONGEST: usize = 255;

/// Room for the names of files beside one: of SQLite's logs, of a spool's copy and what is set aside, of what is written first.
const BESIDE: usize = 55;

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

/// What only a look at what is there tells.
fn problem_at(path: &Path, usage: FileUse) -> Option<Problem> {
    let lengths = || path.components().map(|component| component.as_os_str().len());
    let last = if matches!(usage, FileUse::Database | FileUse::Output) { LONGEST - BESIDE } else { LONGEST };
    if let Some(length) = lengths().find(|length| *length > LONGEST) {
        return Some(Problem::Impossible(length));
    }
    if let Some(length) = lengths().next_back().filter(|length| *length > last) {
        return Some(Problem::Long(length));
    }
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
mod tests;
