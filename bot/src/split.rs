//! Splits long answers, so that each part is a message of its own that reads well.

use unicode_segmentation::UnicodeSegmentation;

/// The most characters in a message. Discord counts code points.
pub const MOST: usize = 2000;

const FENCE: &str = "```";
/// What an open code block needs at the end of a part: a line break and a fence.
const CLOSING: usize = 4;

/// The parts of an answer, each with at most `most` code points: whole lines where they fit, else whole words, else whole
/// characters as a reader sees them. A code block that goes on is closed and opened again, in the same language. Nothing is
/// left of an answer that is blank.
pub fn split(text: &str, most: usize) -> Vec<String> {
    let mut parts = Parts { most, done: Vec::new(), part: String::new(), length: 0, has_text: false, block: None };
    for line in text.split_inclusive('\n') {
        if parts.push(line) {
            continue;
        }
        for word in line.split_inclusive(char::is_whitespace) {
            if !parts.push(word) {
                characters(word).for_each(|character| {
                    parts.push(character);
                });
            }
        }
    }
    parts.finish();
    parts.done
}

struct Parts {
    most: usize,
    done: Vec<String>,
    part: String,
    /// Of `part`, in code points.
    length: usize,
    /// Whether the part has more than the fence that opens it.
    has_text: bool,
    /// The language of the code block that is open at its end, which may be none.
    block: Option<String>,
}

impl Parts {
    /// Adds a piece, in a new part if it does not fit. False if it does not fit there either.
    fn push(&mut self, piece: &str) -> bool {
        let after = block_after(self.block.as_deref(), piece);
        let length = piece.chars().count();
        let closing = if after.is_some() { CLOSING } else { 0 };
        if self.length + length + closing > self.most {
            let opening = self.block.as_ref().map_or(0, |language| FENCE.len() + language.chars().count() + 1);
            // In pieces, lest half a part stays empty.
            if !self.has_text || opening + length + closing > self.most {
                return false;
            }
            self.finish();
        }
        self.part.push_str(piece);
        self.length += length;
        self.has_text |= !piece.trim().is_empty();
        self.block = after;
        true
    }

    /// Ends this part and begins another.
    fn finish(&mut self) {
        let mut part = std::mem::take(&mut self.part);
        if let Some(language) = &self.block {
            if !part.ends_with('\n') {
                part.push('\n');
            }
            part.push_str(FENCE);
            self.part = format!("{FENCE}{language}\n");
        }
        self.length = self.part.chars().count();
        if std::mem::take(&mut self.has_text) {
            part.truncate(part.trim_end().len());
            self.done.push(part);
        }
    }
}

/// The code block that is open after this piece.
fn block_after<'a>(mut block: Option<&'a str>, piece: &'a str) -> Option<String> {
    let mut rest = piece;
    while let Some(at) = rest.find(FENCE) {
        rest = &rest[at + FENCE.len()..];
        block = match block {
            Some(_) => None,
            None => Some(rest.trim_end().split_once(char::is_whitespace).map_or(rest.trim_end(), |_| "")),
        };
        // What stands behind the fence is a language only if it is a word at the end of a line.
        if block.is_some_and(|language| language.contains('`') || language.chars().count() > 20) {
            block = Some("");
        }
    }
    block.map(Into::into)
}

/// The characters of a word as a reader sees them; a fence is one.
fn characters(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let length = match rest.starts_with(FENCE) {
            true => FENCE.len(),
            false => rest.graphemes(true).next()?.len(),
        };
        let (character, after) = rest.split_at(length);
        rest = after;
        Some(character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, most: usize) -> Vec<String> {
        let parts = split(text, most);
        for part in &parts {
            assert!(part.chars().count() <= most, "{} of {most}: {part:?}", part.chars().count());
            assert_eq!(part.matches(FENCE).count() % 2, 0, "{part:?}");
            assert!(!part.trim().is_empty());
        }
        parts
    }

    #[test]
    fn what_fits_is_one_part_and_nothing_is_none() {
        assert_eq!(checked("hello\n", MOST), ["hello"]);
        assert_eq!(checked(&"ü".repeat(MOST), MOST).len(), 1);
        assert_eq!(checked(" \n ", MOST), Vec::<String>::new());
    }

    #[test]
    fn lines_stay_whole_then_words_then_characters() {
        assert_eq!(checked("one two\nthree four\n", 12), ["one two", "three four"]);
        assert_eq!(checked("one two three", 8), ["one two", "three"]);
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(family.chars().count(), 7);
        let parts = checked(&family.repeat(10), 20);
        assert_eq!(parts.concat(), family.repeat(10));
        assert!(parts.iter().all(|part| part.len().is_multiple_of(family.len())), "{parts:?}");
        let accents = "e\u{301}".repeat(9);
        assert!(checked(&accents, 5).iter().all(|part| part.starts_with('e')));
    }

    #[test]
    fn a_code_block_is_closed_and_opened_again() {
        let text = "Look:\n```rust\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nThat is all.";
        let parts = checked(text, 40);
        assert_eq!(parts, ["Look:\n```rust\nlet a = 1;\nlet b = 2;\n```", "```rust\nlet c = 3;\n```\nThat is all."]);
    }

    #[test]
    fn a_closing_fence_is_never_alone() {
        for most in 16..60 {
            for lines in 1..12 {
                let text = format!("```\n{}```\n", "0123456\n".repeat(lines));
                let parts = checked(&text, most);
                assert!(parts.iter().all(|part| part.contains("0123456")), "{most}: {parts:?}");
                assert_eq!(parts.concat().matches("0123456").count(), lines);
            }
        }
    }

    #[test]
    fn a_long_line_of_code_is_cut_within_the_block() {
        let text = format!("```json\n{}\n```", "x".repeat(100));
        let parts = checked(&text, 40);
        assert!(parts.len() > 2 && parts.iter().all(|part| part.starts_with("```json\n")), "{parts:?}");
        assert_eq!(parts.concat().matches('x').count(), 100);
    }

    #[test]
    fn nothing_is_lost_in_a_long_answer() {
        let text: String =
            (0..900).map(|number| format!("word{number}{}", if number % 9 == 0 { "\n" } else { " " })).collect();
        let parts = checked(&text, 200);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&parts.join(" ")), words(&text));
    }
}
