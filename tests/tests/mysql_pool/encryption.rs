//! Each mode of encryption, on a server that offers it and on one that does not.

use std::process::{Command, Stdio};

use cofferdam::config::{HostPort, MysqlConfig, PoolConfig, Tls, TlsMode};
use cofferdam::sql::{Access, ErrorKind, Rows, SqlError, mysql};
use cofferdam_tests::harness::log::Log;
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{read, soon};

/// Two authorities, and certificates of the first: for the host that the tests connect to, by name and by address, and
/// for another.
const CERTIFICATES: &str = r#"
    for ca in ca other; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
    done
    sign() {
        openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout $1.key -out $1.csr
        printf "subjectAltName=$2\nbasicConstraints=CA:FALSE" > ext
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $1.pem
    }
    sign here DNS:localhost,IP:127.0.0.1
    sign elsewhere DNS:elsewhere.example
"#;

fn certificates() -> TempDir {
    let there = Command::new("openssl").arg("version").stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(there.is_ok_and(|status| status.success()), "openssl, which makes the certificates, is not installed");
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

/// The cipher of a connection in this mode; empty where it is not encrypted.
async fn cipher(home: &MysqlDatabase, host: &str, tls: Tls) -> Result<Rows, SqlError> {
    let hosts = vec![HostPort::new(host, home.config().hosts[0].port)];
    let pool = mysql::open(&MysqlConfig { tls, hosts, ..home.config() }, &PoolConfig::default())?;
    let cipher = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";
    read(&*pool, cipher).await
}

struct Encrypted {
    folder: TempDir,
    server: MysqlServer,
    home: MysqlDatabase,
}

impl Encrypted {
    async fn start(certificate: &str, more: &[&str]) -> Self {
        let folder = certificates();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut options = vec![
            format!("--ssl-ca={}", file("ca.pem")),
            format!("--ssl-cert={}", file(&format!("{certificate}.pem"))),
            format!("--ssl-key={}", file(&format!("{certificate}.key"))),
        ];
        options.extend(more.iter().map(|&option| option.to_owned()));
        let server = MysqlServer::start(&options).await.unwrap();
        let home = server.create_database(DatabaseOptions::default()).await.unwrap();
        Self { folder, server, home }
    }

    fn tls(&self, mode: TlsMode, ca: Option<&str>) -> Tls {
        Tls { mode, ca: ca.map(|name| self.folder.path().join(name)) }
    }

    /// Whether a connection is encrypted, or the code of the error.
    async fn try_as(&self, host: &str, mode: TlsMode, ca: Option<&str>) -> Result<bool, SqlError> {
        cipher(&self.home, host, self.tls(mode, ca)).await.map(|rows| !rows.text.is_empty())
    }
}

#[tokio::test]
async fn the_identity_of_a_server_is_verified_as_its_mode_says() {
    const ADDRESS: &str = "127.0.0.1";
    use TlsMode::{Disabled, Preferred, Required, VerifyCa, VerifyIdentity};
    let wrong_ca = Err("2026");
    let wrong_name = Err("2026");
    for (certificate, host, mode, ca, encrypted) in [
        ("here", ADDRESS, Disabled, None, Ok(false)),
        ("here", ADDRESS, Preferred, None, Ok(true)),
        ("here", ADDRESS, Required, None, Ok(true)),
        ("here", ADDRESS, VerifyCa, Some("ca.pem"), Ok(true)),
        ("here", ADDRESS, VerifyIdentity, Some("ca.pem"), Ok(true)),
        ("here", "localhost", VerifyIdentity, Some("ca.pem"), Ok(true)),
        ("here", ADDRESS, VerifyCa, Some("other.pem"), wrong_ca),
        ("here", ADDRESS, VerifyIdentity, Some("other.pem"), wrong_ca),
        ("here", ADDRESS, VerifyCa, None, wrong_ca),
        ("here", ADDRESS, VerifyIdentity, None, wrong_ca),
        ("elsewhere", ADDRESS, Required, None, Ok(true)),
        ("elsewhere", ADDRESS, VerifyCa, Some("ca.pem"), Ok(true)),
        ("elsewhere", ADDRESS, VerifyCa, Some("other.pem"), wrong_ca),
        ("elsewhere", ADDRESS, VerifyIdentity, Some("ca.pem"), wrong_name),
        ("elsewhere", "localhost", VerifyIdentity, Some("ca.pem"), wrong_name),
    ] {
        let server = encrypted_server(certificate).await;
        let result = server.try_as(host, mode, ca).await;
        let seen = result.as_ref().map(|encrypted| *encrypted).map_err(|error| error.code.as_deref());
        assert_eq!(seen, encrypted.map_err(Some), "{certificate} {host} {mode:?} {ca:?}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("cannot open an encrypted connection to"), "{error}");
        }
    }
}

/// A server with this certificate, which is started once.
async fn encrypted_server(certificate: &'static str) -> &'static Encrypted {
    static SERVERS: [OnceCell<Encrypted>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
    SERVERS[usize::from(certificate == "here")].get_or_init(|| Encrypted::start(certificate, &[])).await
}

#[tokio::test]
async fn a_server_that_demands_encryption_refuses_plain_text() {
    let server = Encrypted::start("here", &["--require-secure-transport=ON"]).await;
    let error = server.try_as("127.0.0.1", TlsMode::Disabled, None).await.unwrap_err();
    // MariaDB says it as a wrong password is said, MySQL with a number of its own.
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
    for (mode, ca) in [(TlsMode::Preferred, None), (TlsMode::Required, None), (TlsMode::VerifyIdentity, Some("ca.pem"))]
    {
        assert_eq!(server.try_as("127.0.0.1", mode, ca).await, Ok(true), "{mode:?}");
    }
    drop(server.server);
}

#[tokio::test]
async fn a_server_without_encryption_will_do_only_where_it_is_preferred_and_says_so() {
    let folder = certificates();
    let server = MysqlServer::start(&["--skip-ssl".to_owned()]).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let ca = || Some(folder.path().join("ca.pem"));
    for (mode, ca) in [(TlsMode::Required, None), (TlsMode::VerifyCa, ca()), (TlsMode::VerifyIdentity, ca())] {
        let error = cipher(&home, "127.0.0.1", Tls { mode, ca }).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("2026"), "{error}");
        assert!(error.message.contains("does not offer TLS") && error.message.contains("MYSQL_TLS "), "{error}");
    }
    let (log, _logging) = Log::start();
    assert_eq!(cipher(&home, "127.0.0.1", Tls { mode: TlsMode::Preferred, ca: None }).await.unwrap().text, "");
    let text = log.text();
    assert!(text.contains("WARN") && text.contains("the server does not offer TLS"), "{text}");
}

#[tokio::test]
async fn an_identity_that_is_not_verified_is_said_once_for_a_pool() {
    let server = encrypted_server("here").await;
    for (mode, ca, said) in [
        (TlsMode::Disabled, None, "connections are not encrypted"),
        (TlsMode::Preferred, None, "identity is not verified"),
        (TlsMode::Required, None, "identity is not verified"),
        (TlsMode::VerifyCa, Some("ca.pem"), ""),
        (TlsMode::VerifyIdentity, Some("ca.pem"), ""),
    ] {
        let (log, _logging) = Log::start();
        let config = MysqlConfig { tls: server.tls(mode, ca), ..server.home.config() };
        let pool = mysql::open(&config, &PoolConfig::default()).unwrap();
        let first = pool.acquire(Access::Read, soon()).await.unwrap();
        let second = pool.acquire(Access::Read, soon()).await.unwrap();
        drop((first, second));
        let text = log.text();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("MYSQL_TLS=")).collect();
        assert_eq!(lines.len(), usize::from(!said.is_empty()), "{mode:?}: {text}");
        assert!(lines.iter().all(|line| line.contains(said) && line.contains(mode.name())), "{mode:?}: {text}");
    }
}
