//! MySQL and MariaDB, whose tables have engines, types and keys of any kind.

use anyhow::{Context, Result};
use cofferdam_tests::harness::command::{on, run};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::old::mysql::{OWNERSHIPS, STATES, start};
use cofferdam_tests::harness::storage::Home;
use mysql_async::prelude::{FromRow, Queryable};

use super::{assert_moves, assert_says, assert_works, json, migrate, refused, rows_of_made, states};

const INTO_STATES: &str = "INSERT INTO message_states (id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at) VALUES";

async fn database() -> Result<Home> {
    let options = DatabaseOptions { charset: Some("utf8mb4"), collation: Some("utf8mb4_general_ci") };
    Ok(Home::Mysql(MysqlServer::shared().await?.create_database(options).await?))
}

async fn execute<T: AsRef<str>>(home: &Home, statements: &[T]) -> Result<()> {
    let Home::Mysql(database) = home else { unreachable!("a server") };
    let mut connection = database.connect().await?;
    for text in statements {
        connection.query_drop(text.as_ref()).await.with_context(|| text.as_ref().to_owned())?;
    }
    Ok(connection.disconnect().await?)
}

async fn query<T: FromRow + Send + 'static>(home: &Home, text: &str) -> Result<Vec<T>> {
    let Home::Mysql(database) = home else { unreachable!("a server") };
    let mut connection = database.connect().await?;
    let rows = connection.query(text).await?;
    connection.disconnect().await?;
    Ok(rows)
}

/// A database with these tables and some rows in each.
async fn made(statements: &[String]) -> Result<Home> {
    let home = database().await?;
    execute(&home, statements).await?;
    execute(
        &home,
        &[
            &format!(
                "{INTO_STATES} (7, 'AbC', NULL, 'message 0', 100, 200, 300), (8, 'other', 'Thread', 'message 1', 101, 201, 301), \
                 (9, '\u{e9}', NULL, 'message 2', 102, 202, 302)"
            ),
            "INSERT INTO thread_ownerships (id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
             VALUES (5, 'OwN', 'user', 'bot', 1, 2, 3)",
        ],
    )
    .await?;
    Ok(home)
}

/// The old bot's tables with changes.
fn with(changes: &[(&str, &str)]) -> Vec<String> {
    let mut both = [STATES.to_owned(), OWNERSHIPS.to_owned()];
    for (part, instead) in changes {
        assert!(both.iter().any(|text| text.contains(part)), "{part}");
        both = both.map(|text| text.replace(part, instead));
    }
    both.to_vec()
}

/// The definition and the rows of every table, as text.
async fn contents(home: &Home) -> Result<Vec<String>> {
    let mut contents = Vec::new();
    for (table, kind) in query::<(String, String)>(home, "SHOW FULL TABLES").await? {
        contents.push(format!("{table} {kind}"));
        if kind == "BASE TABLE" {
            let defined: Vec<(String, String)> = query(home, &format!("SHOW CREATE TABLE {table}")).await?;
            contents.push(defined[0].1.clone());
            let rows: Vec<mysql_async::Row> = query(home, &format!("SELECT * FROM {table} ORDER BY 1")).await?;
            contents.extend(rows.into_iter().map(|row| format!("{:?}", row.unwrap())));
        }
    }
    Ok(contents)
}

/// What the old bot does at a start and for a message.
async fn old_bot(home: &Home) -> Result<()> {
    execute(home, &start()).await?;
    let insert = "INSERT INTO message_states (channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at)";
    execute(
        home,
        &[
            &format!("{insert} VALUES ('old bot', NULL, 'first', 1, 1, 1), ('old bot', 'old', 'first', 1, 1, 1)"),
            "UPDATE message_states SET last_message_id = 'second' WHERE channel_id = 'old bot'",
            "INSERT INTO thread_ownerships (thread_id, original_user_id, created_by, creation_time, created_at, updated_at) \
             VALUES ('old bot', 'u', 'b', 9, 9, 9)",
        ],
    )
    .await?;
    assert_eq!(json(home, &["state", "get", "old bot"])["last_message_id"], "second");
    assert_eq!(json(home, &["state", "get", "old bot", "old"])["last_message_id"], "second");
    Ok(())
}

