//! Which statements a backend may not run on MySQL: what reaches files or other sessions, and what outlives a
//! lease.
//!
//! There is no authorizer as SQLite has one, so the words of the text decide. Where MySQL and this look at a text
//! in different ways, as in comments that some servers execute, the text is refused.

use crate::sql::error::{ErrorKind, Result, SqlError};
use crate::sql::statement::Effects;

/// The longest text of a statement, in bytes. The longest that a backend needs is a few kilobytes.
const MAX_TEXT: usize = 64 * 1024;

/// Words that no statement may contain outside strings: they read and write files of the server. A function is found by
/// its quoted name too.
const REFUSED: [&str; 3] = ["OUTFILE", "DUMPFILE", "LOAD_FILE"];

/// Words with which a table lies elsewhere: `DATA DIRECTORY`, and the `CONNECTION` of a federated one.
const REFUSED_IN_DEFINITIONS: [&str; 2] = ["DIRECTORY", "CONNECTION"];

/// What a change of the schema begins with.
const DEFINING: [&str; 3] = ["CREATE", "ALTER", "DROP"];

/// Whether a backend may run this text.
pub(super) fn check(text: &str) -> Result<()> {
    if text.len() > MAX_TEXT {
        return Err(invalid("is longer than 64 KiB"));
    }
    // Servers take some of them for space, which can begin a comment.
    if text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err(invalid("contains NUL or another control character"));
    }
    let tokens = tokens(text)?;
    let Some(Token::Word(first)) = tokens.first() else {
        return Err(invalid(if tokens.is_empty() { "is empty" } else { "does not begin with a word" }));
    };
    check_end(&tokens)?;
    check_verb(first, &tokens[1..])?;
    for (index, token) in tokens.iter().enumerate() {
        let (Token::Word(word) | Token::Name(word)) = token else { continue };
        if let Some(refused) = REFUSED.iter().find(|refused| refused.eq_ignore_ascii_case(word)) {
            return Err(denied(refused));
        }
        // SELECT ... INTO @variable outlives the lease; INSERT INTO and REPLACE INTO are followed by a name.
        if word.eq_ignore_ascii_case("INTO") && matches!(tokens.get(index + 1), Some(Token::Other('@'))) {
            return Err(denied("INTO @variable"));
        }
    }
    if ["CREATE", "ALTER"].iter().any(|verb| verb.eq_ignore_ascii_case(first)) {
        check_definition(&tokens)?;
    }
    // `@a := 1`, and SELECT ... INTO a second variable.
    let assigns = tokens.windows(2).any(|pair| matches!(pair, [Token::Other(':'), Token::Other('=')]));
    if assigns { Err(denied(":=")) } else { Ok(()) }
}

/// What a text does that passed [`check`].
pub(super) fn effects(text: &str) -> Effects {
    Effects { writes: writes(text), takes_named_lock: takes_named_lock(text), changes_schema: changes_schema(text) }
}

fn changes_schema(text: &str) -> bool {
    tokens(text).is_ok_and(|tokens| match tokens.first() {
        Some(Token::Word(word)) => DEFINING.iter().any(|verb| verb.eq_ignore_ascii_case(word)),
        _ => false,
    })
}

/// Whether a change of the schema makes a table or changes one.
pub(super) fn makes_table(text: &str) -> bool {
    tokens(text).is_ok_and(|tokens| match &tokens[..] {
        [Token::Word(verb), Token::Word(what), ..] => {
            ["CREATE", "ALTER"].iter().any(|making| making.eq_ignore_ascii_case(verb))
                && what.eq_ignore_ascii_case("TABLE")
        }
        _ => false,
    })
}

fn writes(text: &str) -> bool {
    tokens(text).is_ok_and(|tokens| match tokens.first() {
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("SELECT") => false,
        // WITH ... UPDATE and WITH ... DELETE.
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("WITH") => tokens.iter().any(|token| {
            matches!(token, Token::Word(word) if ["UPDATE", "DELETE"].iter().any(|verb| verb.eq_ignore_ascii_case(word)))
        }),
        _ => true,
    })
}

fn takes_named_lock(text: &str) -> bool {
    text.as_bytes().windows(8).any(|window| window.eq_ignore_ascii_case(b"GET_LOCK"))
}

