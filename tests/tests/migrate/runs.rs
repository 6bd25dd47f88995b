//! Plans, runs that follow each other, and rollbacks into which somebody wrote.

use anyhow::Result;
use cofferdam::{MessageState, StorageService, ThreadOwnership};
use cofferdam_tests::harness::command::run;
use cofferdam_tests::harness::storage::Home;
use serde_json::Value;

use crate::rig::{Rows, dump, execute, fill, make_legacy, many, migrate, remembers, rollback, verify, without_ids};

/// The events of a run with --json.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name} in {events:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_writes_nothing_at_all() -> Result<()> {
    let (from, to, server, folder) = (Home::sqlite()?, Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    make_legacy(&from).await?;
    let (mut states, ownerships) = many(50);
    states.push(MessageState { id: 1000, updated_at: 5, thread_id: None, ..states[0].clone() });
    states.push(MessageState { id: 1001, channel_id: String::new(), ..states[0].clone() });
    fill(&from, &(states, ownerships)).await?;
    let (stdout, _) = run(&mut migrate(&from, &to, folder.path(), &["--json"]), 0);
    let events = events(&stdout);
    let plan = event(&events, "plan");
    assert_eq!((&plan["from"]["message_states"]["rows"], &plan["from"]["schema_version"]), (&52.into(), &1.into()));
    assert_eq!(plan["from"]["message_states"]["duplicates"], 1);
    assert_eq!(plan["from"]["message_states"]["unfit"], 1);
    assert_eq!(plan["to"]["schema_version"], Value::Null);
    let Home::Sqlite(place) = &to else { unreachable!("it is a file") };
    assert!(!place.database().exists());
    run(&mut migrate(&from, &server, folder.path(), &[]), 0);
    assert!(dump(&server).await.is_err(), "there is a table");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing_and_the_first_can_still_be_undone() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        from.open().await?.close().await?;
        fill(&from, &many(300)).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        let first = dump(&to).await?;
        let (stdout, _) = run(&mut migrate(&from, &to, folder.path(), &["--execute", "--json"]), 0);
        let tally = event(&events(&stdout), "moved")["tally"].clone();
        assert_eq!((&tally["inserted"], &tally["replaced"], &tally["kept"]), (&0.into(), &0.into(), &330.into()));
        assert_eq!(dump(&to).await?, first);
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
        assert!(!remembers(&to).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_since_is_moved_by_another_run_and_each_is_undone_for_itself() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        from.open().await?.close().await?;
        fill(&from, &many(100)).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        let first = dump(&to).await?;
        execute(&from, &["UPDATE message_states SET last_message_id = 'later', updated_at = 2000000000 WHERE id < 40"])
            .await?;
        run(&mut verify(&from, &to, folder.path(), &[]), 7);
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        assert_eq!(without_ids(dump(&to).await?), without_ids(dump(&from).await?));
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, first);
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_changed_since_is_left_and_listed() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        from.open().await?.close().await?;
        fill(&from, &many(30)).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        let key = many(30).0[4].clone();
        let bot = to.open().await?;
        bot.upsert_message_state(&MessageState { last_message_id: "bot".into(), ..key.clone() }).await?;
        bot.close().await?;
        run(&mut rollback(&to, folder.path(), &[]), 6);
        let (states, ownerships) = dump(&to).await?;
        assert_eq!((states.len(), ownerships.len()), (1, 0));
        assert_eq!((&states[0].channel_id, &*states[0].last_message_id), (&key.channel_id, "bot"));
        let left = std::fs::read_to_string(folder.path().join("cofferdam-migrate-left.ndjson"))?;
        assert!(
            left.lines().count() == 1 && left.contains(&key.channel_id) && left.contains("changed since"),
            "{left}"
        );
    }
    Ok(())
}

