//! Databases on a MySQL server: one that the tests start, or the one that `TEST_MYSQL_URL` names.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use cofferdam::config::{HostPolicy, HostPort, MysqlConfig, Secret, Tls, TlsMode};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::sync::OnceCell;
use url::Url;

use super::mariadb::{MariaDb, PASSWORD, USER};

/// The variable that names a server to use instead of one that the tests start, such as
/// `mysql://root:secret@127.0.0.1:3306`. Its user must have the right to create databases.
pub const URL_VARIABLE: &str = "TEST_MYSQL_URL";

/// A server on which tests create databases.
pub struct MysqlServer {
    process: Option<MariaDb>,
    administrator: Opts,
    /// How tests connect; `database` is empty.
    user: MysqlConfig,
}

/// How a new database is made. The default leaves both to the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct DatabaseOptions<'a> {
    /// Such as `latin1`.
    pub charset: Option<&'a str>,
    /// Such as `utf8mb4_general_ci`.
    pub collation: Option<&'a str>,
}

impl MysqlServer {
    /// The server that all tests of this process share.
    ///
    /// # Errors
    ///
    /// There is none: neither `TEST_MYSQL_URL` nor an installed MariaDB, or it does not start or answer.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<MysqlServer> = OnceCell::const_new();
        SHARED
            .get_or_try_init(|| async {
                match std::env::var(URL_VARIABLE) {
                    Ok(url) => Self::external(&url),
                    Err(_) => Self::start(&[]).await,
                }
            })
            .await
    }

    /// A MariaDB of one's own, whatever `TEST_MYSQL_URL` says, with further arguments such as `--read-only`.
    ///
    /// # Errors
    ///
    /// MariaDB is not installed, or does not start.
    pub async fn start(arguments: &[String]) -> Result<Self> {
        Self::over(MariaDb::start(arguments).await?).await
    }

    /// As [`start`](Self::start), in a folder of this one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_in(folder: &Path, arguments: &[String]) -> Result<Self> {
        Self::over(MariaDb::start_in(folder, arguments).await?).await
    }

    /// As [`start`](Self::start), where the datadir itself was made with these arguments.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_made_with(arguments: &[String]) -> Result<Self> {
        Self::over(MariaDb::start_made_with(arguments).await?).await
    }

    async fn over(process: MariaDb) -> Result<Self> {
        let administrator = process.administrator();
        let mut connection = Conn::new(administrator.clone()).await?;
        connection.query_drop(format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'")).await?;
        connection.query_drop(format!(r"GRANT ALL ON `cofferdam\_%`.* TO {USER}@'%'")).await?;
        connection.disconnect().await?;
        let user = config("127.0.0.1", process.port(), USER, PASSWORD);
        Ok(Self { process: Some(process), administrator, user })
    }

    fn external(url: &str) -> Result<Self> {
        // The text is not repeated in an error, since it has a password in it.
        let url = Url::parse(url).with_context(|| format!("{URL_VARIABLE} is no URL"))?;
        ensure!(url.scheme() == "mysql", "{URL_VARIABLE} does not begin with mysql://");
        let host = url.host_str().with_context(|| format!("{URL_VARIABLE} names no host"))?;
        let (name, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
        let host = host.trim_matches(['[', ']']);
        let user = config(host, url.port().unwrap_or(3306), &name, &password);
        let administrator = OptsBuilder::default()
            .ip_or_hostname(host)
            .tcp_port(user.hosts[0].port)
            .prefer_socket(false)
            .user(Some(name))
            .pass(Some(password))
            .into();
        Ok(Self { process: None, administrator, user })
    }

    /// The server's process, if the tests started it.
    pub fn process(&mut self) -> Option<&mut MariaDb> {
        self.process.as_mut()
    }

    /// A connection with an administrator's rights.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub async fn administrator(&self) -> Result<Conn> {
        Ok(Conn::new(self.administrator.clone()).await?)
    }

    /// Makes an empty database with a name of its own.
    ///
    /// # Errors
    ///
    /// The server does not answer, or does not know the charset.
    pub async fn create_database(&self, options: DatabaseOptions<'_>) -> Result<MysqlDatabase> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let name = format!("cofferdam_{}_{number}_{now}", std::process::id());
        let mut statement = format!("CREATE DATABASE `{name}`");
        if let Some(charset) = options.charset {
            statement += &format!(" CHARACTER SET {charset}");
        }
        if let Some(collation) = options.collation {
            statement += &format!(" COLLATE {collation}");
        }
        let mut connection = self.administrator().await?;
        connection.query_drop(statement).await?;
        connection.disconnect().await?;
        // A server of our own takes its databases with it.
        let drop_as = self.process.is_none().then(|| self.administrator.clone());
        Ok(MysqlDatabase { config: MysqlConfig { database: name, ..self.user.clone() }, drop_as })
    }
}

