//! SQLite, whose tables take any name, type, collation and value.

use std::path::Path;

use anyhow::Result;
use cofferdam_tests::harness::command::{on, run};
use cofferdam_tests::harness::old::sqlite::{INDEXES, OWNERSHIPS, STATES, start};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::Home;
use rusqlite::{Connection, params};

use super::{States, assert_moves, assert_says, assert_works, json, migrate, refused, rows_of_made, states};

fn file(home: &Home) -> Connection {
    let Home::Sqlite(folder) = home else { unreachable!("a file") };
    Connection::open(folder.database()).expect("the file can be opened")
}

fn path(home: &Home) -> std::path::PathBuf {
    let Home::Sqlite(folder) = home else { unreachable!("a file") };
    folder.database()
}

/// A file with these tables and some rows in each.
fn made(statements: &str) -> Result<Home> {
    let home = Home::sqlite()?;
    let connection = file(&home);
    // As the old bot, whose driver does not enforce them either.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute_batch(statements)?;
    for (number, (channel, thread)) in [("AbC", None), ("other", Some("Thread")), ("\u{e9}", None)].iter().enumerate() {
        let number = i64::try_from(number)?;
        connection.execute(
            "INSERT INTO message_states (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
             updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![number + 7, channel, thread, format!("message {number}"), 100 + number, 200 + number, 300 + number],
        )?;
    }
    connection.execute_batch("INSERT INTO thread_ownerships VALUES (5, 'OwN', 'user', 'bot', 1, 2, 3)")?;
    Ok(home)
}

fn copy_of(home: &Home) -> Result<Home> {
    // Everything is in the file once its last connection is closed.
    Ok(Home::Sqlite(SqliteFolder::with_copy_of(&path(home))?))
}

fn contents(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the file can be read")
}

fn texts(home: &Home, query: &str) -> Vec<String> {
    let connection = file(home);
    let mut statement = connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<rusqlite::Result<_>>().expect("texts")
}