async fn assert_upgraded(home: &Home) -> Result<()> {
    let rows = rows_of_made();
    assert_moves(home, &rows)?;
    let (_, stderr) = run(&mut on(home, &["state", "list"]), 1);
    assert!(stderr.contains("version 1 of 2"), "{stderr}");
    run(&mut on(home, &["check"]), 0);
    assert_eq!(states(home), rows);
    let upgraded = contents(home).await?;
    run(&mut on(home, &["check"]), 0);
    assert_eq!(contents(home).await?, upgraded, "a second start changed something");
    // Nothing but the shape of a text can be lost: any of 255 characters fits.
    let longest = "\u{1f980}".repeat(255);
    run(&mut on(home, &["state", "put", &longest, &longest, "--message", &longest]), 0);
    assert_eq!(json(home, &["state", "get", &longest, &longest])["last_message_id"], longest.as_str());
    execute(home, &["DELETE FROM message_states WHERE CHAR_LENGTH(channel_id) = 255"]).await?;
    assert_works(home)?;
    old_bot(home).await
}

/// It is upgraded, keeps its rows and works; so it is where a build of before has recorded version 2 for such tables.
async fn assert_mended(statements: &[String]) -> Result<()> {
    assert_upgraded(&made(statements).await?).await?;
    let recorded = made(statements).await?;
    execute(
        &recorded,
        &[
            "CREATE TABLE schema_versions (version INT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL DEFAULT 0)",
            "INSERT INTO schema_versions VALUES (2, 5)",
            "CREATE TABLE message_states_archive (id BIGINT NOT NULL PRIMARY KEY, channel_id VARCHAR(255) NOT NULL, thread_id \
             VARCHAR(255) NULL, last_message_id VARCHAR(255) NOT NULL, last_seen_timestamp BIGINT NOT NULL, created_at BIGINT NOT \
             NULL, updated_at BIGINT NOT NULL, archived_at BIGINT NOT NULL)",
            "ALTER TABLE message_states ADD COLUMN threadless TINYINT GENERATED ALWAYS AS (IF(thread_id IS NULL, 1, NULL)) VIRTUAL",
        ],
    )
    .await?;
    assert_upgraded(&recorded).await
}