/// Between them MariaDB takes a range for one key, where the collation of the connection takes both for the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_from_one_key_to_another_that_differs_in_case_or_spaces_is_undone() -> Result<()> {
    for to in [Home::sqlite()?, Home::mysql().await?] {
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        from.open().await?.close().await?;
        let (state, ownership) = (many(10).0[0].clone(), many(10).1[0].clone());
        let (first, last) = ("A".to_owned(), "a ".to_owned());
        let rows: Rows = (
            vec![
                MessageState { id: 1, channel_id: first.clone(), ..state.clone() },
                MessageState { id: 2, channel_id: last.clone(), ..state },
            ],
            vec![
                ThreadOwnership { id: 1, thread_id: first, ..ownership.clone() },
                ThreadOwnership { id: 2, thread_id: last, ..ownership },
            ],
        );
        fill(&from, &rows).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()), "{}", to.name());
        // Rows that are there are found, rather than met by the insert.
        fill(&to, &rows).await?;
        execute(&from, &["UPDATE message_states SET updated_at = updated_at + 1"]).await?;
        run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
        assert_eq!(without_ids(dump(&to).await?), without_ids(dump(&from).await?), "{}", to.name());
        run(&mut rollback(&to, folder.path(), &[]), 0);
        assert_eq!(dump(&to).await?, rows, "{}", to.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_stops_at_a_reject_writes_nothing_of_its_page() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    make_legacy(&from).await?;
    let (mut states, ownerships) = many(20);
    states[7].last_message_id = "x".repeat(256);
    fill(&from, &(states, ownerships)).await?;
    let (_, stderr) = run(&mut migrate(&from, &to, folder.path(), &["--execute", "--stop-on-reject"]), 6);
    assert!(stderr.contains("256 characters"), "{stderr}");
    assert_eq!(dump(&to).await?, (Vec::new(), Vec::new()));
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
    assert_eq!(dump(&to).await?.0.len(), 19);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_duplicates_than_a_page_holds_are_merged() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    make_legacy(&from).await?;
    let one = many(1).0.remove(0);
    let states = (1..=12_000).map(|id| MessageState { id, updated_at: id % 7_000, ..one.clone() }).collect();
    fill(&from, &(states, Vec::new())).await?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 0);
    let (states, _) = dump(&to).await?;
    assert_eq!(states.iter().map(|row| row.updated_at).collect::<Vec<_>>(), [6_999]);
    let report = std::fs::read_to_string(folder.path().join("cofferdam-migrate-report.ndjson"))?;
    assert_eq!(report.lines().count(), 11_999);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_wrong_kind_are_rejected_with_their_reason() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::sqlite()?, tempfile::tempdir()?);
    make_legacy(&from).await?;
    fill(&from, &many(3)).await?;
    execute(&from, &["UPDATE message_states SET updated_at = 'yesterday' WHERE id = 2"]).await?;
    run(&mut migrate(&from, &to, folder.path(), &["--execute"]), 6);
    assert_eq!(dump(&to).await?.0.len(), 2);
    let rejects = std::fs::read_to_string(folder.path().join("cofferdam-migrate-rejects.ndjson"))?;
    assert!(rejects.contains("updated_at is no integer") && rejects.contains("yesterday"), "{rejects}");
    Ok(())
}

/// SQLite keeps whatever bytes it is told are text. They are spread over the pages, and keys among them.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_rejected_with_its_bytes() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::mysql().await?, tempfile::tempdir()?);
    make_legacy(&from).await?;
    fill(&from, &many(12_000)).await?;
    execute(
        &from,
        &[
            "UPDATE message_states SET last_message_id = CAST(x'61ff62' AS TEXT) WHERE id = 7",
            "UPDATE message_states SET channel_id = CAST(CAST(channel_id AS BLOB) || x'ff' AS TEXT) WHERE id % 10 = 8",
            "UPDATE message_states SET thread_id = CAST(x'fe' AS TEXT) WHERE id % 10 = 9",
            "UPDATE thread_ownerships SET thread_id = CAST(CAST(thread_id AS BLOB) || x'ff' AS TEXT) WHERE id % 10 < 9",
        ],
    )
    .await?;
    let (stdout, _) = run(&mut migrate(&from, &to, folder.path(), &["--execute", "--json"]), 6);
    let tally = event(&events(&stdout), "moved")["tally"].clone();
    assert_eq!((&tally["inserted"], &tally["rejected"]), (&(9_599 + 120).into(), &(2_401 + 1_080).into()));
    let rejects = std::fs::read_to_string(folder.path().join("cofferdam-migrate-rejects.ndjson"))?;
    assert_eq!(rejects.lines().count(), 3_481);
    assert!(
        rejects.contains("last_message_id is no text in UTF-8") && rejects.contains("x'61ff62'"),
        "{}",
        &rejects[..500]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_waits_until_both_sides_are_equal() -> Result<()> {
    let (from, to, folder) = (Home::sqlite()?, Home::sqlite()?, tempfile::tempdir()?);
    for home in [&from, &to] {
        home.open().await?.close().await?;
    }
    fill(&from, &many(10)).await?;
    let mut waiting = verify(&from, &to, folder.path(), &["--wait", "60s"]);
    let waiting = std::thread::spawn(move || run(&mut waiting, 0));
    std::thread::sleep(std::time::Duration::from_millis(700));
    fill(&to, &many(10)).await?;
    assert!(waiting.join().is_ok());
    Ok(())
}
