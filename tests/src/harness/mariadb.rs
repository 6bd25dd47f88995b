//! A MariaDB server of one's own.
//!
//! A small shell is between this process and the server. It holds a pipe from this process: however this process
//! ends, the pipe closes, and the shell kills the server and removes its folder. Should the shell be killed, the
//! kernel kills the server.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::ports;

/// The user that tests connect as; it has no right to bypass `read_only` or `max_connections`.
pub const USER: &str = "cofferdam";

/// That user's password, good for a server on loopback that lives as long as its test.
pub const PASSWORD: &str = "p@ss:w/rd%";

/// The longest that a server may take to accept connections, so that a test ends.
const STARTING: Duration = Duration::from_secs(60);

/// Another program can take a free port before the server does.
const PORT_ATTEMPTS: u32 = 5;

/// An administrator goes on working where a test gave the server values that others suffer from.
const ADMINISTRATOR_SESSION: &str = "SET autocommit = 1, tx_read_only = 0, completion_type = 0, \
    sql_select_limit = 18446744073709551615, max_join_size = 18446744073709551615, sql_big_selects = 1, max_statement_time = 0, \
    max_session_mem_used = 9223372036854775807, wait_timeout = 28800";

const MISSING: &str = "install mariadb-server, or set TEST_MYSQL_URL";

