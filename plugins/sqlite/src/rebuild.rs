//! Makes a table anew, since SQLite cannot change the type, the collation or the key of a column.
//!
//! Our columns become what they are in a new database; whatever else the table has, such as columns, checks and indexes of
//! its owner, is kept as it was written.

use cofferdam_guest::Mend;

/// A column: its name, and what it is declared as.
type Column = (&'static str, &'static str);

/// What our columns and keys are, by table.
const TABLES: [(&str, &[Column], &str); 2] = [
    (
        "message_states",
        &[
            ("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
            ("channel_id", "TEXT NOT NULL"),
            ("thread_id", "TEXT NULL"),
            ("last_message_id", "TEXT NOT NULL"),
            ("last_seen_timestamp", "INTEGER NOT NULL"),
            ("created_at", "INTEGER NOT NULL"),
            ("updated_at", "INTEGER NOT NULL"),
        ],
        "UNIQUE (channel_id, thread_id)",
    ),
    (
        "thread_ownerships",
        &[
            ("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
            ("thread_id", "TEXT NOT NULL"),
            ("original_user_id", "TEXT NOT NULL"),
            ("created_by", "TEXT NOT NULL"),
            ("creation_time", "INTEGER NOT NULL"),
            ("created_at", "INTEGER NOT NULL"),
            ("updated_at", "INTEGER NOT NULL"),
        ],
        "UNIQUE (thread_id)",
    ),
];

/// The statements that do it. Rows of `blueprint` are the kind of an object, its table, its name, its text and `rowid` where a
/// table's number is another name of the rowid.
///
/// # Errors
///
/// What of the table's owner would be lost.
pub(crate) fn rebuild(mend: &Mend, blueprint: &[Vec<Option<String>>]) -> Result<Vec<String>, String> {
    let is_of = |row: &&Vec<Option<String>>, kind: &str| cell(row, 0) == kind && cell(row, 1) == mend.table;
    let Some((_, columns, key)) = TABLES.iter().find(|known| known.0 == mend.table) else {
        return Err("is none of those that have a plan".to_owned());
    };
    let Some(found) = blueprint.iter().find(|row| is_of(row, "table")) else {
        return Err("is not there".to_owned());
    };
    let anew = Anew::of(cell(found, 3), columns, key)?;
    let mut new = format!("cofferdam_new_{}", mend.table);
    while blueprint.iter().any(|row| cell(row, 2).eq_ignore_ascii_case(&new)) {
        new.push('_');
    }
    let old = quoted(cell(found, 2));
    let mut statements =
        vec![format!("CREATE TABLE {new} (\n    {}\n){}", anew.definitions.join(",\n    "), anew.options)];
    let copied = anew.copied.join(", ");
    statements.push(if cell(found, 4) == "rowid" {
        format!("INSERT INTO {new} (id, {copied}) SELECT id, {copied} FROM {old} ORDER BY id")
    } else {
        // A number that is none, or that another row has too, gives way to the next free one.
        format!(
            "INSERT INTO {new} (id, {copied}) SELECT cofferdam_number, {copied} FROM (SELECT *, CASE WHEN typeof(id) = 'integer' \
             AND row_number() OVER (PARTITION BY id) = 1 THEN id END AS cofferdam_number FROM {old}) \
             ORDER BY cofferdam_number IS NULL, cofferdam_number"
        )
    });
    statements.push(format!("DROP TABLE {old}"));
    statements.push(format!("ALTER TABLE {new} RENAME TO {}", mend.table));
    let kept = blueprint.iter().filter(|row| is_of(row, "index") && !cell(row, 3).is_empty());
    let kept = kept.filter(|row| mend.drops.iter().all(|name| name != cell(row, 2)));
    statements.extend(kept.map(|row| cell(row, 3).to_owned()));
    Ok(statements)
}

fn cell(row: &[Option<String>], column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table as it is to be.
struct Anew {
    /// Its columns and constraints.
    definitions: Vec<String>,
    /// The columns whose values are copied, but for the number.
    copied: Vec<String>,
    options: &'static str,
}

impl Anew {
    fn of(text: &str, columns: &[(&str, &str)], key: &str) -> Result<Self, String> {
        let tokens = tokens(text);
        let (Some(begin), Some(end)) = (
            tokens.iter().position(|token| token.text == "("),
            tokens.iter().rposition(|token| token.text == ")" && token.depth == 0),
        ) else {
            return Err("is written in a way that is not understood".to_owned());
        };
        let is_strict = tokens[end..].iter().any(|token| token.is("STRICT"));
        let mut anew =
            Self { definitions: Vec::new(), copied: Vec::new(), options: if is_strict { " STRICT" } else { "" } };
        let mut constraints = Vec::new();
        for definition in tokens[begin + 1..end].split(|token| token.text == "," && token.depth == 1) {
            let Some(first) = definition.first() else { continue };
            if ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].iter().any(|word| first.is(word)) {
                constraints.extend(constraint(text, definition, columns, key)?);
                continue;
            }
            let name = first.name();
            let rest = &definition[1..];
            match columns.iter().find(|column| column.0.eq_ignore_ascii_case(&name)) {
                Some((column, declared)) => {
                    for lost in ["CHECK", "REFERENCES", "GENERATED", "AS"] {
                        if rest.iter().any(|token| token.depth == 1 && token.is(lost)) {
                            return Err(format!(
                                "has {lost} in column {column}, which would be lost: drop it for the upgrade"
                            ));
                        }
                    }
                    let default = default(text, rest).map(|value| format!(" DEFAULT {value}")).unwrap_or_default();
                    // One of the column's own, not that of the table's key.
                    let is_unique = *column != "id" && !key.ends_with(&format!("({column})"));
                    let unique = is_unique && rest.iter().any(|token| token.depth == 1 && token.is("UNIQUE"));
                    anew.definitions
                        .push(format!("{column} {declared}{default}{}", if unique { " UNIQUE" } else { "" }));
                    if *column != "id" {
                        anew.copied.push((*column).to_owned());
                    }
                }
                None => {
                    if rest.iter().any(|token| token.depth == 1 && token.is("PRIMARY")) {
                        return Err(format!("has another primary key, column {name}: make it a unique one"));
                    }
                    anew.definitions.push(source(text, definition).to_owned());
                    if !rest.iter().any(|token| token.depth == 1 && token.is("AS")) {
                        anew.copied.push(first.text.to_owned());
                    }
                }
            }
        }
        anew.definitions.push(key.to_owned());
        anew.definitions.append(&mut constraints);
        Ok(anew)
    }
}

/// A table's constraint as it is to be kept; nothing where ours takes its place.
fn constraint(
    text: &str,
    definition: &[Token<'_>],
    columns: &[(&str, &str)],
    key: &str,
) -> Result<Option<String>, String> {
    // A name comes first, where there is one.
    let words = if definition[0].is("CONSTRAINT") { definition.get(2..).unwrap_or_default() } else { definition };
    let source = source(text, definition);
    let Some(first) = words.first().filter(|first| first.is("PRIMARY") || first.is("UNIQUE")) else {
        return Ok(Some(source.to_owned()));
    };
    let bound: Vec<String> = words
        .iter()
        .filter(|token| token.depth == 2 && token.text != "," && token.text != "(" && token.text != ")")
        .map(Token::name)
        .collect();
    // Commas between constraints may be left out.
    let more = ["CHECK", "FOREIGN", "CONSTRAINT", "UNIQUE", "PRIMARY"];
    if words[1..].iter().any(|token| token.depth == 1 && more.iter().any(|word| token.is(word))) {
        return Err("has constraints without a comma between them".to_owned());
    }
    let names: Vec<&str> = bound
        .iter()
        .map(String::as_str)
        .filter(|name| columns.iter().any(|column| column.0.eq_ignore_ascii_case(name)))
        .collect();
    if first.is("PRIMARY") {
        let is_ours = bound.iter().all(|name| {
            ["COLLATE", "NOCASE", "RTRIM", "BINARY", "ASC", "DESC", "AUTOINCREMENT"]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(name))
                || names.contains(&name.as_str())
        });
        return if is_ours { Ok(None) } else { Err("has another primary key: make it a unique one".to_owned()) };
    }
    let is_key = key.eq_ignore_ascii_case(&format!("UNIQUE ({})", names.join(", ")));
    let is_plain = bound.len() == names.len() || bound.iter().any(|name| name.eq_ignore_ascii_case("COLLATE"));
    Ok(if is_key && is_plain { None } else { Some(source.to_owned()) })
}

/// The default of a column, as it is written.
fn default<'a>(text: &'a str, rest: &[Token<'a>]) -> Option<&'a str> {
    let begin = 1 + rest.iter().position(|token| token.depth == 1 && token.is("DEFAULT"))?;
    let value = &rest[begin..];
    let length = match value.first()?.text {
        "(" => 1 + value.iter().position(|token| token.text == ")" && token.depth == 1)?,
        "+" | "-" => 2,
        _ => 1,
    };
    Some(source(text, value.get(..length)?))
}

/// What these tokens are in the text.
fn source<'a>(text: &'a str, tokens: &[Token<'_>]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &text[first.begin..last.begin + last.text.len()],
        _ => "",
    }
}

/// A word, a name, a string, or any other character, and in how many parentheses it is. A parenthesis is in those that are
/// around it.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    begin: usize,
    depth: usize,
}

impl Token<'_> {
    /// Whether it is this word, not a quoted name.
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    /// The name without its quotes, in lower case.
    fn name(&self) -> String {
        let inner = |open: char, close: char| self.text.strip_prefix(open)?.strip_suffix(close);
        let name = match self.text.chars().next() {
            Some(quote @ ('"' | '`' | '\'')) => {
                inner(quote, quote).map(|name| name.replace(&format!("{quote}{quote}"), &quote.to_string()))
            }
            Some('[') => inner('[', ']').map(str::to_owned),
            _ => None,
        };
        name.unwrap_or_else(|| self.text.to_owned()).to_ascii_lowercase()
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    while let Some(first) = text[begin..].chars().next() {
        let rest = &text[begin..];
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '.' || !c.is_ascii();
        let length = match first {
            _ if first.is_whitespace() => {
                begin += first.len_utf8();
                continue;
            }
            '-' if rest.starts_with("--") => {
                begin += rest.find('\n').map_or(rest.len(), |end| end + 1);
                continue;
            }
            '/' if rest.starts_with("/*") => {
                begin += rest.find("*/").map_or(rest.len(), |end| end + 2);
                continue;
            }
            '"' | '`' | '\'' => quote(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        if first == ')' {
            depth = depth.saturating_sub(1);
        }
        tokens.push(Token { text: &rest[..length], begin, depth });
        if first == '(' {
            depth += 1;
        }
        begin += length;
    }
    tokens
}

/// How long what is between two of these quotes is, with both of them; a doubled quote is part of it.
fn quote(text: &str, quote: char) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((index, byte)) = bytes.next() {
        if byte == quote as u8 && bytes.next_if(|(_, next)| *next == byte).is_none() {
            return index + 1;
        }
    }
    text.len()
}
