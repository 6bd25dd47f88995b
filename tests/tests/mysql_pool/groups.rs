//! Writes of several callers that are run as one statement.

use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::{HostPort, MysqlConfig, PoolConfig};
use cofferdam::sql::{BatchText, Database, ErrorKind, PoolStatus, SqlError, Statement, Value, mysql};
use cofferdam::{MessageState, Storage, StorageService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlServer};
use cofferdam_tests::harness::proxy::{Mode, Proxy};
use cofferdam_tests::harness::storage::Home;
use cofferdam_tests::harness::wait::until;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Rig, SETTLING, at_once, config, soon};

const CALLERS: usize = 64;

/// Writes a value under a key.
fn upsert() -> Statement {
    let part = |text: &str| text.to_owned();
    Statement::batchable(BatchText {
        head: part("INSERT INTO kv (k, v) VALUES "),
        row: part("(?, ?)"),
        between: part(", "),
        tail: part(" ON DUPLICATE KEY UPDATE v = VALUES(v)"),
    })
}

async fn rig(pool: PoolConfig) -> Rig {
    with_table(Rig::shared(pool).await).await
}

async fn with_table(rig: Rig) -> Rig {
    rig.write("CREATE TABLE kv (k VARCHAR(40) PRIMARY KEY, v BIGINT NOT NULL)").await.unwrap();
    rig.write("INSERT INTO kv VALUES ('gate', 0)").await.unwrap();
    rig
}

type Write = JoinHandle<Result<u64, SqlError>>;

/// Begins a write, and lets it come as far as it gets.
async fn begin(pool: &Arc<dyn Database>, key: &str, value: Value, deadline: Instant) -> Write {
    let (pool, parameters) = (Arc::clone(pool), vec![Value::Text(key.to_owned()), value]);
    let write = tokio::spawn(async move { pool.execute(&upsert(), parameters, deadline).await });
    tokio::task::yield_now().await;
    write
}

/// Another session that has the row `gate` locked.
async fn lock_gate(rig: &Rig) -> Conn {
    let mut other = rig.home.connect().await.unwrap();
    other.query_drop("BEGIN").await.unwrap();
    other.query_drop("SELECT v FROM kv WHERE k = 'gate' FOR UPDATE").await.unwrap();
    other
}

async fn open_gate(mut other: Conn) {
    other.query_drop("ROLLBACK").await.unwrap();
    other.disconnect().await.unwrap();
}

/// A pool of two connections, both of which wait for the gate.
async fn behind_the_gate() -> (Rig, Conn, [Write; 2]) {
    let rig = rig(PoolConfig { max_open: 2, max_idle: 2, ..PoolConfig::default() }).await;
    let gate = lock_gate(&rig).await;
    let first = begin(&rig.pool, "gate", Value::Integer(1), soon()).await;
    let second = begin(&rig.pool, "gate", Value::Integer(1), soon()).await;
    until("both wait", SETTLING, async || rig.pool.status().idle == 0 && rig.pool.status().open == 2).await.unwrap();
    (rig, gate, [first, second])
}

