//! Which statements a backend may not run on SQLite: what leaves the file, and what outlives a lease.
//!
//! [`check`] looks at the text without a connection and says early what it can say cheaply. What binds is
//! [`authorize`], which SQLite asks about every action of every statement while it prepares it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::threads::lock;

/// The longest text of a statement, in bytes. The longest that a backend needs is a few kilobytes.
const MAX_TEXT: usize = 64 * 1024;

/// The statements that the host itself runs. A connection finds prepared statements by their text, so a backend
/// that sent the same text would get the host's, already authorized: hence they are refused by text.
pub(super) mod host {
    pub const BEGIN: &str = "BEGIN";
    pub const BEGIN_IMMEDIATE: &str = "BEGIN IMMEDIATE";
    pub const COMMIT: &str = "COMMIT";
    pub const ROLLBACK: &str = "ROLLBACK";
    pub const SAVEPOINT: &str = "SAVEPOINT job";
    pub const RELEASE: &str = "RELEASE job";
    pub const ROLLBACK_TO: &str = "ROLLBACK TO job";
}

/// The pragmas that describe tables.
const PRAGMAS: [&str; 7] =
    ["table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"];

/// Those that describe the file as long as they are not given a value.
const VALUES: [&str; 3] = ["user_version", "encoding", "foreign_keys"];

/// What the authorizer of one connection shares with the connection.
#[derive(Default)]
pub(super) struct Guard {
    host_speaks: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Guard {
    /// Runs `call` with the authorizer letting everything through.
    pub fn as_host<T>(&self, call: impl FnOnce() -> T) -> T {
        self.host_speaks.store(true, Ordering::Relaxed);
        let result = call();
        self.host_speaks.store(false, Ordering::Relaxed);
        result
    }

    /// Puts the reason into an error that the authorizer caused. SQLite reports some of these as errors of the
    /// statement, so what counts is whether there is a reason.
    pub fn explain(&self, error: SqlError) -> SqlError {
        match lock(&self.reason).take() {
            Some(reason) => {
                SqlError { code: Some("SQLITE_AUTH".to_owned()), ..SqlError::new(ErrorKind::PermissionDenied, reason) }
            }
            None => error,
        }
    }

    /// Makes the guard of a connection that was just opened. `unenforced` is noted once a backend has foreign keys of this
    /// file not enforced.
    pub fn install(connection: &mut rusqlite::Connection, unenforced: Arc<AtomicBool>) -> rusqlite::Result<Arc<Self>> {
        let guard = Arc::new(Self::default());
        let shared = Arc::clone(&guard);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if shared.host_speaks.load(Ordering::Relaxed) {
                return Authorization::Allow;
            }
            if is_unenforcing(&context) {
                unenforced.store(true, Ordering::Relaxed);
                return Authorization::Allow;
            }
            let Err(reason) = authorize(&context) else {
                return Authorization::Allow;
            };
            *lock(&shared.reason) = Some(reason);
            Authorization::Deny
        }))?;
        Ok(guard)
    }
}

/// `PRAGMA foreign_keys = OFF`, which has an effect on the writer outside a transaction alone. Only a backend knows which
/// foreign keys are its own, and which are of the file's owner, whose rows it must neither lose nor be stopped by.
fn is_unenforcing(context: &AuthContext<'_>) -> bool {
    matches!(&context.action, AuthAction::Pragma { pragma_name, pragma_value: Some(value) }
        if pragma_name.eq_ignore_ascii_case("foreign_keys") && value.eq_ignore_ascii_case("off"))
}

