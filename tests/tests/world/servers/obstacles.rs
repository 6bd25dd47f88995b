//! What no session can change is refused by name before anything is made, or told.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use cofferdam::clock::SystemClock;
use cofferdam::config::{HostPort, MysqlConfig, Secret};
use cofferdam::{ErrorKind, MessageState, StorageService};
use cofferdam_conformance::run_all;
use cofferdam_tests::harness::command::{cofferdam, on_mysql, run};
use cofferdam_tests::harness::mysql::{MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::plugins;
use cofferdam_tests::harness::storage::Home;
use serde_json::Value as Json;

use super::Hostile;

fn database(home: &Home) -> &MysqlDatabase {
    match home {
        Home::Mysql(database) => database,
        Home::Sqlite(_) => unreachable!("it is on a server"),
    }
}

/// `cofferdam migrate` between these, in a folder for its files.
fn migrate(from: &Home, to: &Home, folder: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(cofferdam()?);
    command.args(["migrate", "--from", &from.spec(), "--to", &to.spec()]).args(arguments);
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("COFFERDAM_PLUGINS", Path::new(plugins::SQLITE).parent().context("a folder")?);
    command.env("COFFERDAM_CACHE", plugins::CODE_CACHE).env("MYSQL_TLS", "disabled");
    for home in [from, to] {
        if let Home::Mysql(database) = home {
            command.env("MYSQL_PASSWORD", database.config().password.expose());
        }
    }
    Ok(command)
}

impl Hostile {
    async fn tables_in(&self, home: &Home) -> Result<i64> {
        let name = database(home).config().database;
        self.number(&format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{name}'")).await
    }

    /// A start, a check, a plan and a migration are refused by this name, and nothing is made.
    async fn assert_refused(&self, name: &str) -> Result<()> {
        let home = self.home().await?;
        let config = database(&home).config();
        let storage = home.storage(Arc::new(SystemClock))?;
        let error = storage.initialize().await.expect_err("it is refused");
        ensure!(error.kind() == ErrorKind::Refused && error.message().contains(name), "{error}");
        let (_, message) = run(&mut on_mysql(&config, &["check", "--timeout", "1m"]), 1);
        ensure!(message.contains("refused") && message.contains(name), "{message}");
        let (from, folder) = (Home::sqlite()?, tempfile::tempdir()?);
        from.open().await?.close().await?;
        let (plan, _) = run(&mut migrate(&from, &home, folder.path(), &[])?, 0);
        ensure!(plan.contains("would be refused") && plan.contains(name), "{plan}");
        let (_, message) = run(&mut migrate(&from, &home, folder.path(), &["--execute"])?, 2);
        ensure!(message.contains(name), "{message}");
        ensure!(self.tables_in(&home).await? == 0, "{name}: tables were made");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_statements_is_refused_and_can_be_read_from() -> Result<()> {
    let hostile = Hostile::start(&["--log-bin", "--binlog-format=ROW"]).await?;
    let (before, after) = (hostile.home().await?, hostile.home().await?);
    for home in [&before, &after] {
        let storage = home.open().await?;
        storage.upsert_message_state(&MessageState::new("c", None, "m", 1_700_000_000)).await?;
        storage.close().await?;
    }
    // A bot at work, and one that starts.
    let working = after.open().await?;
    hostile.execute(&["SET GLOBAL binlog_format = 'STATEMENT'"]).await?;
    hostile.assert_refused("binlog_format").await?;
    let (to, folder) = (Home::sqlite()?, tempfile::tempdir()?);
    run(&mut migrate(&before, &to, folder.path(), &["--execute"])?, 0);
    let moved = to.open().await?;
    ensure!(moved.get_all_message_states().await?.len() == 1, "the state was not moved");
    working.upsert_message_state(&MessageState::new("c", None, "its session is as it was", 1_700_000_000)).await?;
    let config = database(&after).config();
    let (_, message) = run(&mut on_mysql(&config, &["state", "put", "c", "--message", "n"]), 1);
    ensure!(message.contains("SET GLOBAL binlog_format"), "{message}");
    run(&mut on_mysql(&config, &["state", "get", "c"]), 0);
    run(&mut on_mysql(&config, &["check", "--no-upgrade", "--timeout", "1m"]), 1);
    for right in ["ROW", "MIXED"] {
        hostile.execute(&[&format!("SET GLOBAL binlog_format = '{right}'")]).await?;
        run(&mut on_mysql(&config, &["state", "put", "c", "--message", right]), 0);
    }
    hostile.execute(&["SET GLOBAL binlog_format = 'MIXED'"]).await?;
    run_all(hostile).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_by_name_when_the_log_is_changed_below_a_bot() -> Result<()> {
    let hostile = Hostile::start(&["--log-bin", "--binlog-format=ROW"]).await?;
    let home = hostile.home().await?;
    let storage = home.open().await?;
    let state = MessageState::new("c", None, "m", 1_700_000_000);
    storage.upsert_message_state(&state).await?;
    hostile.execute(&["SET GLOBAL binlog_format = 'STATEMENT'"]).await?;
    end_sessions(&hostile).await?;
    let refused = async || match storage.upsert_message_state(&state).await {
        Err(error) if error.kind() == ErrorKind::Unavailable => Ok(false),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Refused && error.message().contains("binlog_format"), "{error}");
            Ok(true)
        }
        Ok(_) => anyhow::bail!("it was acknowledged"),
    };
    // The first may meet the connection that was ended.
    ensure!(refused().await? || refused().await?, "it was not refused");
    ensure!(storage.get_message_state("c", None).await?.is_some(), "reading goes on");
    hostile.execute(&["SET GLOBAL binlog_format = 'ROW'"]).await?;
    let ended = refused().await;
    ensure!(ended.is_err() || storage.upsert_message_state(&state).await.is_ok(), "it goes on by itself");
    storage.upsert_message_state(&state).await?;
    Ok(())
}

/// Ends the sessions of all but administrators.
async fn end_sessions(hostile: &Hostile) -> Result<()> {
    use mysql_async::prelude::Queryable;
    let mut administrator = hostile.server.administrator().await?;
    let query = "SELECT id FROM information_schema.processlist WHERE user = 'cofferdam'";
    for id in administrator.query::<u64, _>(query).await? {
        administrator.query_drop(format!("KILL {id}")).await?;
    }
    Ok(administrator.disconnect().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_have_the_log_otherwise_does() -> Result<()> {
    let hostile = Hostile::start(&["--log-bin", "--binlog-format=STATEMENT"]).await?;
    hostile.execute(&["GRANT BINLOG ADMIN ON *.* TO cofferdam@'%'"]).await?;
    let home = hostile.home().await?;
    let storage = home.open().await?;
    storage.upsert_message_state(&MessageState::new("c", None, "m", 1_700_000_000)).await?;
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_tables_of_ours_is_refused() -> Result<()> {
    let hostile = Hostile::start(&[]).await?;
    hostile.execute(&["SET GLOBAL enforce_storage_engine = 'MyISAM'"]).await?;
    hostile.assert_refused("enforce_storage_engine").await?;
    hostile.execute(&["SET GLOBAL enforce_storage_engine = DEFAULT, max_allowed_packet = 16384"]).await?;
    hostile.assert_refused("max_allowed_packet").await?;
    hostile.execute(&["SET GLOBAL max_allowed_packet = 65536"]).await?;
    let home = hostile.home().await?;
    home.open().await?.close().await?;
    Hostile::start(&["--skip-innodb", "--default-storage-engine=Aria"]).await?.assert_refused("InnoDB").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_tables_take_no_writes_is_refused() -> Result<()> {
    Hostile::start(&["--innodb-force-recovery=4"]).await?.assert_refused("innodb_force_recovery").await?;
    Hostile::start(&["--innodb-read-only"]).await?.assert_refused("innodb_read_only").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_pages_too_small_for_the_keys_is_refused() -> Result<()> {
    let server = MysqlServer::start_made_with(&["--innodb-page-size=8k".to_owned()]).await?;
    Hostile { server }.assert_refused("innodb_page_size").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_format_of_short_keys_is_of_no_matter() -> Result<()> {
    let hostile = Hostile::start(&["--innodb-default-row-format=compact", "--lower-case-table-names=1"]).await?;
    let home = hostile.home().await?;
    let storage = home.open().await?;
    storage.upsert_message_state(&MessageState::new("\u{1f980}".repeat(255), None, "m", 1_700_000_000)).await?;
    storage.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_whatever_it_calls_itself() -> Result<()> {
    for version in ["8.0.36", "11.8.2-MariaDB", "10.2.1-MariaDB-proxied", "5.5.5"] {
        let hostile =
            Hostile::start(&[&format!("--version={version}"), "--transaction-isolation=SERIALIZABLE"]).await?;
        hostile.execute(&["SET GLOBAL tx_read_only = 1"]).await?;
        let home = hostile.home().await?;
        let storage = home.open().await.with_context(|| version.to_owned())?;
        for message in ["m", "n"] {
            storage.upsert_message_state(&MessageState::new("c", None, message, 1_700_000_000)).await?;
        }
        ensure!(storage.get_all_message_states().await?.len() == 1, "{version}");
        storage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matters_less_is_told() -> Result<()> {
    let hostile = Hostile::start(&[]).await?;
    let home = hostile.home().await?;
    let config = database(&home).config();
    home.open().await?.close().await?;
    let name = config.database.replace('_', "\\_");
    let account = |user: &str| MysqlConfig { username: user.to_owned(), password: Secret::new("x"), ..config.clone() };
    let remarks = |config: &MysqlConfig| -> Result<String> {
        let (report, _) = run(&mut on_mysql(config, &["check", "--json", "--timeout", "1m"]), 0);
        Ok(serde_json::from_str::<Json>(&report)?["remarks"].to_string())
    };
    let make = async |user: &str, grants: &[String]| {
        hostile.execute(&[&format!("CREATE USER {user}@'%' IDENTIFIED BY 'x'")]).await?;
        for grant in grants {
            hostile.execute(&[&format!("GRANT {grant} TO {user}@'%'")]).await?;
        }
        anyhow::Ok(())
    };
    let own = format!("ALL ON `{name}`.*");
    make("modest", std::slice::from_ref(&own)).await?;
    ensure!(remarks(&account("modest"))? == "[]", "{}", remarks(&account("modest"))?);
    make("measuring", &[own.clone(), r"ALL ON `cofferdam\_bench\_%`.*".to_owned()]).await?;
    ensure!(remarks(&account("measuring"))? == "[]", "{}", remarks(&account("measuring"))?);
    for (user, grant, part) in [
        ("reader", "SELECT ON mysql.*", "SELECT on `mysql`"),
        ("filer", "FILE, SUPER ON *.*", "FILE"),
        ("almighty", "ALL ON *.*", "ALL PRIVILEGES on *.*"),
        ("wide", r"SELECT ON `cofferdam\_%`.*", r"SELECT on `cofferdam\\_%`"),
    ] {
        make(user, &[own.clone(), grant.to_owned()]).await?;
        let told = remarks(&account(user))?;
        ensure!(told.contains("has more rights than its database needs") && told.contains(part), "{user}: {told}");
        ensure!(!told.contains("PASSWORD") && !told.contains('*'.to_string().repeat(2).as_str()), "{told}");
    }
    hostile.execute(&["SET GLOBAL max_allowed_packet = 1048576, read_only = 1"]).await?;
    let told = remarks(&account("modest"))?;
    ensure!(told.contains("max_allowed_packet is 1048576") && told.contains("read_only"), "{told}");
    let from = Home::sqlite()?;
    from.open().await?.close().await?;
    let folder = tempfile::tempdir()?;
    let (plan, _) = run(&mut migrate(&from, &home, folder.path(), &[])?, 0);
    ensure!(plan.contains("max_allowed_packet"), "{plan}");
    // Nothing is written to a source.
    let (plan, _) = run(&mut migrate(&home, &Home::sqlite()?, folder.path(), &[])?, 0);
    ensure!(!plan.contains("max_allowed_packet") && !plan.contains("read_only"), "{plan}");
    Ok(())
}

/// Ends with this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name has two addresses; at the first somebody takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_swallows_is_passed_over() -> Result<()> {
    let mut hostile = Arc::into_inner(Hostile::start(&["--bind-address=127.0.0.9"]).await?).context("one owner")?;
    let home = hostile.home().await?;
    let port = hostile.server.process().context("a server of ours")?.port();
    // The resolver puts the address first that the host itself would be reached from.
    let silent = std::net::TcpListener::bind(("127.0.0.1", port))?;
    silent.set_nonblocking(true)?;
    let folder = tempfile::tempdir()?;
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 several.example\n127.0.0.9 several.example\n")?;
    let config = MysqlConfig { hosts: vec![HostPort::new("several.example", port)], ..database(&home).config() };
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(&hosts);
    command.arg(cofferdam()?).args(["check", "--timeout", "1m"]).env_clear().stdin(Stdio::null());
    let check = on_mysql(&config, &[]);
    command.envs(check.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("MYSQL_TIMEOUT", "20s");
    let output = Killed(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    let (stdout, stderr) = output.finish()?;
    ensure!(stdout.contains("health"), "{stdout}{stderr}");
    silent.accept().context("the address that swallows was tried")?;
    Ok(())
}

impl Killed {
    fn finish(mut self) -> Result<(String, String)> {
        use std::io::Read;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().context("output")?.read_to_string(&mut stdout)?;
        self.0.stderr.take().context("output")?.read_to_string(&mut stderr)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "{stdout}{stderr}");
        Ok((stdout, stderr))
    }
}