async fn value(rig: &Rig, key: &str) -> i64 {
    rig.integer(&format!("SELECT COALESCE(MAX(v), -1) FROM kv WHERE k = '{key}'")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_callers_has_an_answer_of_its_own() {
    const ROUNDS: i64 = 20;
    let rig = rig(PoolConfig::default()).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let pool = Arc::clone(&rig.pool);
            tokio::spawn(async move {
                for round in 1..=ROUNDS {
                    // Every eighth one is refused every other time, for a column that is never null.
                    let is_refused = caller % 8 == 3 && round % 2 == 0;
                    let value = if is_refused { Value::Null } else { Value::Integer(round) };
                    let parameters = vec![Value::Text(format!("caller {caller}")), value];
                    let result = pool.execute(&upsert(), parameters, soon()).await;
                    match is_refused {
                        true => assert_eq!(result.unwrap_err().code.as_deref(), Some("1048"), "{caller}"),
                        false => assert!(result.is_ok(), "{caller}: {result:?}"),
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    for caller in 0..CALLERS {
        let expected = if caller % 8 == 3 { ROUNDS - 1 } else { ROUNDS };
        assert_eq!(value(&rig, &format!("caller {caller}")).await, expected, "{caller}");
    }
    let PoolStatus { groups, grouped, waiting, .. } = rig.pool.status();
    assert!(groups > 0 && grouped >= 2 * groups && waiting == 0, "{grouped} rows in {groups} groups");
}

#[tokio::test]
async fn one_who_writes_alone_is_in_no_group() {
    let rig = rig(PoolConfig::default()).await;
    for round in 0..20 {
        let done = begin(&rig.pool, "alone", Value::Integer(round), soon()).await.await.unwrap();
        done.unwrap();
    }
    let PoolStatus { groups, open, .. } = rig.pool.status();
    assert_eq!((groups, open), (0, 1));
}

#[tokio::test]
async fn rows_of_one_key_keep_their_order() {
    let (rig, gate, first) = behind_the_gate().await;
    let mut writes = Vec::new();
    for value in 1..=16 {
        writes.push(begin(&rig.pool, "same", Value::Integer(value), soon()).await);
    }
    assert_eq!(rig.pool.status().waiting, 16);
    open_gate(gate).await;
    for write in first.into_iter().chain(writes) {
        write.await.unwrap().unwrap();
    }
    assert_eq!((rig.pool.status().groups, rig.pool.status().grouped), (1, 16));
    assert_eq!(value(&rig, "same").await, 16);
}

#[tokio::test]
async fn who_gives_up_while_it_waits_writes_nothing() {
    let (rig, gate, first) = behind_the_gate().await;
    let dropped = begin(&rig.pool, "dropped", Value::Integer(1), soon()).await;
    let late = begin(&rig.pool, "late", Value::Integer(1), at_once()).await;
    let stays = begin(&rig.pool, "stays", Value::Integer(1), soon()).await;
    assert_eq!(rig.pool.status().waiting, 3);
    dropped.abort();
    let error = late.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert_eq!(rig.pool.status().waiting, 1);
    open_gate(gate).await;
    for write in first.into_iter().chain([stays]) {
        write.await.unwrap().unwrap();
    }
    assert_eq!((value(&rig, "dropped").await, value(&rig, "late").await, value(&rig, "stays").await), (-1, -1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_holds_up_nobody_but_itself() {
    let rig = rig(PoolConfig::default()).await;
    let gate = lock_gate(&rig).await;
    let mut writes = Vec::new();
    let mut locked = Vec::new();
    for caller in 0..32 {
        writes.push(begin(&rig.pool, &format!("caller {caller}"), Value::Integer(1), soon()).await);
        if caller % 16 == 8 {
            locked.push(begin(&rig.pool, "gate", Value::Integer(caller), soon()).await);
        }
    }
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert!(locked.iter().all(|write| !write.is_finished()), "the row is locked");
    // Who comes later is not held up either.
    for round in 2..4 {
        let mut writes = Vec::new();
        for caller in 0..32 {
            writes.push(begin(&rig.pool, &format!("caller {caller}"), Value::Integer(round), soon()).await);
        }
        for write in writes {
            write.await.unwrap().unwrap();
        }
    }
    open_gate(gate).await;
    for write in locked {
        write.await.unwrap().unwrap();
    }
    assert!(value(&rig, "gate").await > 0);
}

#[tokio::test]
async fn a_row_that_was_given_up_on_its_way_does_not_undo_a_newer_one() {
    let mut server = MysqlServer::start(&[]).await.unwrap();
    let path = Proxy::start(server.process().unwrap().port()).unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let on_path = MysqlConfig { hosts: vec![HostPort::new("127.0.0.1", path.port())], ..config(&home) };
    let rig = with_table(Rig { pool: mysql::open(&on_path, &PoolConfig::default()).unwrap(), home }).await;
    for round in 0..4 {
        // Three connections lie idle, on which whatever is sent is held up.
        let leases = [
            rig.lease(crate::Access::Write).await,
            rig.lease(crate::Access::Write).await,
            rig.lease(crate::Access::Write).await,
        ];
        drop(leases);
        path.hold();
        let mut alone = Vec::new();
        for key in ["a", "b"] {
            alone.push(begin(&rig.pool, key, Value::Integer(round), soon()).await);
        }
        let groups = rig.pool.status().groups;
        // By a deadline, and by a future that is dropped.
        let deadline = if round % 2 == 0 { soon() } else { Instant::now() + Duration::from_millis(100) };
        let stays = begin(&rig.pool, "stays", Value::Integer(round), soon()).await;
        let given_up = begin(&rig.pool, "given up", Value::Integer(-round), deadline).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        match round % 2 {
            0 => given_up.abort(),
            _ => assert_eq!(given_up.await.unwrap().unwrap_err().kind, ErrorKind::Timeout),
        }
        let newer = begin(&rig.pool, "given up", Value::Integer(100 + round), soon()).await;
        newer.await.unwrap().unwrap();
        // Whoever else was in the group has what it wanted.
        stays.await.unwrap().unwrap();
        path.switch(Mode::Pass);
        for write in alone {
            write.await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!((value(&rig, "given up").await, value(&rig, "stays").await), (100 + round, round), "{groups}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_write_the_same_rows_in_opposite_orders_come_to_an_end() {
    const ROUNDS: usize = 20;
    let one = rig(PoolConfig::default()).await;
    let other = mysql::open(&config(&one.home), &PoolConfig::default()).unwrap();
    let mut writes = Vec::new();
    for caller in 0..CALLERS {
        for (pool, step) in [(&one.pool, 1), (&other, CALLERS - 1)] {
            let pool = Arc::clone(pool);
            writes.push(tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let key = format!("row {}", (caller * step + round) % 16);
                    let parameters = vec![Value::Text(key), Value::Integer(round as i64)];
                    pool.execute(&upsert(), parameters, soon()).await.unwrap();
                }
            }));
        }
    }
    for write in writes {
        write.await.unwrap();
    }
    assert!(one.pool.status().groups > 0 && other.status().groups > 0);
}

/// A row that a trigger or a key of the owner's refuses, among others that go through, through the whole house.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_row_fails_alone() {
    let home = Home::mysql().await.unwrap();
    let mut patient = home.config();
    patient.timeouts.operation = SETTLING;
    let storage = Arc::new(Storage::builder(patient).build().unwrap());
    storage.initialize().await.unwrap();
    let Home::Mysql(database) = &home else { panic!("not on MySQL") };
    let mut administrator = MysqlServer::shared().await.unwrap().administrator().await.unwrap();
    let name = database.config().database;
    for text in [
        format!("USE `{name}`"),
        "ALTER TABLE message_states ADD UNIQUE KEY owners (last_message_id)".to_owned(),
        "CREATE TRIGGER forbids BEFORE INSERT ON message_states FOR EACH ROW
            IF NEW.channel_id LIKE 'forbidden%' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
            .to_owned(),
    ] {
        administrator.query_drop(text).await.unwrap();
    }
    administrator.disconnect().await.unwrap();
    storage.upsert_message_state(&MessageState::new("owner", None, "taken", 1)).await.unwrap();
    for round in 0..5 {
        let writes: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let storage = Arc::clone(&storage);
                tokio::spawn(async move {
                    let (channel, message) = match caller {
                        7 => ("forbidden".to_owned(), format!("{caller} {round}")),
                        40 => ("another".to_owned(), "taken".to_owned()),
                        _ => (format!("caller {caller}"), format!("{caller} {round}")),
                    };
                    let result = storage.upsert_message_state(&MessageState::new(channel, None, message, 1)).await;
                    (caller, result)
                })
            })
            .collect();
        for write in writes {
            let (caller, result) = write.await.unwrap();
            match caller {
                7 => assert_eq!(result.as_ref().unwrap_err().code(), Some("1644"), "{result:?}"),
                40 => assert_eq!(result.as_ref().unwrap_err().code(), Some("1062"), "{result:?}"),
                _ => assert!(result.is_ok(), "{caller}: {result:?}"),
            }
        }
        let owner = storage.get_message_state("owner", None).await.unwrap().unwrap();
        assert_eq!(owner.last_message_id, "taken");
        for caller in (0..CALLERS).filter(|caller| ![7, 40].contains(caller)) {
            let found = storage.get_message_state(&format!("caller {caller}"), None).await.unwrap().unwrap();
            assert_eq!(found.last_message_id, format!("{caller} {round}"));
        }
    }
    assert!(storage.status().pool.is_some_and(|pool| pool.groups > 0));
    storage.close().await.unwrap();
}
