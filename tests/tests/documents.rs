//! `docs/troubleshooting.md` has every error that an operator can meet. What there is to document is read from the code:
//! from what it does with wrong values, and from the texts in its sources.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cofferdam::config::VARIABLES;
use cofferdam::{Config, ErrorKind};

/// Stands in the page, and here in templates, for what differs from case to case.
const ANYTHING: char = '\u{2026}';

/// Where the library's typed errors are that operators meet, under `host/src`.
const ERRORS: [&str; 8] = ["config", "files", "migrate", "ops", "plugin", "resilience", "snapshot", "storage"];

/// Of the engine's interrupt, which `plugin … failed` reports in other words.
const NOT_SHOWN: [&str; 1] = ["computed for too long"];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The page.
struct Page(String);

impl Page {
    fn read() -> Result<Self> {
        let path = repository("docs/troubleshooting.md");
        Ok(Self(fs::read_to_string(&path).with_context(|| path.display().to_string())?))
    }

    /// What comes under a heading, up to the next of the same rank.
    fn chapter(&self, heading: &str) -> Result<&str> {
        let start =
            self.0.find(&format!("\n{heading}\n")).with_context(|| format!("there is no heading {heading:?}"))?;
        let text = &self.0[start + heading.len() + 2..];
        let rank = heading.split(' ').next().unwrap_or_default();
        Ok(text.split(&format!("\n{rank} ")).next().unwrap_or(text))
    }

    /// The texts in the first cells of all tables of a chapter, without backquotes.
    fn texts(&self, heading: &str) -> Result<Vec<String>> {
        let rows = self.chapter(heading)?.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        Ok(rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect())
    }
}

/// Whether a text fits a template, where [`ANYTHING`] fits any text.
fn fits(template: &str, text: &str) -> bool {
    let mut parts = template.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The Rust files of a folder or of one file.
fn sources(path: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    if path.is_file() {
        found.push((path.to_owned(), fs::read_to_string(path)?));
    } else {
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            found.extend(sources(&entry?.path())?);
        }
    }
    found.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"));
    Ok(found)
}

/// The first string after each `mark`, before `end`: with what is formatted as [`ANYTHING`].
fn templates(source: &str, mark: &str, end: &str) -> Vec<String> {
    let call = |rest: &str| {
        let call = &rest[..rest.find(end).unwrap_or(rest.len())];
        let mut pieces = call.split('"').skip(1);
        // Of two strings the first is the name of a variable.
        let strings: Vec<&str> = pieces.by_ref().step_by(2).collect();
        strings.into_iter().find(|text| text.contains(' ')).map(template)
    };
    source.split(mark).skip(1).filter_map(call).collect()
}

fn template(literal: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    // A backslash at the end of a line takes the spaces of the next with it.
    for piece in literal.split("\\\n").enumerate().map(|(n, line)| if n == 0 { line } else { line.trim_start() }) {
        for c in piece.chars() {
            match c {
                '{' => {
                    depth += 1;
                    if !text.ends_with(ANYTHING) {
                        text.push(ANYTHING);
                    }
                }
                '}' => depth -= 1,
                _ if depth == 0 => text.push(c),
                _ => {}
            }
        }
    }
    text
}

#[test]
fn every_kind_of_error_has_a_chapter() -> Result<()> {
    let page = Page::read()?;
    for kind in ErrorKind::ALL {
        let texts = page.texts(&format!("### `{}`", kind.name()))?;
        ensure!(!texts.is_empty(), "no text of an error of kind {kind}");
    }
    Ok(())
}

#[test]
fn every_text_of_a_typed_error_is_there() -> Result<()> {
    let page = Page::read()?.0.replace('`', "");
    let mut count = 0;
    for folder in ERRORS {
        for (path, source) in sources(&repository("host/src").join(folder))? {
            for template in templates(&source, "#[error(", ")]\n") {
                let fixed: Vec<_> = template.split(ANYTHING).filter(|part| part.len() > 2).collect();
                if fixed.is_empty() || NOT_SHOWN.contains(&&*template) {
                    continue;
                }
                count += 1;
                let template = template.replace('`', "");
                ensure!(page.contains(&template), "{}: {template:?} is not in the page", path.display());
            }
        }
    }
    println!("{count} texts");
    ensure!(count >= 20, "only {count} texts were found in the sources");
    Ok(())
}

