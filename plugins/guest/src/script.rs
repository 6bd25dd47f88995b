//! Reading schema steps.

/// One statement of a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Skips the statement where it returns a row.
    pub unless: Option<String>,
    pub text: String,
}

/// Splits a step into statements: each ends with `;` at the end of a line. What follows the last one is a statement
/// too.
pub(crate) fn statements(script: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut unless = None;
    let mut text = String::new();
    for line in script.lines() {
        let line = line.trim_end();
        if let Some(comment) = line.trim_start().strip_prefix("--") {
            if let Some(query) = comment.trim_start().strip_prefix("unless:") {
                unless = Some(query.trim().to_owned());
            }
            continue;
        }
        let (line, ends) = line.strip_suffix(';').map_or((line, false), |line| (line, true));
        if !(text.is_empty() && line.trim().is_empty()) {
            text.push_str(line);
            text.push('\n');
        }
        if ends {
            finish(&mut statements, &mut unless, &mut text);
        }
    }
    finish(&mut statements, &mut unless, &mut text);
    statements
}

/// The queries of a step that say why it must not be run.
pub(crate) fn refusals(script: &str) -> impl Iterator<Item = &str> {
    script.lines().filter_map(|line| Some(line.trim().strip_prefix("--")?.trim().strip_prefix("refuse:")?.trim()))
}

fn finish(statements: &mut Vec<Statement>, unless: &mut Option<String>, text: &mut String) {
    let trimmed = text.trim();
    if !trimmed.is_empty() {
        statements.push(Statement { unless: unless.take(), text: trimmed.to_owned() });
    }
    text.clear();
}

/// Replaces `{name}` by its value, for each of these.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = text.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Statement {
        Statement { unless: None, text: text.to_owned() }
    }

    #[test]
    fn a_statement_ends_with_a_semicolon_at_the_end_of_a_line() {
        assert_eq!(
            statements("CREATE TABLE a (\n    x TEXT DEFAULT 'a;b'\n);\n\nDROP TABLE b;  \nDROP TABLE c\n"),
            [plain("CREATE TABLE a (\n    x TEXT DEFAULT 'a;b'\n)"), plain("DROP TABLE b"), plain("DROP TABLE c")],
        );
    }

    #[test]
    fn a_guard_belongs_to_the_next_statement_only() {
        assert_eq!(
            statements("-- Why.\n-- unless: SELECT 1 FROM t\nDROP TABLE a;\nDROP TABLE b;"),
            [
                Statement { unless: Some("SELECT 1 FROM t".to_owned()), text: "DROP TABLE a".to_owned() },
                plain("DROP TABLE b"),
            ],
        );
    }

    #[test]
    fn a_refusal_is_no_statement_and_no_guard() {
        let step = "-- refuse: SELECT 'x' FROM t;\nDROP TABLE a;";
        assert_eq!(refusals(step).collect::<Vec<_>>(), ["SELECT 'x' FROM t;"]);
        assert_eq!(statements(step), [plain("DROP TABLE a")]);
    }

    #[test]
    fn comments_and_nothing_are_no_statements() {
        assert_eq!(statements("-- a; \n;\n\n  -- b\n"), []);
    }

    #[test]
    fn placeholders_are_filled_wherever_they_stand() {
        assert_eq!(fill("a {x} b {y} {x} {z}", &[("x", "1"), ("y", "2")]), "a 1 b 2 1 {z}");
    }
}
