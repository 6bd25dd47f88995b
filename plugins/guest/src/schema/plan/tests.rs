use super::super::actual::Column;
use super::*;

const THREADLESS: &str = "channel_id where thread_id is null";

/// A database with these tables as they should be.
fn database(tables: &[Table], recorded: Option<u32>) -> Actual {
    let mut actual = Actual { recorded, ..Actual::default() };
    for table in tables {
        for (name, family, nullable) in table.columns {
            add(&mut actual, table.name, name, *family, *nullable != No, true);
        }
        for key in table.unique_keys {
            actual.unique_keys.push(key_of(table.name, key));
        }
    }
    if recorded.is_some() {
        add(&mut actual, "schema_versions", "version", Integer, false, true);
    }
    if recorded >= Some(2) {
        actual.unique_keys.push(key_of("message_states", THREADLESS));
    }
    actual
}

fn key_of(table: &str, columns: &str) -> Key {
    Key { table: table.to_owned(), name: "k".to_owned(), columns: columns.to_owned() }
}

fn add(actual: &mut Actual, table: &str, name: &str, family: Family, nullable: bool, optional: bool) {
    let (table, name) = (table.to_owned(), name.to_owned());
    actual.columns.push(Column { table, name, family, nullable, optional, fills: false });
}

fn plan(actual: &Actual) -> Result<Plan> {
    super::plan(actual, 2, THREADLESS)
}

fn from(version: u32) -> Plan {
    Plan::Upgrade(Work { from: version, mends: Vec::new() })
}

/// What is to be mended of the first table.
fn mend(actual: &Actual) -> Mend {
    match plan(actual) {
        Ok(Plan::Upgrade(Work { from: 1, mends })) => mends.into_iter().next().expect("something is to be mended"),
        other => panic!("{other:?}"),
    }
}

fn message(actual: &Actual) -> String {
    match plan(actual) {
        Err(Failure::Own(error)) if error.kind == ErrorKind::SchemaMismatch => error.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_version_0_and_both_tables_are_version_1() {
    for recorded in [None, Some(1)] {
        let plan_of = |tables: &[Table]| plan(&database(tables, recorded)).unwrap();
        assert_eq!(plan_of(&[]), from(0));
        assert_eq!(plan_of(&[MESSAGE_STATES]), from(0));
        assert_eq!(plan_of(&[THREAD_OWNERSHIPS]), from(0));
        assert_eq!(plan_of(&[MESSAGE_STATES, THREAD_OWNERSHIPS]), from(1));
        assert_eq!(plan_of(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE]), from(1));
    }
    assert_eq!(database(&[], None).version(), None);
    assert_eq!(database(&[MESSAGE_STATES], None).version(), Some(1));
    assert_eq!(database(&[MESSAGE_STATES], Some(2)).version(), Some(2));
}

#[test]
fn a_complete_version_2_is_current() {
    let complete = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
    assert_eq!(plan(&complete).unwrap(), Plan::Current);
}

#[test]
fn what_is_missing_from_version_2_is_named() {
    assert!(message(&database(&[MESSAGE_STATES, ARCHIVE], Some(2))).starts_with("table thread_ownerships is missing"));
    assert!(message(&database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], Some(2))).contains("message_states_archive"));
}

#[test]
fn what_a_recorded_version_lacks_is_done_again() {
    let good = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
    let mut database = good.clone();
    database.unique_keys.retain(|key| key.columns != THREADLESS);
    assert_eq!(plan(&database).unwrap(), from(1));
    let mut database = good.clone();
    database.differences.push(difference(Grade::Mend));
    assert_eq!(mend(&database).reasons, ["is odd"]);
}

fn difference(grade: Grade) -> Difference {
    Difference { table: "message_states".to_owned(), grade, what: "is odd".to_owned() }
}