#[test]
fn every_text_of_an_operations_error_is_there_with_its_kind() -> Result<()> {
    let page = Page::read()?;
    let mut count = 0;
    let root = repository("host/src");
    for (path, source) in sources(&root)? {
        let path = path.strip_prefix(&root)?;
        if path.starts_with("bin") || path.components().any(|name| name.as_os_str() == "tests") {
            continue;
        }
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let source = source.replace("SqlError::new(", "").replace("io::Error::new(", "");
        for call in source.split("Error::new(ErrorKind::").skip(1) {
            let name: String = call.chars().take_while(char::is_ascii_alphanumeric).collect();
            let Some(kind) = ErrorKind::ALL.into_iter().find(|kind| format!("{kind:?}") == name) else { continue };
            let message = call[name.len()..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            let message = message.strip_prefix("format!(").unwrap_or(message).trim_start();
            // What is put together elsewhere has its text elsewhere.
            let Some(literal) = message.strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
            let template = template(literal);
            count += 1;
            let texts = page.texts(&format!("### `{}`", kind.name()))?;
            ensure!(
                texts.iter().any(|text| fits(&format!("{template}{ANYTHING}"), text) || fits(text, &template)),
                "{}: {template:?} is not in the chapter on {kind}",
                path.display()
            );
        }
    }
    println!("{count} texts");
    ensure!(count >= 15, "only {count} texts were found in the sources");
    Ok(())
}

#[test]
fn every_mistake_in_the_sources_of_the_environment_is_there() -> Result<()> {
    let page = Page::read()?;
    let texts = page.texts("## Environment")?;
    let mut count = 0;
    for (path, source) in sources(&repository("host/src/config"))? {
        let marks = ["self.wrong(", "self.wrong_value("];
        for template in marks.iter().flat_map(|mark| templates(&source, mark, ");\n")) {
            count += 1;
            let any = format!("{ANYTHING} {template}");
            let is_there = texts.iter().any(|text| fits(&any, text));
            ensure!(is_there, "{}: {template:?} is not in the chapter on the environment", path.display());
        }
    }
    println!("{count} texts");
    ensure!(count >= 20, "only {count} texts were found in the sources");
    Ok(())
}

/// A value for every mistake that can be made in one variable; the variables that are set beside it.
fn wrong_values(folder: &Path) -> Result<Vec<OsString>> {
    let file = |name: &str, content: &[u8]| -> Result<OsString> {
        let path = folder.join(name);
        fs::write(&path, content)?;
        Ok(path.into())
    };
    let mut values: Vec<OsString> = [
        "",
        "nonsense",
        ":memory:",
        "file:x",
        "/",
        "-1",
        "0",
        "1000000000",
        "30",
        "1ns",
        "9999h",
        "http://user@host/",
        "a:b",
        "a b",
        "a/b",
        "::1::",
        "a,,b",
        "a,a",
        "/nowhere/file",
        "/dev/zero",
        "a\nb",
        "abc=def=ghi",
    ]
    .map(OsString::from)
    .into();
    values.push("x".repeat(300).into());
    values.push(OsString::from_vec(b"\xff".to_vec()));
    values.push(folder.into());
    values.push(file("empty", b"")?);
    values.push(file("text", b"text")?);
    values.push(file("bytes", b"\xff")?);
    values.push(file("ca", b"-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n")?);
    Ok(values)
}

#[test]
fn every_mistake_that_can_be_made_is_there_with_its_variable() -> Result<()> {
    let page = Page::read()?;
    let chapter = page.chapter("## Environment")?;
    let texts = page.texts("## Environment")?;
    let folder = tempfile::tempdir()?;
    let values = wrong_values(folder.path())?;
    let authority = OsString::from(folder.path().join("ca"));
    let mut mistakes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    // Alone, and beside others that it may contradict.
    let besides: [&[(&str, OsString)]; 4] = [
        &[],
        &[("DATABASE_TYPE", "mysql".into()), ("MYSQL_USERNAME", "bot".into()), ("MYSQL_PASSWORD", "secret".into())],
        &[("DATABASE_TYPE", "mysql".into()), ("MYSQL_TLS_CA", authority), ("MYSQL_TLS", "required".into())],
        &[
            ("DATABASE_PATH", "same".into()),
            ("COFFERDAM_SPOOL", "same".into()),
            ("DATABASE_MAX_OPEN_CONNECTIONS", "2".into()),
            ("DATABASE_MAX_IDLE_CONNECTIONS", "3".into()),
            ("COFFERDAM_RETRY_FIRST_PAUSE", "3s".into()),
            ("COFFERDAM_RETRY_LONGEST_PAUSE", "2s".into()),
        ],
    ];
    for variable in VARIABLES {
        ensure!(chapter.contains(&format!("`{}", variable.name)), "{} is not in the chapter", variable.name);
        for beside in besides {
            for value in &values {
                let lookup = |name: &str| {
                    let given = (name == variable.name).then(|| value.clone());
                    given.or_else(|| beside.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone()))
                };
                for mistake in Config::from_lookup(&lookup).err().map(|error| error.0).unwrap_or_default() {
                    let about = VARIABLES.iter().find(|about| mistake.split(' ').next() == Some(about.name));
                    let about = about.with_context(|| format!("a mistake of no variable: {mistake}"))?;
                    mistakes.entry(about.name).or_default().push(mistake);
                }
            }
        }
    }
    for (name, mistakes) in &mistakes {
        for mistake in mistakes {
            let is_there = texts.iter().any(|text| match text.strip_prefix("NAME ") {
                Some(problem) => fits(&format!("{name} {problem}"), mistake),
                None => fits(text, mistake),
            });
            ensure!(is_there, "{mistake:?} is not in the chapter on the environment");
            // What is accepted stands in a table.
            let mistake = mistake.split("; it ").next().unwrap_or_default();
            let range = mistake.rsplit_once(": it must be ").and_then(|(_, range)| range.rsplit_once("from "));
            if let Some((from, to)) = range.and_then(|(_, range)| range.split_once(" to ")) {
                let row = format!("| `{name}` | {from} | {to} |");
                ensure!(chapter.contains(&row), "there is no row {row}");
            }
        }
    }
    println!("{} variables, {} mistakes", mistakes.len(), mistakes.values().map(Vec::len).sum::<usize>());
    // Those that take any path, and those that only the command reads; what is wrong with a password of `migrate` or of
    // a mirror is what can be wrong with MYSQL_PASSWORD.
    let silent = |name: &str| {
        ["COFFERDAM_PLUGIN", "COFFERDAM_PLUGINS", "COFFERDAM_LOG"].contains(&name)
            || ["COFFERDAM_SOCKET", "COFFERDAM_LISTEN", "COFFERDAM_TOKEN_FILE", "COFFERDAM_DRAIN_TIMEOUT"]
                .contains(&name)
            || name.starts_with("COFFERDAM_ADMIN_")
            || name.starts_with("COFFERDAM_FROM_")
            || name.starts_with("COFFERDAM_TO_")
            || name.starts_with("COFFERDAM_MIRROR_")
    };
    for variable in VARIABLES.iter().filter(|variable| !silent(variable.name)) {
        ensure!(mistakes.contains_key(variable.name), "no value is a mistake in {}", variable.name);
    }
    Ok(())
}

