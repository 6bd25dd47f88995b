//! Text in HTML.

use std::fmt;

/// Text that stands as it is, whatever is in it: messages come from databases, plugins and files.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => fmt::Write::write_char(f, character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let text = Text("<script>\"it's\" & more</script>").to_string();
        assert_eq!(text, "&lt;script&gt;&quot;it&#39;s&quot; &amp; more&lt;/script&gt;");
    }
}