fn check_verb(first: &str, rest: &[Token<'_>]) -> Result<()> {
    let is = |word: &str, known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    let word = |index: usize| match rest.get(index) {
        Some(Token::Word(word)) => *word,
        _ => "",
    };
    if is(first, &["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"]) {
        return Ok(());
    }
    if is(first, &DEFINING) {
        let allowed = is(word(0), &["TABLE", "INDEX"])
            || is(first, &["CREATE"]) && is(word(0), &["UNIQUE"]) && is(word(1), &["INDEX"]);
        return if allowed { Ok(()) } else { Err(denied(&format!("{first} {}", word(0)))) };
    }
    Err(denied(first))
}

/// A table is InnoDB's and lies where the server keeps its own: other engines read files and other servers.
fn check_definition(tokens: &[Token<'_>]) -> Result<()> {
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        if let Some(refused) = REFUSED_IN_DEFINITIONS.iter().find(|refused| refused.eq_ignore_ascii_case(word)) {
            return Err(denied(refused));
        }
        if word.eq_ignore_ascii_case("ENGINE") {
            let named = tokens[index + 1..].iter().find(|token| **token != Token::Other('='));
            if !matches!(named, Some(Token::Word(name)) if name.eq_ignore_ascii_case("InnoDB")) {
                return Err(denied("an ENGINE other than InnoDB"));
            }
        }
    }
    Ok(())
}

/// One `;` may end the statement, and nothing may follow it.
fn check_end(tokens: &[Token<'_>]) -> Result<()> {
    match tokens.iter().position(|token| matches!(token, Token::Other(';'))) {
        Some(index) if index + 1 < tokens.len() => Err(invalid("is more than one")),
        _ => Ok(()),
    }
}

fn invalid(why: &str) -> SqlError {
    SqlError::new(ErrorKind::InvalidStatement, format!("the statement {why}"))
}

fn denied(what: &str) -> SqlError {
    let what: String = what.chars().take(40).collect();
    SqlError::new(
        ErrorKind::PermissionDenied,
        format!("the host does not let a backend use {} on MySQL", what.trim().to_ascii_uppercase()),
    )
}

/// What a text is made of, as far as matters here.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword, a name or a number.
    Word(&'a str),
    /// What is between backquotes.
    Name(&'a str),
    /// A string, whatever is in it.
    Quoted,
    /// Any other character.
    Other(char),
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_whitespace() => first.len_utf8(),
            '#' => line(rest),
            // Two dashes begin a comment where a space or a control character follows; else they are two minuses.
            '-' if rest.starts_with("--") && rest[2..].chars().next().is_none_or(|c| c <= ' ') => line(rest),
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                return Err(SqlError::new(
                    ErrorKind::PermissionDenied,
                    "the host does not let a backend use comments that the server may execute",
                ));
            }
            '/' if rest.starts_with("/*") => match rest[2..].find("*/") {
                Some(end) => end + 4,
                None => return Err(invalid("has a comment without an end")),
            },
            '\'' | '"' | '`' => {
                let length = quoted(rest, first).ok_or_else(|| invalid("has a quote without an end"))?;
                tokens.push(if first == '`' { Token::Name(&rest[1..length - 1]) } else { Token::Quoted });
                length
            }
            _ if is_word(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..end]));
                end
            }
            _ => {
                tokens.push(Token::Other(first));
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii() && !c.is_whitespace()
}

