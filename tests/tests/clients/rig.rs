//! A server on a SQLite file, and programs that talk to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_tests::harness::clients::{Language, Program, Refusal};
use cofferdam_tests::harness::command::on_sqlite;
use cofferdam_tests::harness::serve::Serve;
use cofferdam_tests::harness::sqlite::SqliteFolder;
use serde_json::{Value, json};

/// So that a test ends; nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a database, in which a server is started any number of times.
pub struct Place {
    folder: SqliteFolder,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    pub fn new() -> Result<Self> {
        Ok(Self { folder: SqliteFolder::new()?, variables: Vec::new() })
    }

    /// With a variable of the server's.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Where writes are tried once, and the first failure opens the breaker: the server then asks its clients to wait.
    pub fn impatient() -> Result<Self> {
        let place = Self::new()?.with("COFFERDAM_RETRY_ATTEMPTS", "1").with("COFFERDAM_BREAKER_FAILURES", "1");
        Ok(place.with("COFFERDAM_LOG", "debug"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server on the socket of this place.
    pub fn serve(&self) -> Result<Serve> {
        self.start(&["--socket"], &self.path("operations"))
    }

    /// A server on a TCP port, which wants this token.
    pub fn serve_on_tcp(&self, token: &str) -> Result<(Serve, u16)> {
        std::fs::write(self.path("token"), token)?;
        let serve = self.start(&["--listen", "127.0.0.1:0", "--token-file"], &self.path("token"))?;
        let port = serve.operations.rsplit(':').next().context("a port")?.parse()?;
        Ok((serve, port))
    }

    fn start(&self, arguments: &[&str], last: &Path) -> Result<Serve> {
        let mut command: Command = on_sqlite(&["serve", "--json"]);
        command.args(arguments).arg(last).arg("--admin-socket").arg(self.path("administration"));
        command.env("DATABASE_PATH", self.folder.database());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        Serve::start(&mut command, self.folder.path())
    }

    /// Takes the database away.
    pub fn take(&self) -> Result<()> {
        for (from, to) in self.files() {
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        Ok(())
    }

    /// Puts it back.
    pub fn put_back(&self) -> Result<()> {
        for (to, from) in self.files() {
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Vec<(PathBuf, PathBuf)> {
        let database = self.folder.database();
        let name = database.to_string_lossy();
        // The log before the file, and back after it would be torn apart; so both ways the file is last.
        ["-wal", "-shm", ""].map(|end| (format!("{name}{end}").into(), format!("{name}{end}.away").into())).into()
    }

    /// A client of the server on the socket of this place, which is open.
    pub async fn client(&self, language: Language) -> Result<Program> {
        client(language, &format!("unix:{}", self.path("operations").display()), None, PATIENCE).await
    }
}

/// A client that is open.
pub async fn client(
    language: Language,
    address: &str,
    token_file: Option<&Path>,
    timeout: Duration,
) -> Result<Program> {
    let program = Program::start(language)?;
    program.connect(address, token_file.and_then(Path::to_str), timeout).await?;
    program.call("initialize").await?.map_err(|refusal| anyhow::anyhow!("{}: {refusal:?}", language.name()))?;
    Ok(program)
}

/// The request to write a state.
pub fn upsert(channel: &str, message: &str) -> Value {
    let state = json!({
        "id": "0", "channel_id": channel, "thread_id": null, "last_message_id": message,
        "last_seen_timestamp": "1", "created_at": "0", "updated_at": "0",
    });
    json!({ "operation": "upsert_message_state", "state": state })
}

/// The request to read it.
pub fn get(channel: &str) -> Value {
    json!({ "operation": "get_message_state", "channel_id": channel, "thread_id": null })
}

/// What a write returned.
#[track_caller]
pub fn result(answer: &Result<Value, Refusal>) -> &str {
    match answer {
        Ok(value) => value["result"].as_str().unwrap_or("nothing"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

/// Kind of an error, and whether a retry may help.
#[track_caller]
pub fn refusal(answer: Result<Value, Refusal>) -> (String, bool) {
    let refusal = answer.expect_err("an error");
    (refusal.kind, refusal.retryable)
}