#[test]
fn every_exit_code_is_there() -> Result<()> {
    let page = Page::read()?;
    let chapter = page.chapter("## Exit codes")?;
    let source = fs::read_to_string(repository("command/src/failure.rs"))?;
    let constants =
        source.split("pub const ").skip(1).filter_map(|rest| rest.split_once(": u8 = ")?.1.split(';').next());
    let codes: Vec<&str> = constants.chain(["0", "130", "143"]).collect();
    ensure!(codes.len() >= 9, "{codes:?}");
    for code in codes {
        ensure!(chapter.contains(&format!("\n| {code} | ")), "exit code {code} is not in the chapter");
    }
    Ok(())
}

/// The kinds of MySQL's codes, as the one table in the source has them.
fn kinds_of_mysql(source: &str) -> Result<BTreeMap<u32, String>> {
    let tables = source.split("match code {").skip(1).map(|table| table.split("_ => ").next().unwrap_or_default());
    let mut kinds = BTreeMap::new();
    let mut codes = Vec::new();
    for line in tables
        .filter(|table| table.contains("ErrorKind::"))
        .flat_map(str::lines)
        .map(|line| line.split("//").next().unwrap_or_default())
    {
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || "=.:".contains(c))) {
            if let Some((from, to)) = word.split_once("..=") {
                codes.extend(from.parse::<u32>()?..=to.parse()?);
            } else if let Ok(code) = word.parse() {
                codes.push(code);
            } else if let Some(kind) = word.strip_prefix("ErrorKind::") {
                kinds.extend(codes.drain(..).map(|code| (code, kind.to_owned())));
            }
        }
    }
    Ok(kinds)
}