/// How long the comment is that runs to the end of the line.
fn line(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// How long what begins with this quote is, with both quotes. A doubled quote is part of it, and in strings so is
/// what follows a backslash: the session's sql_mode, which the host sets, has no NO_BACKSLASH_ESCAPES.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((index, byte)) = bytes.next() {
        if byte == b'\\' && quote != '`' {
            bytes.next();
        } else if byte == quote as u8 && bytes.next_if(|(_, next)| *next == byte).is_none() {
            return Some(index + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<ErrorKind> {
        check(text).err().map(|error| error.kind)
    }

    #[test]
    fn what_a_backend_needs_is_let_through() {
        for text in [
            "SELECT 1",
            "select `a;b`, 'x;\\'y', \"OUTFILE\" FROM t WHERE a = ?;",
            "-- a comment\nINSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "# c\n/* c */ CREATE TABLE IF NOT EXISTS t (a INT) ENGINE = InnoDB",
            "CREATE UNIQUE INDEX i ON t (a)",
            "ALTER TABLE t ADD COLUMN b VARCHAR(1)",
            "DROP INDEX i ON t",
            "SELECT GET_LOCK(?, 10)",
            "SELECT 5--1",
            "SELECT 'it''s', 'ünï'",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_single_statement_is_invalid() {
        for text in ["", " ", "-- only", "/* open", "SELECT 'open", "SELECT `open", "SELECT 1; SELECT 2", "SELECT 1;;"]
        {
            assert_eq!(kind(text), Some(ErrorKind::InvalidStatement), "{text}");
        }
        assert_eq!(kind("SELECT 1\0"), Some(ErrorKind::InvalidStatement));
        assert_eq!(kind("SELECT 1 --\x7f '\n INTO OUTFILE '/tmp/x'"), Some(ErrorKind::InvalidStatement));
        assert_eq!(kind(&format!("SELECT '{}'", "x".repeat(MAX_TEXT))), Some(ErrorKind::InvalidStatement));
        assert_eq!(kind("(SELECT 1)"), Some(ErrorKind::InvalidStatement));
    }

    #[test]
    fn what_leaves_the_database_or_outlives_the_lease_is_refused() {
        for text in [
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT 1 INTO dumpfile '/tmp/x'",
            "SELECT LOAD_FILE('/etc/passwd')",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
            "SELECT 1 INTO @a",
            "SELECT @a := 1",
            "SET GLOBAL x = 1",
            "CREATE TEMPORARY TABLE t (a INT)",
            "CREATE USER u",
            "CREATE OR REPLACE TABLE t (a INT)",
            "CREATE TABLE t (a INT) DATA DIRECTORY = '/tmp'",
            "CREATE TABLE t (a INT) engine = 'FEDERATED' CONNECTION = 'x'",
            "ALTER TABLE t ENGINE CSV",
            "CREATE TABLE t (a INT) ENGINE = `CONNECT`",
            "SELECT `load_file`('/etc/passwd')",
            "DROP DATABASE d",
            "ALTER USER u",
            "CREATE UNIQUE USER u",
            "BEGIN",
            "START TRANSACTION",
            "COMMIT",
            "LOCK TABLES t WRITE",
            "GRANT ALL ON *.* TO u",
            "USE mysql",
            "CALL p()",
            "PREPARE a FROM 'x'",
            "HANDLER t OPEN",
            "KILL 1",
            "TRUNCATE t",
        ] {
            assert_eq!(kind(text), Some(ErrorKind::PermissionDenied), "{text}");
        }
    }

    #[test]
    fn comments_that_a_server_executes_are_refused() {
        for text in ["SELECT 1 /*! INTO OUTFILE 'x' */", "SELECT 1 /*M!100100 , 2 */", "/*!SET GLOBAL x=1*/"] {
            assert_eq!(kind(text), Some(ErrorKind::PermissionDenied), "{text}");
        }
    }

    #[test]
    fn a_quote_does_not_hide_what_follows_it() {
        assert_eq!(kind("SELECT 'a\\\\' INTO OUTFILE 'x'"), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind("SELECT `a\\` INTO OUTFILE 'x'"), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind("SELECT 1 -- '\n INTO OUTFILE 'x'"), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind("SELECT 1 --' INTO OUTFILE 'x'"), Some(ErrorKind::InvalidStatement));
    }

    #[test]
    fn writes_are_told_from_reads() {
        assert!(!writes("SELECT 1") && !writes("/* */ with a as (select 1) select * from a"));
        assert!(writes("INSERT INTO t VALUES (1)") && writes("WITH a AS (SELECT 1) DELETE FROM t"));
    }

    #[test]
    fn a_named_lock_is_noticed() {
        assert!(takes_named_lock("SELECT get_lock('a', 1)") && !takes_named_lock("SELECT 1"));
        assert!(changes_schema("/* a */ drop INDEX i ON t") && !changes_schema("INSERT INTO t SELECT 'CREATE'"));
        assert!(makes_table("-- a\nalter TABLE t ADD COLUMN b INT") && !makes_table("CREATE INDEX i ON t (a)"));
    }
}