/// Whether a backend may do this, or why not.
fn authorize(context: &AuthContext<'_>) -> Result<(), String> {
    let what = match &context.action {
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let is = |known: &&str| known.eq_ignore_ascii_case(pragma_name);
            if PRAGMAS.iter().any(is) || pragma_value.is_none() && VALUES.iter().any(is) {
                return Ok(());
            }
            return Err(format!("the host does not let a backend use PRAGMA {pragma_name} this way"));
        }
        AuthAction::Function { function_name } if function_name.eq_ignore_ascii_case("load_extension") => {
            "load extensions"
        }
        AuthAction::Attach { .. } => "attach another file, as ATTACH and VACUUM do",
        AuthAction::Detach { .. } => "detach a file",
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            "control transactions by statements: use the connection's begin, commit and rollback"
        }
        AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => "create anything temporary",
        // `CREATE TABLE temp.t` counts as temporary by the schema only.
        AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::CreateTrigger { .. }
        | AuthAction::CreateView { .. }
        | AuthAction::Insert { .. }
            if context.database_name == Some("temp") =>
        {
            "create anything temporary"
        }
        AuthAction::CreateVtable { .. } | AuthAction::DropVtable { .. } => "create or drop virtual tables",
        AuthAction::Unknown { .. } => "do what this version of the host does not know",
        _ => return Ok(()),
    };
    Err(format!("the host does not let a backend {what}"))
}

/// Whether a backend may run this text, as far as the text alone tells.
pub(super) fn check(text: &str) -> Result<()> {
    let invalid = |why: &str| Err(SqlError::new(ErrorKind::InvalidStatement, format!("the statement {why}")));
    if text.len() > MAX_TEXT {
        return invalid("is longer than 64 KiB");
    }
    if text.contains('\0') {
        return invalid("contains NUL");
    }
    let Some(word) = first_word(text) else {
        return invalid("is empty");
    };
    const REFUSED: [&str; 9] =
        ["ATTACH", "DETACH", "VACUUM", "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    match REFUSED.iter().find(|refused| refused.eq_ignore_ascii_case(word)) {
        Some(refused) => Err(SqlError::new(
            ErrorKind::PermissionDenied,
            format!("the host does not let a backend run {refused} on SQLite"),
        )),
        None => Ok(()),
    }
}

/// Refuses the host's own texts where the statement did not come through [`check`].
pub(super) fn is_host_text(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 15
        && [
            host::BEGIN,
            host::BEGIN_IMMEDIATE,
            host::COMMIT,
            host::ROLLBACK,
            host::SAVEPOINT,
            host::RELEASE,
            host::ROLLBACK_TO,
        ]
        .contains(&text)
}

/// The first word that is neither space nor comment; something that is no word counts as one. `None` where
/// there is nothing but space, comments and semicolons.
fn first_word(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';' || c == '\u{feff}');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            break;
        }
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    if rest.is_empty() { None } else { Some(&rest[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_hold_no_statement_are_invalid() {
        for text in ["", "  \n", "-- nothing", "/* nothing */ ;", "/* open", "SELECT 1\0"] {
            assert_eq!(check(text).unwrap_err().kind, ErrorKind::InvalidStatement, "{text:?}");
        }
        assert!(check(&format!("SELECT '{}'", "x".repeat(MAX_TEXT - 9))).is_ok());
        assert_eq!(check(&"x".repeat(MAX_TEXT + 1)).unwrap_err().kind, ErrorKind::InvalidStatement);
    }

    #[test]
    fn what_leaves_the_file_is_refused_by_its_first_word() {
        for text in [
            "ATTACH 'x' AS y",
            "detach y",
            "/* a */ -- b\n VACUUM INTO 'x'",
            "; begin",
            "END",
            "savepoint x",
            "RELEASE x",
        ] {
            assert_eq!(check(text).unwrap_err().kind, ErrorKind::PermissionDenied, "{text:?}");
        }
        for text in ["SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "pragma table_info(x)", "ENDING"] {
            assert!(check(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn every_text_of_the_host_is_known_as_such() {
        assert!(is_host_text(" BEGIN IMMEDIATE\n"));
        assert!(is_host_text(host::ROLLBACK_TO));
        assert!(!is_host_text("SELECT 1"));
    }
}