/// A database of one test. On a server that the tests did not start it is removed when this is dropped.
#[derive(Debug)]
pub struct MysqlDatabase {
    config: MysqlConfig,
    drop_as: Option<Opts>,
}

impl MysqlDatabase {
    /// How to connect to it.
    pub fn config(&self) -> MysqlConfig {
        self.config.clone()
    }

    /// A connection to it that is not the storage's, with the user's rights.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub async fn connect(&self) -> Result<Conn> {
        connect(&self.config).await
    }
}

/// A connection of the bare driver to the first of the hosts.
///
/// # Errors
///
/// The server does not answer.
pub async fn connect(config: &MysqlConfig) -> Result<Conn> {
    let options = OptsBuilder::default()
        .ip_or_hostname(&config.hosts[0].host)
        .tcp_port(config.hosts[0].port)
        .prefer_socket(false)
        .user(Some(&config.username))
        .pass(Some(config.password.expose()))
        .db_name(Some(&config.database));
    Ok(Conn::new(options).await?)
}

impl Drop for MysqlDatabase {
    fn drop(&mut self) {
        let Some(administrator) = self.drop_as.take() else { return };
        let name = std::mem::take(&mut self.config.database);
        // On a thread of its own, since this one may belong to a runtime.
        let removal = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = Conn::new(administrator).await?;
                connection.query_drop("SET SESSION lock_wait_timeout = 10").await?;
                connection.query_drop(format!("DROP DATABASE IF EXISTS `{name}`")).await?;
                connection.disconnect().await?;
                Ok(())
            })
        });
        if !matches!(removal.join(), Ok(Ok(()))) {
            eprintln!("a test's database was left on the server that {URL_VARIABLE} names");
        }
    }
}

pub(super) fn config(host: &str, port: u16, username: &str, password: &str) -> MysqlConfig {
    MysqlConfig {
        hosts: vec![HostPort::new(host, port)],
        host_policy: HostPolicy::Ordered,
        database: String::new(),
        username: username.to_owned(),
        password: Secret::new(password),
        password_file: None,
        connect_timeout: Duration::from_secs(10),
        round_trip_timeout: Duration::from_secs(30),
        connect_attempts: 5,
        tls: Tls { mode: TlsMode::Disabled, ca: None },
    }
}

/// Undoes the percent-encoding of a URL's user name or password.
fn decode(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let digits = bytes.get(place + 1..place + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[place], digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                place += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                place += 1;
            }
        }
    }
    String::from_utf8(decoded).with_context(|| format!("{URL_VARIABLE} has a user or password that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_user_password_host_and_port() {
        let server = MysqlServer::external("mysql://bot%40home:p%3Aw%2F%25@db.example:3307/ignored").unwrap();
        let user = &server.user;
        assert_eq!((&user.hosts[..], user.username.as_str()), (&[HostPort::new("db.example", 3307)][..], "bot@home"));
        assert_eq!(user.password.expose(), "p:w/%");
    }

    #[test]
    fn a_url_without_a_port_means_3306_and_without_a_password_an_empty_one() {
        let server = MysqlServer::external("mysql://root@[::1]").unwrap();
        assert_eq!(server.user.hosts, [HostPort::new("::1", 3306)]);
        assert_eq!(server.user.password.expose(), "");
    }

    #[test]
    fn another_scheme_is_refused_without_repeating_the_password() {
        let error = MysqlServer::external("postgres://root:hunter2@localhost").err().unwrap();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