/// What a backend makes of the kind of a database's error.
fn of_operation(kind: &str) -> &'static str {
    match kind {
        "Unavailable" => "unavailable",
        "Timeout" => "timeout",
        "Conflict" => "conflict",
        "PermissionDenied" => "permission-denied",
        "StorageFull" => "storage-full",
        "CorruptData" => "corrupt-data",
        "InvalidStatement" => "internal",
        _ => "refused",
    }
}

#[test]
fn codes_of_mysql_have_the_kinds_that_callers_see() -> Result<()> {
    let page = Page::read()?;
    let chapter = page.chapter("## MySQL and MariaDB by code")?;
    let kinds = kinds_of_mysql(&fs::read_to_string(repository("host/src/sql/mysql/numbers.rs"))?)?;
    let mut documented = Vec::new();
    for line in chapter.lines() {
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`'])).collect();
        let Some(Ok(code)) = cells.first().map(|cell| cell.parse::<u32>()) else { continue };
        // What is in none of the host's lists of numbers is a refusal.
        let kind = kinds.get(&code).map_or("Other", String::as_str);
        ensure!(cells[1] == of_operation(kind), "{code} is {}, the page says {}", of_operation(kind), cells[1]);
        documented.push(code);
    }
    for code in [
        1040, 1044, 1045, 1047, 1049, 1114, 1130, 1203, 1205, 1213, 1226, 1290, 1317, 1969, 4151, 2002, 2005, 2006,
        2013, 2026,
    ] {
        ensure!(documented.contains(&code), "{code} is not in the chapter");
    }
    Ok(())
}

#[test]
fn codes_of_sqlite_have_the_kinds_that_callers_see() -> Result<()> {
    let page = Page::read()?;
    let chapter = page.chapter("## SQLite by code")?;
    let source = fs::read_to_string(repository("host/src/sql/sqlite/codes.rs"))?;
    let kind = |code: &str| {
        let line = source.lines().find_map(|line| line.trim().strip_prefix(&format!("{code} => ")))?;
        Some(of_operation(line.trim_end_matches(',')))
    };
    let mut documented = Vec::new();
    for line in chapter.lines().filter(|line| line.starts_with("| SQLITE_")) {
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`'])).collect();
        let expected = kind(cells[0]).with_context(|| format!("{} is not in the table of the host", cells[0]))?;
        ensure!(cells[1] == expected, "{} is {expected}, the page says {}", cells[0], cells[1]);
        documented.push(cells[0]);
    }
    for code in ["BUSY", "READONLY", "FULL", "CORRUPT", "NOTADB", "CANTOPEN", "IOERR"] {
        ensure!(documented.contains(&&*format!("SQLITE_{code}")), "SQLITE_{code} is not in the chapter");
    }
    Ok(())
}

#[test]
fn a_text_that_is_missing_is_noticed() {
    assert_eq!(
        template("is {}: it must be {least} \\\n          to {most}"),
        "is \u{2026}: it must be \u{2026} to \u{2026}"
    );
    assert!(fits("a \u{2026} b", "a xyz b") && fits("a", "a") && fits("\u{2026}b", "aab"));
    assert!(!fits("a \u{2026} b", "a xyz c") && !fits("a", "ab") && !fits("a\u{2026}b\u{2026}c", "acb"));
    let source = "self.wrong(\n  NAME,\n  format!(\"is {x}: no {y}\", z),\n);\nself.wrong(\"NAME\", \"is not set\");\n";
    assert_eq!(templates(source, "self.wrong(", ");\n"), ["is \u{2026}: no \u{2026}", "is not set"]);
}
