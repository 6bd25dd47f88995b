//! On a real server, one for each test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::config::{Secret, Tls, TlsMode};
use crate::sql::{ColumnKind, ErrorKind, ResultLimits, Rows, Statement, Value, Work};

const LIMITS: ResultLimits = ResultLimits { rows: 100_000, bytes: 10_000_000 };

struct Mariadb {
    process: Child,
    _folder: TempDir,
    port: u16,
}

impl Mariadb {
    fn start(options: &[&str]) -> Self {
        // In memory where there is such a place: installing takes a quarter of the time.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let user = "--user=root";
        let install = Command::new("mariadb-install-db")
            .args(["--no-defaults", user, "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--skip-name-resolve", "--innodb-log-file-size=4M", &format!("--datadir={}", path("data"))])
            .stdout(Stdio::null())
            .status();
        assert!(install.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", user, "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=32M", "--performance-schema=0"])
            .args([format!("--datadir={}", path("data")), format!("--socket={}", path("s"))])
            .args([format!("--pid-file={}", path("pid")), format!("--port={port}")])
            .args(options.iter().map(|option| option.replace("FOLDER", &folder.path().display().to_string())))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, _folder: folder, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn config(&self) -> MysqlConfig {
        MysqlConfig {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            database: "mysql".to_owned(),
            username: "root".to_owned(),
            password: Secret::new(""),
            connect_timeout: Duration::from_secs(10),
            round_trip_timeout: Duration::from_secs(30),
            connect_attempts: 5,
            tls: Tls { mode: TlsMode::Preferred, ca: None },
        }
    }

    async fn database(&self, pool: PoolConfig) -> Arc<dyn Database> {
        let database = open(&self.config(), &pool).unwrap();
        write(&*database, "CREATE TABLE IF NOT EXISTS t (a BIGINT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(20) UNIQUE)")
            .await
            .unwrap();
        database
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn at_once() -> Instant {
    Instant::now() + Duration::from_millis(200)
}

fn short(text: &str) -> Statement {
    Statement { text: text.into(), work: Work::Short }
}

async fn lease(database: &dyn Database, access: Access) -> Box<dyn Connection> {
    database.acquire(access, soon()).await.unwrap()
}

async fn write(database: &dyn Database, text: &str) -> Result<u64> {
    database.acquire(Access::Write, soon()).await?.execute(&short(text), vec![], soon()).await
}

async fn read(database: &dyn Database, text: &str) -> Result<Rows> {
    database.acquire(Access::Read, soon()).await?.query(&short(text), vec![], LIMITS, soon()).await
}

async fn count(database: &dyn Database) -> i64 {
    read(database, "SELECT count(*) FROM t").await.unwrap().integers[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_order() {
    let server = Mariadb::start(&[]);
    let database = server.database(PoolConfig { max_open: 4, max_idle: 3, ..PoolConfig::default() }).await;

    let version = database.server(soon()).await.unwrap();
    assert!(version.version.contains("MariaDB"), "{version:?}");

    let types = "CREATE TABLE v (a BIGINT, b DOUBLE, c TEXT CHARACTER SET utf8mb4, d BLOB, e INT, f DECIMAL(10,2), g DATETIME, h BIGINT UNSIGNED, i FLOAT)";
    write(&*database, types).await.unwrap();
    let given = vec![
        Value::Integer(i64::MIN),
        Value::Real(1.5),
        Value::Text("é\u{1f600}".to_owned()),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    let insert = short("INSERT INTO v VALUES (?, ?, ?, ?, ?, 1.50, '2026-01-02 03:04:05', 18446744073709551615, 0.5)");
    let mut connection = lease(&*database, Access::Write).await;
    assert_eq!(connection.execute(&insert, given, soon()).await, Ok(1));
    let rows = read(&*database, "SELECT a, b, c, d, e, f, g, i FROM v").await.unwrap();
    use ColumnKind::*;
    assert_eq!(rows.columns, [Integer, Real, Text, Blob, Integer, Text, Text, Real]);
    assert_eq!((rows.integers, rows.reals, rows.nulls), (vec![i64::MIN, 0], vec![1.5, 0.5], vec![4]));
    assert_eq!((rows.text.as_str(), rows.bytes.as_slice()), ("é\u{1f600}1.502026-01-02 03:04:05", &[0, 255][..]));
    assert_eq!(read(&*database, "SELECT h FROM v").await.unwrap_err().kind, ErrorKind::CorruptData);
    let session = read(&*database, "SELECT @@tx_isolation, @@time_zone, @@character_set_client, @@sql_mode").await;
    assert_eq!(session.unwrap().text, "READ-COMMITTED+00:00utf8mb4STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION");

    // A wrong number of parameters, a missing table and a duplicate leave the connection as it was.
    let id = connection.query(&short("SELECT CONNECTION_ID()"), vec![], LIMITS, soon()).await.unwrap().integers;
    let parameters = vec![Value::Null];
    let error = connection.query(&short("SELECT 1"), parameters, LIMITS, soon()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidStatement, "{error}");
    let error = connection.execute(&short("DELETE FROM missing"), vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::InvalidStatement, Some("1146")));
    let twice = short("INSERT INTO t (b) VALUES ('secret'), ('secret')");
    let error = connection.execute(&twice, vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.sqlstate.as_deref()), (ErrorKind::Constraint, Some("23000")));
    assert!(!error.message.contains("secret"), "{error}");
    assert_eq!(connection.query(&short("SELECT CONNECTION_ID()"), vec![], LIMITS, soon()).await.unwrap().integers, id);

    // A result beyond the limits closes it.
    let many = short("SELECT seq FROM seq_1_to_1000000");
    assert_eq!(connection.query(&many, vec![], LIMITS, soon()).await.unwrap_err().kind, ErrorKind::Other);
    drop(connection);

    // A lease dropped in a transaction.
    let mut connection = lease(&*database, Access::Write).await;
    connection.begin(soon()).await.unwrap();
    connection.execute(&short("INSERT INTO t (b) VALUES ('x')"), vec![], soon()).await.unwrap();
    drop(connection);
    while write(&*database, "INSERT INTO t (b) VALUES ('x')").await.is_err() {}
    assert_eq!(count(&*database).await, 1);

    // Reading refuses to write.
    let mut connection = lease(&*database, Access::Read).await;
    let error = connection.execute(&short("INSERT INTO t (b) VALUES ('y')"), vec![], soon()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    drop(connection);

    // A named lock does not come with the next lease.
    read(&*database, "SELECT GET_LOCK('l', 0)").await.unwrap();
    while read(&*database, "SELECT IS_FREE_LOCK('l')").await.unwrap().integers != [1] {}

    // First writes from 64 tasks, with transactions that deadlock among them.
    let database: Arc<dyn Database> = database;
    let tasks: Vec<_> = (0..64)
        .map(|i| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let text = format!("INSERT INTO t (b) VALUES ('{}') ON DUPLICATE KEY UPDATE b = VALUES(b)", i % 8);
                write(&*database, &text).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(count(&*database).await, 9);

    // Futures dropped at any point.
    let tasks: Vec<_> = (0..200u64)
        .map(|i| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let work = async {
                    let mut connection = lease(&*database, Access::Write).await;
                    connection.begin(soon()).await.unwrap();
                    let _ = connection.query(&short("SELECT SLEEP(0.001)"), vec![], LIMITS, soon()).await;
                    connection.commit(soon()).await.unwrap();
                };
                let _ = tokio::time::timeout(Duration::from_micros(i * 37 % 7000), work).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    while database.status().open != database.status().idle {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(count(&*database).await == 9 && database.status().open <= 4);

    database.close(soon()).await;
    assert_eq!(database.status(), PoolStatus { max: 4, ..PoolStatus::default() });
    assert_eq!(read(&*database, "SELECT 1").await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_lock_is_waited_for_and_a_lost_transaction_is_not_continued() {
    let server = Mariadb::start(&["--innodb-lock-wait-timeout=1"]);
    let database = server.database(PoolConfig::default()).await;
    write(&*database, "INSERT INTO t (b) VALUES ('x'), ('y')").await.unwrap();
    let mut holder = lease(&*database, Access::Write).await;
    holder.begin(soon()).await.unwrap();
    holder.execute(&short("UPDATE t SET b = 'z' WHERE a = 1"), vec![], soon()).await.unwrap();

    let mut loser = lease(&*database, Access::Write).await;
    loser.begin(soon()).await.unwrap();
    let error = loser.execute(&short("UPDATE t SET b = 'w' WHERE a = 1"), vec![], soon()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Conflict, Some("1205")));
    let insert = short("INSERT INTO t (b) VALUES ('v')");
    assert_eq!(loser.execute(&insert, vec![], soon()).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(loser.commit(soon()).await.unwrap_err().kind, ErrorKind::Conflict);

    // Outside a transaction the wait goes on beyond the server's.
    let waiter = tokio::spawn({
        let database = Arc::clone(&database);
        async move { write(&*database, "UPDATE t SET b = 'w' WHERE a = 1").await }
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    holder.commit(soon()).await.unwrap();
    assert_eq!(waiter.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_deadline_and_its_socket() {
    let server = Mariadb::start(&[]);
    let database = server.database(PoolConfig::default()).await;
    let mut connection = lease(&*database, Access::Write).await;
    let error = connection.query(&short("SELECT SLEEP(60)"), vec![], LIMITS, at_once()).await.unwrap_err();
    assert_eq!((error.kind, database.status().open), (ErrorKind::Timeout, 0), "{error}");
    assert_eq!(sockets(&server), 0);
    drop(connection);

    let mut idle = lease(&*database, Access::Write).await;
    server.signal("-STOP");
    let error = idle.query(&short("SELECT 1"), vec![], LIMITS, at_once()).await.unwrap_err();
    assert_eq!((error.kind, database.status().open), (ErrorKind::Timeout, 0), "{error}");
    assert_eq!(sockets(&server), 0);
    let Err(error) = database.acquire(Access::Read, at_once()).await else { panic!("a connection") };
    assert_eq!((error.kind, sockets(&server)), (ErrorKind::Timeout, 0), "{error}");
    server.signal("-CONT");
    assert_eq!(read(&*database, "SELECT 1").await.unwrap().integers, [1]);
}

/// How many connections to the server this process has open.
fn sockets(server: &Mariadb) -> usize {
    let port = format!(":{:04X}", server.port);
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&port)) && fields.next() == Some("01")
    };
    table.lines().filter(open).count()
}

#[tokio::test]
async fn connections_that_died_while_idle() {
    let server = Mariadb::start(&[]);
    let database = server.database(PoolConfig::default()).await;
    let kill = |id: i64| {
        let (other, text) = (open(&server.config(), &PoolConfig::default()).unwrap(), format!("KILL {id}"));
        async move {
            let _ = write(&*other, &text).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let id = read(&*database, "SELECT CONNECTION_ID()").await.unwrap().integers[0];
    kill(id).await;
    let again = read(&*database, "SELECT CONNECTION_ID()").await.unwrap().integers[0];
    assert_ne!(again, id);
    kill(again).await;
    let error = write(&*database, "INSERT INTO t (b) VALUES ('x')").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let id = read(&*database, "SELECT CONNECTION_ID()").await.unwrap().integers[0];
    kill(id).await;
    let mut connection = lease(&*database, Access::Write).await;
    connection.begin(soon()).await.unwrap();
    connection.commit(soon()).await.unwrap();
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_reported_at_once() {
    let server = Mariadb::start(&[]);
    for (config, code) in [
        (MysqlConfig { password: Secret::new("wrong-secret"), ..server.config() }, "1045"),
        (MysqlConfig { database: "missing".to_owned(), ..server.config() }, "1049"),
    ] {
        let config = MysqlConfig { connect_attempts: 1_000_000, ..config };
        let error = read(&*open(&config, &PoolConfig::default()).unwrap(), "SELECT 1").await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::PermissionDenied, Some(code)), "{error}");
        assert!(error.message.contains(&server.port.to_string()) && !error.message.contains("secret"), "{error}");
    }
    let config = MysqlConfig { connect_attempts: 2, ..server.config() };
    drop(server);
    let error = read(&*open(&config, &PoolConfig::default()).unwrap(), "SELECT 1").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Unavailable, Some("2002")), "{error}");
}

#[tokio::test]
async fn encryption_is_as_strict_as_its_mode() {
    let keys = tempfile::tempdir().unwrap();
    let script = r#"
        for ca in ca other; do
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
        done
        openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:elsewhere.example\nbasicConstraints=CA:FALSE' > ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
    "#;
    let made = Command::new("sh").args(["-ec", script]).current_dir(keys.path()).stderr(Stdio::null()).status();
    assert!(made.unwrap().success());
    let file = |name: &str| keys.path().join(name);
    let option = |name: &str, key: &str| format!("--ssl-{name}={}", file(key).display());
    let options = [option("ca", "ca.pem"), option("cert", "server.pem"), option("key", "server.key")];
    let server = Mariadb::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    for (mode, ca, encrypted) in [
        (TlsMode::Disabled, None, Ok(false)),
        (TlsMode::Preferred, None, Ok(true)),
        (TlsMode::Required, None, Ok(true)),
        (TlsMode::VerifyCa, Some("ca.pem"), Ok(true)),
        (TlsMode::VerifyCa, Some("other.pem"), Err("2026")),
        (TlsMode::VerifyCa, None, Err("2026")),
        (TlsMode::VerifyIdentity, Some("ca.pem"), Err("2026")),
    ] {
        let config = MysqlConfig { tls: Tls { mode, ca: ca.map(file) }, ..server.config() };
        let database = open(&config, &PoolConfig::default()).unwrap();
        let cipher = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";
        let result = read(&*database, cipher).await;
        let seen = result.as_ref().map(|rows| !rows.text.is_empty()).map_err(|error| error.code.clone().unwrap());
        assert_eq!(seen, encrypted.map_err(str::to_owned), "{mode:?} {ca:?}: {result:?}");
    }
    let plain = Mariadb::start(&["--skip-ssl"]);
    let required = MysqlConfig { tls: Tls { mode: TlsMode::Required, ca: None }, ..plain.config() };
    let error = read(&*open(&required, &PoolConfig::default()).unwrap(), "SELECT 1").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("2026"), "{error}");
    let preferred = MysqlConfig { tls: Tls { mode: TlsMode::Preferred, ca: None }, ..plain.config() };
    assert!(read(&*open(&preferred, &PoolConfig::default()).unwrap(), "SELECT 1").await.is_ok());
}
