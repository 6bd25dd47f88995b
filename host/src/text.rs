//! Text that others wrote, in messages.

/// Text from a guest or a file on its way to logs and terminals: cut, and escaped where it would steer either.
pub(crate) fn one_line(text: &str, characters: usize) -> String {
    let cut = text.char_indices().nth(characters).map(|(end, _)| &text[..end]);
    let mut line: String = cut.unwrap_or(text).chars().fold(String::new(), |mut line, character| {
        if character.is_control() {
            line.extend(character.escape_default())
        } else {
            line.push(character)
        }
        line
    });
    if cut.is_some() {
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_of_bounded_length() {
        assert_eq!(one_line("plain \u{e9}", 7), "plain \u{e9}");
        assert_eq!(one_line("a\r\n\u{1b}[2J\0", 9), r"a\r\n\u{1b}[2J\u{0}");
        assert_eq!(one_line("\u{e9}\u{e9}\u{e9}", 2), "\u{e9}\u{e9} ...");
    }
}