/// The schema and the rows of both tables.
fn everything(home: &Home) -> Vec<String> {
    let mut everything = texts(home, "SELECT type || name || coalesce(sql, '') FROM sqlite_schema ORDER BY 1");
    for table in ["message_states", "thread_ownerships"] {
        if everything.iter().any(|text| text.to_lowercase().starts_with(&format!("table{table}create table"))) {
            let columns = texts(home, &format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
            everything.extend(texts(home, &format!("SELECT {} FROM {table} ORDER BY 1", columns.join(" || "))));
        }
    }
    everything
}

/// What the old bot does at a start and for a message.
fn old_bot(home: &Home) -> Result<()> {
    let connection = file(home);
    connection.execute_batch(&start())?;
    let insert = "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, \
                  updated_at) VALUES (?, ?, ?, ?, ?, ?)";
    for thread in [None, Some("old")] {
        connection.execute(insert, params!["old bot", thread, "first", 1, 1, 1])?;
        let id: i64 = connection.query_row(
            "SELECT id FROM message_states WHERE channel_id = 'old bot' AND thread_id IS ?",
            [thread],
            |row| row.get(0),
        )?;
        connection.execute("UPDATE message_states SET last_message_id = 'second' WHERE id = ?", [id])?;
    }
    connection.execute(
        "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
         VALUES ('old bot', 'u', 'b', 9, 9, 9)",
        [],
    )?;
    drop(connection);
    assert_eq!(json(home, &["state", "get", "old bot"])["last_message_id"], "second");
    assert_eq!(json(home, &["state", "get", "old bot", "old"])["last_message_id"], "second");
    Ok(())
}

/// It is upgraded, keeps its rows, works, and is left alone by the next start; so it is where a build of before has recorded
/// version 2 for such tables.
fn assert_mended(statements: &str) -> Result<()> {
    let home = made(statements)?;
    assert_upgraded(&home, &rows_of_made())?;

    let recorded = made(statements)?;
    let step = include_str!("../../../../plugins/sqlite/src/schema/v2.sql");
    let archive = step.split(";\n").find(|text| text.contains("CREATE TABLE IF NOT EXISTS message_states_archive"));
    file(&recorded).execute_batch(&format!(
        "CREATE TABLE schema_versions (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL DEFAULT 0);
         INSERT INTO schema_versions VALUES (2, 5); {};
         CREATE UNIQUE INDEX IF NOT EXISTS uq_message_states_channel ON message_states (channel_id) WHERE thread_id IS NULL;",
        archive.expect("the archive's table")
    ))?;
    assert_upgraded(&recorded, &rows_of_made())?;
    assert_eq!(texts(&recorded, "SELECT version || ' at ' || applied_at FROM schema_versions"), ["2 at 5"]);
    Ok(())
}

fn assert_upgraded(home: &Home, rows: &States) -> Result<()> {
    let untouched = contents(&path(home));
    assert_moves(&copy_of(home)?, rows)?;
    let (_, stderr) = run(&mut on(home, &["state", "list"]), 1);
    assert!(stderr.contains("version 1 of 2"), "{stderr}");
    assert!(contents(&path(home)) == untouched, "looking changed the file");

    run(&mut on(home, &["check"]), 0);
    assert_eq!(&states(home), rows);
    assert_eq!(texts(home, "PRAGMA integrity_check"), ["ok"]);
    let schema = "SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY 1";
    let upgraded = texts(home, schema);
    assert!(upgraded.iter().all(|text| !text.contains("cofferdam_new")), "{upgraded:?}");
    run(&mut on(home, &["check"]), 0);
    assert_eq!(texts(home, schema), upgraded);
    assert_works(home)?;
    old_bot(home)
}

fn with(part: &str, instead: &str) -> String {
    let both = format!("{STATES};\n{OWNERSHIPS};");
    assert!(both.contains(part), "{part}");
    format!("{}{INDEXES}", both.replace(part, instead))
}

#[test]
fn other_collations_become_binary() -> Result<()> {
    for collation in ["NOCASE", "RTRIM", "\"nocase\""] {
        assert_mended(&with("_id TEXT", &format!("_id TEXT COLLATE {collation}")))?;
    }
    Ok(())
}

#[test]
fn a_key_with_another_collation_than_its_columns_gives_way() -> Result<()> {
    assert_mended(&with(
        "UNIQUE(channel_id, thread_id)",
        "UNIQUE(channel_id COLLATE NOCASE, thread_id COLLATE NOCASE)",
    ))?;
    assert_mended(&with(
        "updated_at INTEGER NOT NULL,\n    UNIQUE(channel_id, thread_id)\n);",
        "updated_at INTEGER NOT NULL\n);\nCREATE UNIQUE INDEX mine ON message_states (channel_id COLLATE NOCASE, thread_id);",
    ))
}

#[test]
fn numbers_that_are_not_the_rowid_become_it() -> Result<()> {
    for declared in [
        "id INT PRIMARY KEY",
        "id BIGINT PRIMARY KEY NOT NULL",
        "id INTEGER PRIMARY KEY DESC",
        "id INTEGER NOT NULL",
        "id INTEGER",
        "id INTEGER UNIQUE",
    ] {
        assert_mended(&with("id INTEGER PRIMARY KEY AUTOINCREMENT", declared))?;
    }
    let statements = with("id INTEGER PRIMARY KEY AUTOINCREMENT", "id INTEGER PRIMARY KEY");
    assert_mended(
        &statements
            .replace("\n)", "\n) WITHOUT ROWID")
            .replace("UNIQUE(channel_id, thread_id)", "UNIQUE(channel_id,thread_id)"),
    )
}

#[test]
fn rows_without_a_number_or_with_that_of_another_get_their_own() -> Result<()> {
    let home = made(&with("id INTEGER PRIMARY KEY AUTOINCREMENT", "id INT"))?;
    let insert =
        "INSERT INTO message_states (id, channel_id, last_message_id, last_seen_timestamp, created_at, updated_at)";
    for (id, channel) in [("NULL", "n1"), ("NULL", "n2"), ("7", "twice"), ("'text'", "t"), ("9000", "high")] {
        file(&home).execute_batch(&format!("{insert} VALUES ({id}, '{channel}', 'm', 1, 1, 1)"))?;
    }
    run(&mut on(&home, &["check"]), 0);
    assert_eq!(states(&home).len(), 8);
    let numbers = texts(&home, "SELECT channel_id || ' ' || id FROM message_states ORDER BY id");
    assert_eq!(numbers.len(), 8);
    assert!(numbers.contains(&"high 9000".to_owned()), "{numbers:?}");
    assert_eq!(texts(&home, "SELECT typeof(id) FROM message_states GROUP BY 1"), ["integer"]);
    assert_works(&home)
}

#[test]
fn what_should_not_be_null_or_has_no_key_is_bound() -> Result<()> {
    assert_mended(&with(" NOT NULL", ""))?;
    assert_mended(&with(",\n    UNIQUE(channel_id, thread_id)", ""))?;
    assert_mended(&with("TEXT NOT NULL UNIQUE", "TEXT NOT NULL"))?;
    assert_mended(&with("UNIQUE(channel_id, thread_id)", "UNIQUE(thread_id, channel_id)"))?;
    assert_mended(
        &with("channel_id TEXT NOT NULL", "channel_id TEXT COLLATE NOCASE NOT NULL").replace("\n)", "\n) STRICT"),
    )
}

#[test]
fn rules_for_conflicts_give_way_where_they_are_of_our_keys() -> Result<()> {
    for rule in ["REPLACE", "IGNORE", "ROLLBACK"] {
        assert_mended(&with(
            "UNIQUE(channel_id, thread_id)",
            &format!("UNIQUE(channel_id, thread_id)\n ON\tCONFLICT {rule}"),
        ))?;
        assert_mended(&with("NOT NULL UNIQUE", &format!("NOT NULL UNIQUE ON CONFLICT {rule}")))?;
        // One of somebody's own would drop a write, or the row of another key.
        let home = made(&with(
            "updated_at INTEGER NOT NULL,",
            &format!("updated_at INTEGER NOT NULL, note TEXT UNIQUE ON CONFLICT {rule},"),
        ))?;
        assert_refused(&home, &["message_states", "ON CONFLICT"]);
    }
    Ok(())
}

#[test]
fn names_in_another_case_are_the_same_tables() -> Result<()> {
    let statements = with("message_states", "\"Message_States\"").replace("thread_ownerships", "Thread_OWNERSHIPS");
    let home = made(&statements.replace("channel_id", "\"Channel_ID\""))?;
    assert_upgraded(&home, &rows_of_made())?;
    let nocase = made(&statements.replace("channel_id TEXT", "Channel_Id TEXT COLLATE nocase"))?;
    assert_upgraded(&nocase, &rows_of_made())
}

#[test]
fn what_else_a_table_has_is_kept() -> Result<()> {
    let statements = with("channel_id TEXT NOT NULL", "channel_id TEXT COLLATE NOCASE NOT NULL")
        .replace("last_seen_timestamp INTEGER NOT NULL", "last_seen_timestamp INTEGER NOT NULL DEFAULT (1 + 2)")
        .replace(
            "updated_at INTEGER NOT NULL,",
            "updated_at INTEGER NOT NULL, -- seconds, not (, or )
    \"my note, (old)\" TEXT DEFAULT 'a,b)' CHECK (length(\"my note, (old)\") < 20),
    doubled INT AS (last_seen_timestamp * 2),
    CHECK (created_at >= 0),",
        );
    let home = made(&format!(
        "{statements}
        CREATE TABLE log (what TEXT);
        CREATE INDEX mine ON message_states (\"my note, (old)\") WHERE created_at > 1;
        CREATE VIEW seen AS SELECT channel_id, doubled FROM message_states;
        CREATE VIEW broken AS SELECT * FROM gone;
        CREATE TRIGGER logs AFTER UPDATE ON message_states BEGIN INSERT INTO log VALUES (new.channel_id); END;
        CREATE TRIGGER deletes AFTER DELETE ON message_states BEGIN INSERT INTO log VALUES ('deleted'); END;
        CREATE TRIGGER elsewhere AFTER INSERT ON log BEGIN UPDATE message_states SET \"my note, (old)\" = 'x' WHERE 0; END;
        CREATE TRIGGER instead INSTEAD OF DELETE ON seen BEGIN SELECT 1; END;"
    ))?;
    let insert = "INSERT INTO message_states (id, channel_id, last_message_id, last_seen_timestamp, created_at, updated_at, \
                  \"my note, (old)\") VALUES";
    file(&home)
        .execute_batch(&format!("{insert} (50, 'twice', 'old', 1, 1, 1, 'o'), (51, 'twice', 'new', 1, 1, 2, 'n')"))?;
    let report = json(&home, &["check"]);
    let remarks = report["remarks"].to_string();
    for part in ["trigger logs", "CHECK"] {
        assert!(remarks.contains(part), "no {part} in {remarks}");
    }
    assert_eq!(
        texts(&home, "SELECT \"my note, (old)\" FROM message_states ORDER BY id"),
        ["a,b)", "a,b)", "a,b)", "n"]
    );
    assert_eq!(texts(&home, "SELECT last_message_id FROM message_states_archive"), ["old"]);
    let of_others = "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE '%message_states%' \
                     AND name NOT LIKE '%thread_ownerships%' AND name NOT LIKE 'sqlite%' ORDER BY 1";
    let kept =
        ["index mine", "table log", "table schema_versions", "trigger deletes", "trigger elsewhere", "trigger instead"];
    assert_eq!(texts(&home, of_others), [&kept[..], &["trigger logs", "view broken", "view seen"]].concat());
    assert_eq!(texts(&home, "SELECT what FROM log"), Vec::<String>::new(), "the upgrade is no write");
    run(&mut on(&home, &["state", "put", "AbC", "--message", "m"]), 0);
    assert_eq!(texts(&home, "SELECT what FROM log"), ["AbC"]);
    assert_eq!(texts(&home, "SELECT doubled || '' FROM seen WHERE channel_id = 'twice'"), ["2"]);
    assert!(file(&home).execute_batch("UPDATE message_states SET created_at = -1").is_err(), "the check is gone");
    assert_works(&home)
}

#[test]
fn names_of_indexes_that_are_taken_leave_no_key_out() -> Result<()> {
    let taken = "CREATE TABLE log (what TEXT);
        CREATE INDEX uq_message_states_channel ON log (what);
        CREATE INDEX idx_message_states_timestamp ON log (what);
        CREATE INDEX IDX_thread_ownerships_creation_time ON log (what);
        CREATE INDEX idx_message_states_channel_thread ON log (what);
        CREATE INDEX idx_thread_ownerships_thread_id ON log (what);";
    let home = made(&format!("{STATES};{OWNERSHIPS};{taken}"))?;
    assert_upgraded(&home, &rows_of_made())?;
    assert_eq!(
        texts(&home, "SELECT count(*) || '' FROM sqlite_schema WHERE tbl_name = 'log' AND type = 'index'"),
        ["5"]
    );

    // Of ours, with another meaning.
    let other = "CREATE INDEX uq_message_states_channel ON message_states (updated_at);
        CREATE UNIQUE INDEX idx_message_states_channel_thread ON message_states (id, channel_id);";
    assert_upgraded(&made(&format!("{STATES};{OWNERSHIPS};{other}"))?, &rows_of_made())?;
    let other = "CREATE UNIQUE INDEX uq_message_states_channel ON message_states (channel_id COLLATE NOCASE) WHERE thread_id IS NULL;";
    assert_upgraded(&made(&format!("{STATES};{OWNERSHIPS};{other}"))?, &rows_of_made())?;

    // As an older build left it: version 2 is recorded, and its key is not there.
    let home = made(&format!("{STATES};{OWNERSHIPS};{INDEXES}"))?;
    run(&mut on(&home, &["check"]), 0);
    file(&home).execute_batch("DROP INDEX uq_message_states_channel; CREATE INDEX uq_message_states_channel ON schema_versions (version);
        INSERT INTO message_states (channel_id, last_message_id, last_seen_timestamp, created_at, updated_at) VALUES ('AbC', 'newer', 1, 2, 1000)")?;
    run(&mut on(&home, &["check"]), 0);
    assert_eq!(json(&home, &["state", "get", "AbC"])["last_message_id"], "newer");
    assert_eq!(texts(&home, "SELECT last_message_id FROM message_states_archive"), ["message 0"]);
    assert_works(&home)
}

#[test]
fn tables_of_others_that_refer_to_ours_lose_nothing_and_stop_nothing() -> Result<()> {
    for collation in ["", " COLLATE NOCASE"] {
        for key in ["INTEGER REFERENCES message_states", "INTEGER REFERENCES message_states(id) ON DELETE CASCADE"] {
            let statements = with("channel_id TEXT", &format!("channel_id TEXT{collation}"));
            let home = made(&format!(
                "{statements} CREATE TABLE notes (state {key});
                 CREATE TABLE of_channels (channel TEXT REFERENCES message_states(channel_id) ON DELETE CASCADE);
                 CREATE TABLE of_threads (thread TEXT REFERENCES Thread_Ownerships(thread_id) ON DELETE SET NULL);
                 INSERT INTO notes VALUES (7), (60), (61), (999); INSERT INTO of_channels VALUES ('AbC'), ('nowhere');
                 INSERT INTO of_threads VALUES ('OwN'), ('nowhere');"
            ))?;
            file(&home).execute_batch(
                "PRAGMA foreign_keys = OFF;
                 INSERT INTO message_states (id, channel_id, last_message_id, last_seen_timestamp, created_at, updated_at)
                 VALUES (60, 'twice', 'old', 1, 1, 1), (61, 'twice', 'new', 1, 1, 2)",
            )?;
            let report = json(&home, &["check"]);
            assert!(report["remarks"].to_string().contains("foreign keys of table notes"), "{report}");
            assert_works(&home)?;
            assert_eq!(texts(&home, "SELECT state || '' FROM notes ORDER BY state"), ["7", "60", "61", "999"]);
            assert_eq!(texts(&home, "SELECT channel FROM of_channels ORDER BY 1"), ["AbC", "nowhere"]);
            assert_eq!(texts(&home, "SELECT coalesce(thread, 'null') FROM of_threads ORDER BY 1"), ["OwN", "nowhere"]);
            assert_eq!(texts(&home, "SELECT last_message_id FROM message_states_archive"), ["old"]);
            migrate(&made(&with(" NOT NULL", ""))?, &home, &["--execute"], 0);
        }
    }
    Ok(())
}

#[test]
fn a_file_in_utf_16_is_moved_and_not_written() -> Result<()> {
    for encoding in ["UTF-16le", "UTF-16be"] {
        let home = made(&format!("PRAGMA encoding = '{encoding}'; {STATES};{OWNERSHIPS};{INDEXES}"))?;
        let mut expected = rows_of_made();
        for channel in ["a", "\u{100}", "ab", "\u{ffee}", "\u{1f980}", "b", "a\u{100}"] {
            file(&home).execute(
                "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) \
                 VALUES (?1, ?1, ?1, 1, 1, 1)",
                [channel],
            )?;
            expected.push((channel.to_owned(), Some(channel.to_owned()), channel.to_owned(), [1, 1, 1]));
        }
        expected.sort();
        let before = contents(&path(&home));
        for arguments in
            [&["check"][..], &["state", "list"], &["export", "x"], &["state", "put", "c", "--message", "m"]]
        {
            refused(
                &mut on(&home, arguments),
                &[encoding, "cofferdam migrate --from sqlite:FILE --to sqlite:NEW --execute"],
            );
        }
        let source = Home::sqlite()?;
        file(&source).execute_batch(&format!("{STATES};{OWNERSHIPS};"))?;
        let (plan, _) = migrate(&source, &home, &[], 0);
        assert!(plan.contains(encoding), "{plan}");
        assert!(contents(&path(&home)) == before, "it was written");
        assert_moves(&home, &expected)?;
    }
    Ok(())
}

/// Nothing uses it, and nothing of it is changed.
fn assert_refused(home: &Home, parts: &[&str]) {
    let before = everything(home);
    for _ in 0..2 {
        refused(&mut on(home, &["check"]), parts);
        for arguments in [&["state", "list"][..], &["state", "put", "c", "--message", "m"]] {
            let (_, stderr) = run(&mut on(home, arguments), 1);
            // What could be mended but for what is of others has the version before.
            assert!(stderr.contains("schema-mismatch") || stderr.contains("version 1 of 2"), "{stderr}");
        }
    }
    assert_eq!(everything(home), before, "it was written");
}

#[test]
fn what_cannot_be_mended_is_refused_by_name() -> Result<()> {
    let both = format!("{STATES};{OWNERSHIPS};{INDEXES}");
    let cases: [(String, &[&str]); 8] = [
        (with("updated_at INTEGER NOT NULL", "updated_at TEXT NOT NULL"), &["updated_at", "message_states", "a text"]),
        (with("channel_id TEXT", "channel_id BLOB"), &["channel_id", "of another type"]),
        (
            format!(
                "{both} CREATE TRIGGER drops BEFORE INSERT ON message_states WHEN new.channel_id = 'x' BEGIN SELECT RAISE ( IGNORE ); END"
            ),
            &["trigger drops", "RAISE(IGNORE)"],
        ),
        (
            format!(
                "{both} CREATE TRIGGER fails AFTER UPDATE ON message_states WHEN new.channel_id = 'x' BEGIN SELECT unheard_of(1); END"
            ),
            &["message_states", "unheard_of"],
        ),
        (
            with("channel_id TEXT NOT NULL", "channel_id TEXT COLLATE NOCASE NOT NULL CHECK (channel_id <> '')"),
            &["channel_id", "CHECK", "would be lost"],
        ),
        (
            with("id INTEGER PRIMARY KEY AUTOINCREMENT,", "id INTEGER, mine INTEGER PRIMARY KEY,"),
            &["another primary key", "mine"],
        ),
        (
            with("updated_at INTEGER NOT NULL", "updated_at INTEGER NOT NULL, author TEXT NOT NULL"),
            &["author", "no default"],
        ),
        (format!("{both} CREATE VIEW Schema_Versions AS SELECT 1 AS version"), &["schema_versions", "a view"]),
    ];
    for (statements, parts) in cases {
        let home = Home::sqlite()?;
        file(&home).execute_batch(&statements)?;
        assert_refused(&home, parts);
    }
    Ok(())
}

#[test]
fn what_is_no_table_is_refused_and_not_taken_for_an_empty_one() -> Result<()> {
    let cases = [
        (
            format!(
                "{} ; {OWNERSHIPS}; CREATE VIEW message_states AS SELECT * FROM mine",
                STATES.replace("message_states", "mine")
            ),
            "a view",
        ),
        (format!("CREATE VIRTUAL TABLE Message_States USING rtree(id, a, b); {OWNERSHIPS}"), "a virtual table"),
        (format!("{OWNERSHIPS}; CREATE INDEX message_states ON thread_ownerships (id)"), "an index"),
        (with("updated_at INTEGER NOT NULL", "updated_at INTEGER NOT NULL AS (created_at)"), "computed"),
    ];
    for (statements, part) in cases {
        let home = Home::sqlite()?;
        file(&home).execute_batch(&statements)?;
        assert_refused(&home, &["message_states", part]);
        assert_says(&migrate(&home, &Home::sqlite()?, &["--execute"], 1).1, &["message_states", part]);
    }
    Ok(())
}

#[test]
fn rows_that_stand_against_a_mending_are_not_lost() -> Result<()> {
    let insert = "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) VALUES";
    for (statements, rows, part) in [
        (with(" NOT NULL", ""), "(NULL, NULL, 'm', 1, 1, 1)", "channel_id"),
        (
            with(",\n    UNIQUE(channel_id, thread_id)", ""),
            "('c', 't', 'm', 1, 1, 1), ('c', 't', 'n', 1, 1, 1)",
            "thread_id",
        ),
    ] {
        let home = made(&statements)?;
        file(&home).execute_batch(&format!("{insert} {rows}"))?;
        let before = everything(&home);
        refused(&mut on(&home, &["check"]), &["message_states", part]);
        assert_eq!(everything(&home), before, "it was written");
    }
    Ok(())
}

#[test]
fn further_unique_keys_are_told() -> Result<()> {
    let home =
        made(&format!("{STATES};{OWNERSHIPS};{INDEXES} CREATE UNIQUE INDEX mine ON message_states (last_message_id)"))?;
    let report = json(&home, &["check"]);
    assert!(report["remarks"].to_string().contains("unique key mine of table message_states"), "{report}");
    Ok(())
}
