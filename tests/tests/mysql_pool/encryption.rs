//! Each mode of encryption, on a server that offers it and on one that does not.

use std::process::{Command, Stdio};

use cofferdam::config::{MysqlConfig, PoolConfig, Tls, TlsMode};
use cofferdam::sql::{Rows, SqlError, mysql};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use tempfile::TempDir;

use crate::read;

/// Two authorities, and a certificate of the first for a host that the tests do not connect to.
const CERTIFICATES: &str = r#"
    for ca in ca other; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
    done
    openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
    printf 'subjectAltName=DNS:elsewhere.example\nbasicConstraints=CA:FALSE' > ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
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
async fn cipher(home: &MysqlDatabase, tls: Tls) -> Result<Rows, SqlError> {
    let pool = mysql::open(&MysqlConfig { tls, ..home.config() }, &PoolConfig::default())?;
    let cipher = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";
    read(&*pool, cipher).await
}

#[tokio::test]
async fn encryption_is_as_strict_as_its_mode() {
    let folder = certificates();
    let file = |name: &str| folder.path().join(name);
    let options = [("ca", "ca.pem"), ("cert", "server.pem"), ("key", "server.key")]
        .map(|(name, key)| format!("--ssl-{name}={}", file(key).display()));
    let server = MysqlServer::start(&options).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    for (mode, ca, encrypted) in [
        (TlsMode::Disabled, None, Ok(false)),
        (TlsMode::Preferred, None, Ok(true)),
        (TlsMode::Required, None, Ok(true)),
        (TlsMode::VerifyCa, Some("ca.pem"), Ok(true)),
        (TlsMode::VerifyCa, Some("other.pem"), Err("2026")),
        (TlsMode::VerifyCa, None, Err("2026")),
        (TlsMode::VerifyIdentity, Some("ca.pem"), Err("2026")),
    ] {
        let result = cipher(&home, Tls { mode, ca: ca.map(file) }).await;
        let seen = result.as_ref().map(|rows| !rows.text.is_empty()).map_err(|error| error.code.as_deref());
        assert_eq!(seen, encrypted.map_err(Some), "{mode:?} {ca:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_server_without_encryption_will_do_where_it_is_only_preferred() {
    let server = MysqlServer::start(&["--skip-ssl".to_owned()]).await.unwrap();
    let home = server.create_database(DatabaseOptions::default()).await.unwrap();
    let error = cipher(&home, Tls { mode: TlsMode::Required, ca: None }).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("2026"), "{error}");
    assert_eq!(cipher(&home, Tls { mode: TlsMode::Preferred, ca: None }).await.unwrap().text, "");
}
