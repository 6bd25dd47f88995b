//! What a person reads on a terminal, texts of others among it.

use std::io::Write;

/// Says something on standard error. Where nobody can be told, what is done counts all the same.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A stored text as a terminal may show it: what would move the cursor, change colours or turn the direction of
/// writing is escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || hidden {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_disturb_a_terminal_is_escaped() {
        assert_eq!(escaped("a\x1b[31m\r\n\u{9b}\u{202e}b"), "a\\u{1b}[31m\\r\\n\\u{9b}\\u{202e}b");
        assert_eq!(escaped("gr\u{fc}\u{df} \u{1f980}"), "gr\u{fc}\u{df} \u{1f980}");
    }
}