/// Reads one order a line and answers each. Arguments: the server's folder, then its command. `TMPDIR` is a folder of the
/// server's own too: as it starts, a server removes what others have in one that they share.
const SUPERVISOR: &str = r#"
folder=$1
shift
server=
start() {
    if command -v setpriv >/dev/null; then
        setpriv --pdeathsig KILL "$@" </dev/null >>"$folder/log" 2>&1 &
    else
        "$@" </dev/null >>"$folder/log" 2>&1 &
    fi
    server=$!
}
finish() {
    if [ -n "$server" ]; then
        kill -"$1" "$server"
        wait "$server"
        server=
    fi
}
start "$@"
while read -r order; do
    case $order in
        start) [ -n "$server" ] || start "$@" ;;
        stop) finish TERM ;;
        kill) finish KILL ;;
        pause)
            kill -STOP "$server"
            # Each thread stops by itself, some time after the signal was sent.
            while grep -hs '^State:' /proc/"$server"/task/*/status | grep -qv '[TZX] ('; do sleep 0.01; done ;;
        resume) [ -z "$server" ] || kill -CONT "$server" ;;
    esac
    echo done
done
finish KILL
rm -rf "$folder" "$TMPDIR"
# What the server itself had started, such as a transfer of state to another node, is in this group too.
kill -KILL 0
"#;

/// A running server. It ends, and its folder goes, when this is dropped or this process ends.
pub struct MariaDb {
    supervisor: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
    port: u16,
}

impl MariaDb {
    /// Starts a server with a new datadir, and waits until it accepts connections.
    ///
    /// `arguments` come after those of the tests, such as `--max-connections=10`.
    ///
    /// # Errors
    ///
    /// MariaDB is not installed, or does not start; the error has the end of its log.
    pub async fn start(arguments: &[String]) -> Result<Self> {
        Self::start_in(&in_memory(), arguments).await
    }

    /// As [`start`](Self::start), in a folder of this one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_in(parent: &Path, arguments: &[String]) -> Result<Self> {
        let daemon = find_program(&["mariadbd", "mysqld"])?;
        Self::start_from(&daemon, &template(&daemon)?, parent, arguments).await
    }

    async fn start_from(daemon: &Path, template: &Path, parent: &Path, arguments: &[String]) -> Result<Self> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let server = Self::launch(daemon, &Launch::alone(template, parent, arguments)?)?;
            match server.ready().await {
                Ok(()) => return Ok(server),
                Err(_) if attempt < PORT_ATTEMPTS && server.log().contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`start`](Self::start), where the datadir itself was made with these arguments, such as `--innodb-page-size=8k`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_made_with(arguments: &[String]) -> Result<Self> {
        let daemon = find_program(&["mariadbd", "mysqld"])?;
        let template = template_made_with(&daemon, arguments)?;
        Self::start_from(&daemon, &template, &in_memory(), arguments).await
    }

    /// Starts a server's process, and does not wait for it.
    pub(super) fn launch(daemon: &Path, launch: &Launch<'_>) -> Result<Self> {
        let parent = launch.parent;
        let folder = new_folder(parent)?;
        // Not on a disk that a test fills up: a server waits there for room.
        let temporary = new_folder(&in_memory())?;
        run(Command::new("cp").arg("-R").arg(launch.template).arg(folder.join("data")))?;
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "mariadb-supervisor"]).arg(&folder).arg(daemon).env("TMPDIR", &temporary);
        match launch.options {
            Some(_) => command.arg(format!("--defaults-file={}", options_in(&folder).display())),
            None => command.arg("--no-defaults"),
        };
        command
            .arg(format!("--user={}", launch.user))
            .arg(format!("--datadir={}", folder.join("data").display()))
            .arg(format!("--socket={}", folder.join("socket").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--port={}", launch.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--performance-schema=0"])
            // 2 keeps committed rows when the server is killed.
            .args(["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0"])
            .args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=4M", "--max-connections=200"])
            .args(launch.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A signal to the group of the tests must not keep the shell from removing the folder.
            .process_group(0);
        if let Some(options) = launch.options {
            fs::write(options_in(&folder), options)?;
        }
        if launch.user != user_name()? {
            run(Command::new("chown").args(["-R", launch.user]).args([&folder, &temporary]))?;
        }
        let mut supervisor = command.spawn().context("sh does not start")?;
        let orders = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().context("sh has no output")?);
        Ok(Self { supervisor, orders, answers, folder, port: launch.port })
    }

    /// Where the server keeps its data.
    pub(super) fn datadir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Changes the file of options with which the server starts the next time.
    pub(super) fn set_options(&self, options: &str) -> Result<()> {
        Ok(fs::write(options_in(&self.folder), options)?)
    }

    /// Waits until the server accepts connections.
    ///
    /// # Errors
    ///
    /// It does not start; the error has the end of its log.
    pub(super) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + STARTING;
        loop {
            match mysql_async::Conn::new(self.administrator()).await {
                Ok(connection) => {
                    connection.disconnect().await?;
                    return Ok(());
                }
                Err(error) => {
                    let log = self.log();
                    if log.contains("Aborting") || Instant::now() >= deadline {
                        let lines: Vec<_> = log.lines().rev().take(15).collect();
                        let end: Vec<_> = lines.into_iter().rev().collect();
                        bail!("MariaDB does not start: {error}\n{}", end.join("\n"));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How to connect as the server's administrator: through its socket, which TLS and `read_only` do not bind.
    pub fn administrator(&self) -> mysql_async::Opts {
        mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .socket(Some(self.folder.join("socket").to_string_lossy()))
            .user(Some("root"))
            .init(vec![ADMINISTRATOR_SESSION])
            .into()
    }

    /// Ends the server as an administrator does.
    ///
    /// # Errors
    ///
    /// The supervising shell is gone.
    pub fn stop(&mut self) -> Result<()> {
        self.order("stop")
    }

    /// Kills the server in mid-work.
    ///
    /// # Errors
    ///
    /// The supervising shell is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.order("kill")
    }

    /// Makes the server hang: it accepts connections, and answers nothing.
    ///
    /// # Errors
    ///
    /// The supervising shell is gone.
    pub fn pause(&mut self) -> Result<()> {
        self.order("pause")
    }

    /// Ends a [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// The supervising shell is gone.
    pub fn resume(&mut self) -> Result<()> {
        self.order("resume")
    }

    /// Starts the server again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port with the same
    /// data, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.launch_again()?;
        self.ready().await
    }

    /// As [`start_again`](Self::start_again), and does not wait for it.
    pub(super) fn launch_again(&mut self) -> Result<()> {
        fs::rename(self.folder.join("log"), self.folder.join("log.before"))?;
        self.order("start")
    }

    fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the server has ended")?;
        writeln!(orders, "{order}").context("the shell that supervises MariaDB is gone")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(answer == "done\n", "the shell that supervises MariaDB is gone");
        Ok(())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends as soon as it has read the end of the pipe; there is nobody to tell if it cannot be waited for.
        let _ = self.supervisor.wait();
    }
}

/// How a server is started.
pub(super) struct Launch<'a> {
    /// The datadir that its own is copied from.
    pub template: &'a Path,
    /// Where its own folder is made.
    pub parent: &'a Path,
    /// Its TCP port on 127.0.0.1.
    pub port: u16,
    /// The user whose rights it has.
    pub user: &'a str,
    /// The text of a file of options. Arguments go before it.
    pub options: Option<&'a str>,
    /// What comes after the arguments of the tests.
    pub arguments: &'a [String],
}

impl<'a> Launch<'a> {
    fn alone(template: &'a Path, parent: &'a Path, arguments: &'a [String]) -> Result<Self> {
        static USER: OnceLock<String> = OnceLock::new();
        let user = match USER.get() {
            Some(user) => user,
            None => {
                let name = user_name()?;
                USER.get_or_init(|| name)
            }
        };
        Ok(Self { template, parent, port: ports::free(1)?[0], user, options: None, arguments })
    }
}

/// Where a server's files are quickest.
pub(super) fn in_memory() -> PathBuf {
    Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir)
}

fn new_folder(parent: &Path) -> Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("cofferdam-mariadb-").tempdir_in(parent);
    Ok(folder.with_context(|| format!("no folder for a server in {}", parent.display()))?.keep())
}

fn options_in(folder: &Path) -> PathBuf {
    folder.join("options.cnf")
}

/// A datadir that is made once for every version of the server, and copied for each server.
pub(super) fn template(daemon: &Path) -> Result<PathBuf> {
    template_made_with(daemon, &[])
}

fn template_made_with(daemon: &Path, arguments: &[String]) -> Result<PathBuf> {
    let version = run(Command::new(daemon).args(["--no-defaults", "--version"]))?;
    let version = format!("{version}{}", arguments.concat());
    let version: String = version.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let cache = cache_folder()?;
    let template = cache.join(format!("mariadb-{version}"));
    let lock = File::create(cache.join("mariadb.lock"))?;
    lock.lock().context("the lock on the template of MariaDB's datadir")?;
    if !template.is_dir() {
        let making = cache.join("mariadb-in-the-making");
        if making.exists() {
            fs::remove_dir_all(&making)?;
        }
        run(Command::new(find_program(&["mariadb-install-db", "mysql_install_db"])?)
            .arg("--no-defaults")
            .arg(format!("--user={}", user_name()?))
            .arg(format!("--datadir={}", making.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            .arg("--innodb-log-file-size=4M")
            .args(arguments))?;
        fs::rename(&making, &template)?;
    }
    Ok(template)
}

fn cache_folder() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("cofferdam-tests");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

pub(super) fn find_program(names: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let folders: Vec<_> = folders.collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .with_context(|| format!("{} is not there: {MISSING}", names[0]))
}

pub(super) fn user_name() -> Result<String> {
    Ok(run(Command::new("id").arg("-un"))?.trim().to_owned())
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
