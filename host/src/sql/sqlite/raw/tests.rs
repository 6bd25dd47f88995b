use std::time::Duration;

use super::*;
use crate::sql::{ErrorKind, Work};

/// SQLite looks at the progress handler once more when a statement has ended. One that is stopped then would be told to have
/// failed though it was committed, and whoever runs it again would do so twice.
#[test]
fn what_was_committed_is_never_told_to_have_been_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::new(folder.path().join("state.db")));
    let mut raw = place.settle(true, || Raw::open(&place, Role::Writer, true, &Arc::default())).unwrap();
    raw.begin_log().unwrap();
    let later = tokio::time::Instant::now() + Duration::from_secs(60);
    let run = |raw: &Raw, text: &str| raw.execute(&Statement::new(text.to_owned(), Work::Long), &[], later);
    run(&raw, "CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
    let (mut stopped, mut done) = (0, 0);
    // As many statements as end at each place between two looks.
    for rows in 1..400 {
        let stop = Arc::clone(raw.stop());
        let hook = move |_, _: &str, _: &str, row| {
            if row == rows {
                stop.cancel(stop.lease());
            }
        };
        raw.connection.update_hook(Some(hook)).unwrap();
        let text = format!(
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT {rows}) INSERT INTO t SELECT i FROM c"
        );
        let result = run(&raw, &text);
        raw.stop.end_lease();
        let count = run(&raw, "DELETE FROM t").unwrap();
        match result {
            Ok(_) => {
                done += 1;
                assert_eq!(count, rows.unsigned_abs());
            }
            Err(error) => {
                stopped += 1;
                assert_eq!((error.kind, count), (ErrorKind::Timeout, 0), "{rows} rows");
            }
        }
    }
    assert!(stopped > 0 && done > 0, "{stopped} stopped, {done} done");
}
