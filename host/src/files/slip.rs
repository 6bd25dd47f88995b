//! What is left in a text that somebody or something should have taken away.

use std::fmt;

/// A slip, as a sentence on the text without its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slip {
    Nul,
    Quotes,
    Blank,
    Invisible,
    Comment,
    Assignment,
    Variable,
    Word,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nul => "contains a NUL character",
            Self::Quotes => "begins or ends with a quote, which a shell or an env file has kept",
            Self::Blank => "begins or ends with a blank or an invisible character",
            Self::Invisible => "contains a line break, a tab or another invisible character",
            Self::Comment => "ends with a comment, which an env file has kept",
            Self::Assignment => "begins with the name of a variable and =",
            Self::Variable => "contains a variable or a placeholder that was not replaced",
            Self::Word => "is a program's word for no value",
        })
    }
}

/// The first slip in a text.
pub(crate) fn of(text: &str) -> Option<Slip> {
    let is_quoted = |text: &str| text.starts_with(is_quote) || text.ends_with(is_quote);
    let found = [
        (text.contains('\0'), Slip::Nul),
        (text.starts_with(is_blank) || text.ends_with(is_blank), Slip::Blank),
        (text.contains(is_invisible), Slip::Invisible),
        (is_quoted(text), Slip::Quotes),
        (comment(text).is_some(), Slip::Comment),
        (assignment(text).is_some(), Slip::Assignment),
        (has_variable(text), Slip::Variable),
        (is_nothing(text), Slip::Word),
    ];
    found.into_iter().find_map(|(is, slip)| is.then_some(slip))
}

/// The same text without what can be taken away by rule.
pub(crate) fn cleaned(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text;
        text = text.trim_matches(|c: char| is_blank(c) || is_quote(c) || c == '\0');
        text = comment(text).map_or(text, |start| &text[..start]);
        text = assignment(text).map_or(text, |end| &text[end..]);
        if text == before {
            return text;
        }
    }
}

/// A password at whose ends is what is rarely part of one, for a hint that does not show it.
pub(crate) fn of_secret(text: &str) -> Option<&'static str> {
    let (first, last) = (text.chars().next()?, text.chars().next_back()?);
    if last == '\n' || last == '\r' {
        return Some("ends in a line break");
    }
    if text.chars().count() > 1 && first == last && is_quote(first) {
        return Some("begins and ends with the same quote");
    }
    if is_blank(first) || is_blank(last) {
        return Some("begins or ends with a blank or an invisible character");
    }
    (has_variable(text) && (text.starts_with('$') || text.starts_with("{{") || text.starts_with('%')))
        .then_some("looks like a variable that was not replaced")
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || matches!(c, '\u{200c}' | '\u{200d}' | '\u{ad}')
}

/// What nobody sees and no name needs: controls, marks of direction, a byte order mark. Joiners are part of some scripts.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Where ` #` begins, as an env file's comment does.
fn comment(text: &str) -> Option<usize> {
    [" #", "\t#"].iter().filter_map(|mark| text.find(mark)).min()
}

/// Where the value of `NAME=value` begins, after a blank too.
fn assignment(text: &str) -> Option<usize> {
    let text_after_export = text.strip_prefix("export ").unwrap_or(text);
    let (name, _) = text_after_export.split_once('=')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
    is_name.then_some(text.len() - text_after_export.len() + name.len() + 1)
}

/// `$NAME`, `${NAME}`, `$(command)`, `%NAME%`, `{{ name }}`, `<name>`, and backquotes.
fn has_variable(text: &str) -> bool {
    let after_dollar = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '(');
    let dollar = text.match_indices('$').any(|(at, _)| text[at + 1..].starts_with(after_dollar));
    let is_name = |piece: &str| {
        piece.len() > 1
            && piece.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && piece.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | ')'))
    };
    let pieces: Vec<_> = text.split('%').collect();
    // Between two of them.
    let percent = pieces.iter().take(pieces.len() - 1).skip(1).any(|piece| is_name(piece));
    let braces = text.contains("{{") || text.contains("#{");
    let angles = text.starts_with('<') && text.contains('>');
    dollar || percent || braces || angles || text.contains('`')
}

/// What programs print where there is nothing.
pub(crate) fn is_nothing(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["null", "undefined", "none", "nil", "nan", "(null)", "(none)", "(nil)", "[object object]", "n/a"]
        .contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slip_is_found_and_taken_away_where_that_is_plain() {
        for (text, slip, clean) in [
            ("a\0", Slip::Nul, "a"),
            ("\"a b\"", Slip::Quotes, "a b"),
            ("'a", Slip::Quotes, "a"),
            ("\u{201c}a\u{201d}", Slip::Quotes, "a"),
            ("a\n", Slip::Blank, "a"),
            ("a\r\n", Slip::Blank, "a"),
            (" a", Slip::Blank, "a"),
            ("\u{feff}a", Slip::Blank, "a"),
            ("a\u{200b}", Slip::Blank, "a"),
            ("a\u{a0}", Slip::Blank, "a"),
            (" \"a\" ", Slip::Blank, "a"),
            ("a\nb", Slip::Invisible, "a\nb"),
            ("a\tb", Slip::Invisible, "a\tb"),
            ("a\u{202e}b", Slip::Invisible, "a\u{202e}b"),
            ("a # the name", Slip::Comment, "a"),
            ("NAME=a", Slip::Assignment, "a"),
            ("export NAME='a'", Slip::Quotes, "a"),
            ("=a", Slip::Assignment, "a"),
            ("$HOME/a", Slip::Variable, "$HOME/a"),
            ("a/${B}/c", Slip::Variable, "a/${B}/c"),
            ("$(pwd)/a", Slip::Variable, "$(pwd)/a"),
            ("a`id`b", Slip::Variable, "a`id`b"),
            ("%APPDATA%/a", Slip::Variable, "%APPDATA%/a"),
            ("{{ .Values.a }}", Slip::Variable, "{{ .Values.a }}"),
            ("<path>", Slip::Variable, "<path>"),
            ("undefined", Slip::Word, "undefined"),
            ("None", Slip::Word, "None"),
        ] {
            assert_eq!((of(text), cleaned(text)), (Some(slip), clean), "{text:?}");
        }
    }

    #[test]
    fn what_may_be_meant_is_no_slip() {
        for text in
            ["a", "a b", "100%", "a%b", "50% of 80%", "5$", "a$", "a#b", "a=b", "it's", "\u{e9}\u{1f980}", "a\u{200d}b"]
        {
            assert_eq!(of(text), None, "{text:?}");
            assert_eq!(cleaned(text), text);
        }
    }

    #[test]
    fn the_ends_of_a_secret_are_told_and_nothing_of_it() {
        for text in ["a\n", "a\r", "'a'", "\"a\"", " a", "\u{feff}a", "$PASSWORD", "${P}", "{{ p }}", "%P_W%"] {
            assert!(of_secret(text).is_some(), "{text:?}");
        }
        for text in ["", "a", "\"", "'a", "a'", "a$b", "it's", "a b", "100%"] {
            assert_eq!(of_secret(text), None, "{text:?}");
        }
    }
}
