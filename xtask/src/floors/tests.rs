//! That the lint can fail, and says what is wrong.

use std::fs;

use tempfile::TempDir;

use super::*;

const TABLES: &str = "\
# A page

| floor | rooms | between them | what |
|---|---|---|---|
| ground | `text`, `model` | no circle | words |
| engines | `sql/` | | databases |
| top | `migrate/`, `snapshot/` | apart | work |

| folder | what |
|---|---|
| `host/src/sql/` | drivers |
";

/// A house of these files.
fn house(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let sound = [
        (PAGE, TABLES),
        ("host/src/lib.rs", "mod migrate;\nmod model;\nmod snapshot;\nmod sql;\nmod text;\npub use migrate::Run;\n"),
        ("host/src/text.rs", "pub fn one_line() {}\n"),
        ("host/src/model.rs", "use crate::text::one_line;\n"),
        ("host/src/sql/mod.rs", "mod pool;\nmod raw;\npub use raw::Raw;\npub use crate::model::Row;\n"),
        ("host/src/sql/pool.rs", "use super::Raw;\nuse super::Row;\n"),
        (
            "host/src/sql/raw.rs",
            "/// Not [`crate::migrate`].\npub struct Raw; const WORDS: &str = \"use crate::migrate;\";\n",
        ),
        ("host/src/migrate/mod.rs", "use crate::{model::{self, Row}, sql::Raw};\npub struct Run;\n"),
        ("host/src/snapshot.rs", "use crate::sql;\n"),
    ];
    for (path, text) in sound.iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn mistakes(files: &[(&str, &str)]) -> String {
    check(house(files).path()).unwrap_err().to_string()
}

#[test]
fn a_sound_house_passes() {
    check(house(&[]).path()).unwrap();
}

#[test]
fn this_repository_passes() {
    check(&crate::run::root()).unwrap();
}

#[test]
fn an_import_from_above_is_found_however_it_is_written() {
    for (import, shown) in [
        ("use crate::migrate::Run;", "crate::migrate::Run"),
        ("use crate::{\n    model::Row,\n    migrate::{self, Run as Other},\n};", "crate::migrate"),
        ("fn run() -> crate::migrate::Run { todo!() }", "crate::migrate::Run"),
        ("use crate::Run;", "crate::Run"),
        ("bindings!({ with: { \"a\": crate::migrate::Run } });", "crate::migrate::Run"),
        ("mod tests { use super::super::super::migrate::Run; }", "crate::migrate::Run"),
    ] {
        let message = mistakes(&[("host/src/sql/raw.rs", import)]);
        let expected = format!("host/src/sql/raw.rs imports {shown}: `migrate` is on the floor top, above `sql`");
        assert!(message.contains(&expected), "{import}\n{message}");
    }
}

#[test]
fn rooms_that_are_apart_do_not_import_each_other() {
    let message = mistakes(&[("host/src/snapshot.rs", "use crate::migrate::Run;")]);
    let expected = "host/src/snapshot.rs imports crate::migrate::Run: `snapshot` and `migrate` are on the floor top, whose rooms are apart";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_circle_within_a_floor_is_found() {
    let message = mistakes(&[("host/src/text.rs", "use crate::model::Row;")]);
    let expected = "in a circle: model.rs imports crate::text::one_line, text.rs imports crate::model::Row";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_circle_between_files_is_found_behind_the_names_of_their_module_too() {
    let message = mistakes(&[("host/src/sql/raw.rs", "use super::pool;\npub struct Raw;")]);
    let expected = "files of host/src/sql import each other in a circle: sql/pool.rs imports crate::sql::Raw, sql/raw.rs imports crate::sql::pool";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn every_room_is_on_a_floor() {
    let message = mistakes(&[("host/src/attic.rs", "")]);
    assert!(message.contains("host/src/attic: the room is on no floor"), "{message}");
    let table = TABLES.replace("`text`, ", "`text`, `cellar`, ");
    let message = mistakes(&[(PAGE, &table)]);
    assert!(message.contains("host/src/cellar: there is no such room"), "{message}");
}

#[test]
fn a_page_without_its_tables_is_no_reason_to_pass() {
    for table in ["floor", "folder"] {
        let message = mistakes(&[(PAGE, &TABLES.replace(&format!("| {table} |"), "| other |"))]);
        assert!(message.contains(&format!("has no table of every {table}")), "{message}");
    }
}