#[test]
fn what_cannot_be_used_or_changed_is_refused_by_its_grade() {
    let current = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
    let older = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], None);
    for grade in [Grade::Refused, Grade::Unwritable, Grade::Unordered, Grade::Fixed] {
        for (database, is_current) in [(&current, true), (&older, false)] {
            let mut database = database.clone();
            database.differences.push(difference(grade));
            assert_eq!(readable(&database, 2).is_ok(), grade != Grade::Refused, "{grade:?}");
            if grade == Grade::Fixed && is_current {
                assert_eq!(plan(&database).unwrap(), Plan::Current);
            } else {
                assert_eq!(message(&database), "table message_states is odd", "{grade:?}");
            }
        }
    }
}

#[test]
fn a_key_that_tells_fewer_values_apart_gives_way_to_ours() {
    for columns in ["channel_id(191),thread_id", "channel_id collate nocase,thread_id collate nocase"] {
        let mut database = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], None);
        database.unique_keys[0].columns = columns.to_owned();
        let found = mend(&database);
        assert_eq!((&found.lacks[..], &found.drops[..]), (&["channel_id,thread_id"][..], &["k".to_owned()][..]));
    }
    let blurred = key_of("message_states", "channel_id collate nocase where thread_id is null");
    assert!(blurred.blurs(THREADLESS) && !blurred.blurs("channel_id"));
}

#[test]
fn keys_of_others_are_told_where_rows_of_ours_can_collide() {
    let told = |columns: &str| {
        let mut database = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS, ARCHIVE], Some(2));
        add(&mut database, "message_states", "note", Text, true, true);
        database.unique_keys.push(key_of("message_states", columns));
        assert_eq!(plan(&database).unwrap(), Plan::Current, "{columns}");
        !remarks(&database, THREADLESS).is_empty()
    };
    for columns in ["id", "thread_id,channel_id", "channel_id,thread_id,last_message_id", "note", "note,created_at"] {
        assert!(!told(columns), "{columns}");
    }
    for columns in ["last_message_id", "channel_id", "(an expression)", "channel_id,last_message_id"] {
        assert!(told(columns), "{columns}");
    }
}

#[test]
fn a_newer_version_is_refused_whatever_its_tables_are() {
    assert_eq!(
        message(&database(&[], Some(3))),
        "the database has schema version 3, this backend knows 2: use a newer backend"
    );
}

#[test]
fn a_table_that_is_not_what_it_should_be_is_named_with_its_column() {
    let good = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], None);

    let mut database = good.clone();
    database.columns.retain(|column| column.name != "last_message_id");
    assert!(message(&database).starts_with("table message_states has no column last_message_id"));

    let mut database = good.clone();
    database.columns[4].family = Text;
    assert!(message(&database).starts_with("column last_seen_timestamp of message_states is a text, not an integer"));
}

#[test]
fn a_table_that_can_be_made_what_it_should_be_is_mended() {
    let good = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], None);

    let mut database = good.clone();
    database.columns[1].nullable = true;
    assert_eq!(mend(&database).reasons, ["allows null in column channel_id"]);

    let mut database = good.clone();
    database.columns[2].nullable = false;
    assert_eq!(mend(&database).reasons, ["does not allow null in column thread_id"]);

    let mut database = good.clone();
    database.unique_keys.retain(|key| key.table != "thread_ownerships");
    let found = mend(&database);
    assert_eq!((found.table, &found.lacks[..]), ("thread_ownerships", &["thread_id"][..]));
}

#[test]
fn a_foreign_column_is_refused_only_where_it_must_be_given() {
    let mut database = database(&[MESSAGE_STATES, THREAD_OWNERSHIPS], Some(1));
    add(&mut database, "message_states", "note", Text, true, true);
    add(&mut database, "schema_versions", "applied_at", Family::Temporal, false, false);
    assert_eq!(plan(&database).unwrap(), from(1));
    add(&mut database, "schema_versions", "author", Text, false, false);
    assert!(message(&database).starts_with("column author of schema_versions is unknown"));
}

#[test]
fn a_table_of_versions_without_a_number_is_refused() {
    let mut database = database(&[], None);
    add(&mut database, "schema_versions", "name", Text, true, true);
    assert!(message(&database).starts_with("table schema_versions has no column version"));
    add(&mut database, "schema_versions", "version", Text, false, true);
    assert!(message(&database).starts_with("column version of schema_versions is not an integer"));
}
