//! Changes what is otherwise in a table than the operations rely on, and nothing else, in one statement.

use cofferdam_guest::Mend;

/// A column: its name, its type, whether null is allowed.
type Column = (&'static str, Type, bool);

/// What our columns are, by table.
const TABLES: [(&str, [Column; 7]); 2] = [
    (
        "message_states",
        [
            ("id", Type::Number, false),
            ("channel_id", Type::Key, false),
            ("thread_id", Type::Key, true),
            ("last_message_id", Type::Text, false),
            ("last_seen_timestamp", Type::Integer, false),
            ("created_at", Type::Integer, false),
            ("updated_at", Type::Integer, false),
        ],
    ),
    (
        "thread_ownerships",
        [
            ("id", Type::Number, false),
            ("thread_id", Type::Key, false),
            ("original_user_id", Type::Text, false),
            ("created_by", Type::Text, false),
            ("creation_time", Type::Integer, false),
            ("created_at", Type::Integer, false),
            ("updated_at", Type::Integer, false),
        ],
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    /// What the server counts up by itself.
    Number,
    Integer,
    /// A text that a key binds in full.
    Key,
    Text,
}

/// The longest text that a key can bind in full, in characters.
const LONGEST_KEY: u64 = 768;

/// The statement that does it. Rows of `blueprint` are those of `schema::BLUEPRINT`.
///
/// # Errors
///
/// Whose foreign keys stand in the way.
pub(crate) fn alter(mend: &Mend, blueprint: &[Vec<Option<String>>], collation: &str) -> Result<Vec<String>, String> {
    let of =
        |kind: &'static str| blueprint.iter().filter(move |row| cell(row, 0) == kind && cell(row, 1) == mend.table);
    let Some((_, columns)) = TABLES.iter().find(|known| known.0 == mend.table) else {
        return Err("is none of those that have a plan".to_owned());
    };
    let mut changes = Vec::new();
    if let Some(table) = of("table").next() {
        if cell(table, 2) != "InnoDB" {
            changes.push("ENGINE=InnoDB".to_owned());
        }
        // Others bind no key as long as ours.
        if !["Dynamic", "Compressed"].contains(&cell(table, 3)) {
            changes.push("ROW_FORMAT=DYNAMIC".to_owned());
        }
    }
    for (name, wanted, nullable) in columns {
        let Some(column) = of("column").find(|row| cell(row, 2).eq_ignore_ascii_case(name)) else { continue };
        let Some(definition) = definition(column, *wanted, *nullable, collation) else { continue };
        if let Some(key) = of("foreign key").find(|row| cell(row, 4).eq_ignore_ascii_case(name)) {
            let (key, other) = (cell(key, 2), cell(key, 3));
            return Err(format!("has column {name} in foreign key {key} of table {other}: drop that for the upgrade"));
        }
        changes.push(format!("MODIFY {name} {definition}"));
    }
    let is_key = |row: &&Vec<Option<String>>| cell(row, 3) == "unique" && cell(row, 4) == "id";
    if !of("index").any(|row| is_key(&row)) {
        let has_primary = of("index").any(|row| cell(row, 2) == "PRIMARY");
        changes.push(format!("ADD {} KEY (id)", if has_primary { "UNIQUE" } else { "PRIMARY" }));
    }
    changes.extend(mend.drops.iter().map(|name| format!("DROP INDEX `{}`", name.replace('`', "``"))));
    changes.extend(mend.lacks.iter().map(|columns| format!("ADD UNIQUE KEY ({columns})")));
    Ok(vec![format!("ALTER TABLE {} {}", mend.table, changes.join(", "))])
}

/// What a column is to be; nothing where it may stay.
fn definition(column: &[Option<String>], wanted: Type, nullable: bool, collation: &str) -> Option<String> {
    let (data_type, attributes) = (cell(column, 3), cell(column, 6).to_ascii_lowercase());
    let is_nullable = attributes.split(' ').any(|word| word == "yes");
    let stays = is_nullable == nullable;
    let null = if nullable { "NULL" } else { "NOT NULL" };
    if let Type::Number | Type::Integer = wanted {
        let counts = wanted == Type::Number;
        let is_right = data_type == "bigint"
            && !attributes.contains("unsigned")
            && (!counts || attributes.contains("auto_increment"));
        let definition = format!("BIGINT {null}{}", if counts { " AUTO_INCREMENT" } else { "" });
        return if stays && is_right { None } else { Some(definition) };
    }
    let length = cell(column, 4).parse::<u64>().unwrap_or_default();
    let text = match data_type {
        "varchar" if length > 255 && (wanted == Type::Text || length <= LONGEST_KEY) => format!("VARCHAR({length})"),
        "text" | "mediumtext" | "longtext" if wanted == Type::Text => data_type.to_ascii_uppercase(),
        _ => "VARCHAR(255)".to_owned(),
    };
    let is_right = cell(column, 5) == collation
        && match data_type {
            "varchar" => length >= 255,
            "text" | "mediumtext" | "longtext" => wanted == Type::Text,
            _ => false,
        };
    let definition = format!("{text} CHARACTER SET utf8mb4 COLLATE {collation} {null}");
    if stays && is_right { None } else { Some(definition) }
}

fn cell(row: &[Option<String>], column: usize) -> &str {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}