#[tokio::test(flavor = "multi_thread")]
async fn narrow_and_padding_columns_are_widened() -> Result<()> {
    assert_mended(&with(&[
        ("channel_id VARCHAR(255)", "channel_id CHAR(64)"),
        ("thread_id VARCHAR(255)", "thread_id CHAR(64)"),
    ]))
    .await?;
    assert_mended(&with(&[("VARCHAR(255)", "VARCHAR(32)"), ("BIGINT NOT NULL", "INT NOT NULL")])).await?;
    assert_mended(&with(&[("last_message_id VARCHAR(255)", "last_message_id TINYTEXT"), ("BIGINT", "BIGINT UNSIGNED")]))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_counted_up_by_the_server_and_have_room() -> Result<()> {
    for declared in [
        "id TINYINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY",
        "id BIGINT NOT NULL PRIMARY KEY",
        "id BIGINT NOT NULL",
        "id BIGINT NULL",
        "id BIGINT NOT NULL AUTO_INCREMENT KEY, mine BIGINT INVISIBLE DEFAULT 4, tag VARCHAR(10) NOT NULL DEFAULT 'x'",
    ] {
        assert_mended(&with(&[("id BIGINT AUTO_INCREMENT PRIMARY KEY", declared)])).await?;
    }
    let home =
        made(&with(&[("id BIGINT AUTO_INCREMENT PRIMARY KEY", "id TINYINT AUTO_INCREMENT PRIMARY KEY")])).await?;
    run(&mut on(&home, &["check"]), 0);
    let storage = home.open().await?;
    for number in 0..200 {
        let state = cofferdam::MessageState::new("one", None, &*number.to_string(), 1);
        cofferdam::StorageService::upsert_message_state(&*storage, &state).await?;
    }
    cofferdam::StorageService::close(&*storage).await?;
    assert_works(&home)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_over_prefixes_and_missing_keys_become_ours() -> Result<()> {
    assert_mended(&with(&[
        ("thread_id VARCHAR(255)", "thread_id TEXT"),
        ("channel_id VARCHAR(255)", "channel_id TEXT"),
        (
            "UNIQUE KEY unique_channel_thread (channel_id, thread_id)",
            "UNIQUE KEY unique_channel_thread (channel_id(64), thread_id(64))",
        ),
        (
            "idx_message_states_channel_thread (channel_id, thread_id)",
            "idx_message_states_channel_thread (channel_id(64))",
        ),
        ("TEXT NOT NULL UNIQUE", "TEXT NOT NULL, UNIQUE KEY mine (thread_id(64))"),
        ("idx_thread_ownerships_thread_id (thread_id)", "idx_thread_ownerships_thread_id (thread_id(64))"),
    ]))
    .await?;
    assert_mended(&with(&[("UNIQUE KEY unique_channel_thread (channel_id, thread_id),", ""), (" UNIQUE,", ",")]))
        .await?;
    assert_mended(&with(&[(" NOT NULL", ""), ("PRIMARY KEY", "NOT NULL PRIMARY KEY")])).await?;
    assert_mended(&with(&[("idx_message_states_channel_thread", "uq_message_states_channel")])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_engines_give_way_to_innodb() -> Result<()> {
    let made_by = |engine: &str| with(&[("\n)", &format!("\n) ENGINE={engine}")), ("VARCHAR(255)", "VARCHAR(100)")]);
    let engines: Vec<String> = query(&database().await?, "SELECT engine FROM information_schema.engines").await?;
    // Aria is MariaDB's alone.
    let known = |engine: &&str| engines.iter().any(|known| known == engine.split(' ').next().unwrap_or_default());
    for engine in ["MyISAM", "Aria", "InnoDB ROW_FORMAT=COMPACT"].iter().filter(|engine| known(engine)) {
        assert_mended(&made_by(engine)).await?;
    }
    // It takes no column of version 2.
    assert_upgraded(&made(&made_by("MEMORY")).await?).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_is_used_as_it_is() -> Result<()> {
    let statements = with(&[
        (
            "id BIGINT AUTO_INCREMENT PRIMARY KEY,\n    channel_id VARCHAR(255) NOT NULL",
            "id BIGINT AUTO_INCREMENT,\n    channel_id VARCHAR(255) NOT NULL, PRIMARY KEY (id, channel_id)",
        ),
        ("(last_seen_timestamp)\n)", "(last_seen_timestamp)\n) PARTITION BY KEY (channel_id) PARTITIONS 4"),
    ]);
    assert_mended(&statements).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_a_table_has_is_kept_and_told() -> Result<()> {
    let states = STATES.replace(
        "updated_at BIGINT NOT NULL,",
        "updated_at BIGINT NOT NULL, note VARCHAR(20) DEFAULT 'n', CONSTRAINT positive CHECK (created_at >= 0),",
    );
    let home = made(&[
        states,
        OWNERSHIPS.to_owned(),
        "CREATE TABLE log (what VARCHAR(255))".to_owned(),
        "CREATE TABLE notes (state BIGINT, FOREIGN KEY of_state (state) REFERENCES message_states (id) ON DELETE CASCADE)"
            .to_owned(),
        "CREATE TRIGGER logs AFTER UPDATE ON message_states FOR EACH ROW INSERT INTO log VALUES (NEW.last_message_id)"
            .to_owned(),
    ])
    .await?;
    execute(&home, &["INSERT INTO notes VALUES (7)"]).await?;
    let report = json(&home, &["check"])["remarks"].to_string();
    for part in ["trigger logs", "constraint positive", "foreign key", "of table notes"] {
        assert!(report.contains(part), "no {part} in {report}");
    }
    assert_eq!(query::<String>(&home, "SELECT note FROM message_states").await?, ["n"; 3]);
    run(&mut on(&home, &["state", "put", "AbC", "--message", "logged"]), 0);
    assert_eq!(query::<String>(&home, "SELECT what FROM log").await?, ["logged"]);
    assert_works(&home)?;
    assert_eq!(query::<i64>(&home, "SELECT state FROM notes").await?, [7]);
    execute(&home, &["CREATE UNIQUE INDEX mine ON message_states (last_message_id, created_at)"]).await?;
    assert!(json(&home, &["check"])["remarks"].to_string().contains("unique key mine"));
    Ok(())
}

/// Nothing uses it, each says why, and nothing is changed.
async fn assert_refused(home: &Home, parts: &[&str]) -> Result<()> {
    let before = contents(home).await?;
    for arguments in [&["check"][..], &["state", "list"], &["state", "put", "c", "--message", "m"], &["check"]] {
        refused(&mut on(home, arguments), parts);
    }
    assert_eq!(contents(home).await?, before, "something was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_mended_is_refused_by_name() -> Result<()> {
    let child = |columns: &str| format!("CREATE TABLE notes ({columns})");
    let cases: [(Vec<String>, &[&str]); 5] = [
        (with(&[("updated_at BIGINT", "updated_at TIMESTAMP")]), &["updated_at", "message_states", "a date and time"]),
        (with(&[("channel_id VARCHAR(255)", "channel_id VARBINARY(255)")]), &["channel_id", "of another type"]),
        (
            with(&[(
                "updated_at BIGINT NOT NULL,\n    UNIQUE",
                "updated_at BIGINT NOT NULL, threadless INT DEFAULT 1,\n    UNIQUE",
            )]),
            &["threadless"],
        ),
        (
            with(&[(
                "updated_at BIGINT NOT NULL,\n    UNIQUE",
                "updated_at BIGINT NOT NULL, author INT NOT NULL,\n    UNIQUE",
            )]),
            &["author", "no default"],
        ),
        (
            [with(&[]), vec!["CREATE VIEW schema_versions AS SELECT 1 AS version".to_owned()]].concat(),
            &["schema_versions", "a view"],
        ),
    ];
    for (statements, parts) in cases {
        let home = database().await?;
        execute(&home, &statements).await?;
        assert_refused(&home, parts).await?;
    }
    // A key of somebody's own that the change of a column would break, and one that an archived row would.
    let home = made(
        &[
            with(&[]),
            vec![child(
                "channel VARCHAR(255), CONSTRAINT mine FOREIGN KEY (channel) REFERENCES message_states (channel_id)",
            )],
        ]
        .concat(),
    )
    .await?;
    let before = contents(&home).await?;
    refused(&mut on(&home, &["check"]), &["message_states", "foreign key mine of table notes"]);
    assert_eq!(contents(&home).await?, before, "something was changed");
    for action in ["RESTRICT", "CASCADE"] {
        let key = format!(
            "state BIGINT, CONSTRAINT mine FOREIGN KEY (state) REFERENCES message_states (id) ON DELETE {action}"
        );
        let home = made(&[with(&[]), vec![child(&key)]].concat()).await?;
        execute(
            &home,
            &[
                &format!("{INTO_STATES} (70, 'twice', NULL, 'a', 1, 1, 1), (71, 'twice', NULL, 'b', 1, 1, 2)"),
                "INSERT INTO notes VALUES (70)",
            ],
        )
        .await?;
        let before = contents(&home).await?;
        refused(&mut on(&home, &["check"]), &["message_states", "foreign key mine of table notes"]);
        assert_eq!(contents(&home).await?, before, "something was changed");
        execute(&home, &["ALTER TABLE notes DROP FOREIGN KEY mine"]).await?;
        run(&mut on(&home, &["check"]), 0);
        assert_works(&home)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_table_is_refused_and_not_taken_for_an_empty_one() -> Result<()> {
    let is_mariadb = query::<String>(&database().await?, "SELECT VERSION()").await?[0].contains("MariaDB");
    let mut cases = vec![
        (
            vec![
                STATES.replace("message_states", "mine"),
                OWNERSHIPS.to_owned(),
                "CREATE VIEW message_states AS SELECT * FROM mine".to_owned(),
            ],
            "a view",
        ),
        (
            with(&[(
                "updated_at BIGINT NOT NULL,\n    UNIQUE",
                "updated_at BIGINT AS (created_at) STORED,\n    UNIQUE",
            )]),
            "computed",
        ),
    ];
    let named_otherwise = query::<i64>(&database().await?, "SELECT @@lower_case_table_names").await?[0] == 0;
    if named_otherwise {
        cases.push((
            with(&[("TABLE message_states", "TABLE Message_States")]),
            "RENAME TABLE `Message_States` TO message_states",
        ));
    }
    if is_mariadb {
        cases.push((vec!["CREATE SEQUENCE message_states".to_owned()], "a sequence"));
    }
    for (statements, part) in cases {
        let home = database().await?;
        execute(&home, &statements).await?;
        assert_refused(&home, &["message_states", part]).await?;
        assert_says(&migrate(&home, &Home::sqlite()?, &["--execute"], 1).1, &["message_states", part]);
    }
    if is_mariadb {
        // It is read, and used as long as there is nothing to change.
        let home = made(&with(&[])).await?;
        execute(&home, &["ALTER TABLE message_states ADD SYSTEM VERSIONING"]).await?;
        refused(&mut on(&home, &["check"]), &["message_states", "DROP SYSTEM VERSIONING"]);
        assert_moves(&home, &rows_of_made())?;
        execute(&home, &["ALTER TABLE message_states DROP SYSTEM VERSIONING"]).await?;
        run(&mut on(&home, &["check"]), 0);
        execute(&home, &["ALTER TABLE message_states ADD SYSTEM VERSIONING"]).await?;
        assert!(json(&home, &["check"])["remarks"].to_string().contains("keeps its history"));
        assert_works(&home)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_stand_against_a_mending_are_not_lost() -> Result<()> {
    let keyless = with(&[("UNIQUE KEY unique_channel_thread (channel_id, thread_id),", "")]);
    for (statements, row, part) in [
        (
            with(&[("channel_id VARCHAR(255) NOT NULL", "channel_id VARCHAR(255)")]),
            "(1, NULL, NULL, 'm', 1, 1, 1)",
            "channel_id",
        ),
        (keyless, "(1, 'other', 'Thread', 'm', 1, 1, 1)", "channel_id,thread_id"),
        (
            with(&[("created_at BIGINT", "created_at BIGINT UNSIGNED")]),
            "(1, 'c', NULL, 'm', 1, 18446744073709551615, 1)",
            "created_at",
        ),
        (
            with(&[("thread_id VARCHAR(255) NULL", "thread_id VARCHAR(300) NULL")]),
            "(1, 'c', REPEAT('x', 300), 'm', 1, 1, 1)",
            "",
        ),
    ] {
        let home = made(&statements).await?;
        execute(&home, &[format!("{INTO_STATES} {row}")]).await?;
        let before = contents(&home).await?;
        if part.is_empty() {
            // There is room for it: nothing has to be changed but the collation.
            run(&mut on(&home, &["check"]), 0);
            assert_eq!(
                query::<i64>(&home, "SELECT CHAR_LENGTH(thread_id) FROM message_states WHERE id = 1").await?,
                [300]
            );
            continue;
        }
        refused(&mut on(&home, &["check"]), &["message_states", part]);
        assert_eq!(contents(&home).await?, before, "something was changed");
    }
    Ok(())
}
