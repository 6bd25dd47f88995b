//! What statements return.

use super::*;

#[test]
fn values_come_back_as_they_were_given() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let file = file();
            file.write("CREATE TABLE v (a, b, c, d, e)").await.unwrap();
            let given = vec![
                Value::Integer(i64::MIN),
                Value::Real(1.5),
                Value::Text("é\u{1f600}".to_owned()),
                Value::Blob(vec![0, 255]),
                Value::Null,
            ];
            let insert = short("INSERT INTO v VALUES (?, ?, ?, ?, ?)");
            assert_eq!(file.lease(Access::Write).await.execute(&insert, given.clone(), soon()).await, Ok(1));
            let rows = file.read("SELECT * FROM v").await.unwrap();
            assert_eq!(rows.values(), [given]);
            let server = file.database.server(soon()).await.unwrap();
            assert_eq!((server.engine, server.version.starts_with("3.")), (Engine::Sqlite, true));
        });
    }
}

#[test]
fn a_result_beyond_the_limits_is_refused_and_writes_nothing() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        let mut lease = file.lease(Access::Write).await;
        let insert = short("INSERT INTO t (b) VALUES ('x'), ('y') RETURNING a");
        let few = ResultLimits { rows: 1, ..LIMITS };
        assert_eq!(lease.query(&insert, vec![], few, soon()).await.unwrap_err().kind, ErrorKind::Other);
        assert_eq!(file.count().await, 0);
        let inserted = lease.query(&insert, vec![], LIMITS, soon()).await.unwrap();
        assert_eq!(inserted.values(), [[Value::Integer(1)], [Value::Integer(2)]]);
        assert_eq!(file.count().await, 2);
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let error = lease.query(&short(endless), vec![], LIMITS, soon()).await.unwrap_err();
        assert!(error.message.contains("100000 rows"), "{error}");
    });
}

#[test]
fn affected_rows_are_those_of_the_statement_itself() {
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let file = file();
        file.table().await;
        assert_eq!(file.write("INSERT INTO t (b) VALUES ('x'), ('y')").await, Ok(2));
        assert_eq!(file.write("CREATE TABLE other (a)").await, Ok(0));
        assert_eq!(file.write("SELECT * FROM t").await, Ok(0));
        assert_eq!(file.write("UPDATE t SET b = b WHERE a > 5").await, Ok(0));
        assert_eq!(file.write("DELETE FROM t RETURNING a").await, Ok(2));
    });
}
