use std::any::Any;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam::config::{Config, DatabaseConfig, SqliteConfig};
use cofferdam::plugin::Limits;
use cofferdam::{ErrorKind, MessageState, Storage, StorageService};
use cofferdam_tests::harness::mysql::{DatabaseOptions, MysqlDatabase, MysqlServer};
use cofferdam_tests::harness::sqlite::SqliteFolder;
use cofferdam_tests::harness::storage::config;
use cofferdam_tests::harness::wait::until;

/// So that a test ends; nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The deadline that a misbehaving list operation runs into, while other operations have [`PATIENCE`].
const SHORT: Duration = Duration::from_millis(400);

/// Those who work beside the misbehaving guest.
const NEIGHBOURS: usize = 3;

/// Small enough to be met soon, and more than a guest that behaves needs on a busy machine.
pub const LIMITS: Limits = Limits {
    memory: 8 << 20,
    table_elements: 2_000,
    compute: Duration::from_secs(2),
    result_rows: 1_000,
    result_bytes: 2 << 20,
    parameter_bytes: 1_000,
    connections: 2,
    statements: 8,
    resources: 16,
    output: 4 << 10,
    instances: 8,
};

/// A storage over a misbehaving guest, with a database of its own.
pub struct Sandbox {
    pub storage: Arc<Storage>,
    pub folder: SqliteFolder,
    home: Arc<dyn Any + Send + Sync>,
}

impl Sandbox {
    /// On SQLite, initialised, with [`LIMITS`].
    pub async fn new(guest: &str) -> Result<Self> {
        Self::with(guest, LIMITS).await
    }

    /// As [`new`](Self::new) with other limits.
    pub async fn with(guest: &str, limits: Limits) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let config = sqlite_config(&folder, guest);
        Self::over(config, folder, Arc::new(()), limits).await
    }

    /// On MySQL, initialised, with [`LIMITS`].
    pub async fn mysql(guest: &str) -> Result<(Self, Arc<MysqlDatabase>)> {
        let database = Arc::new(MysqlServer::shared().await?.create_database(DatabaseOptions::default()).await?);
        let config = with_timeouts(config(DatabaseConfig::Mysql(database.config()), guest));
        let sandbox = Self::over(config, SqliteFolder::new()?, database.clone(), LIMITS).await?;
        Ok((sandbox, database))
    }

    /// As [`with`](Self::with), for a guest that does not hang: a list has as long as any operation.
    pub async fn unhurried(guest: &str, limits: Limits) -> Result<Self> {
        let folder = SqliteFolder::new()?;
        let mut config = sqlite_config(&folder, guest);
        config.timeouts.list = config.timeouts.operation;
        Self::over(config, folder, Arc::new(()), limits).await
    }

    async fn over(
        config: Config,
        folder: SqliteFolder,
        home: Arc<dyn Any + Send + Sync>,
        limits: Limits,
    ) -> Result<Self> {
        let storage = Arc::new(Storage::builder(config).limits(limits).build()?);
        storage.initialize().await?;
        Ok(Self { storage, folder, home })
    }

    /// A path at which nothing must appear.
    pub fn marker(&self) -> PathBuf {
        self.folder.path().join("marker")
    }

    /// What is in `marks` of the SQLite file, seen from outside.
    pub fn marks(&self) -> Result<Vec<String>> {
        let file = rusqlite::Connection::open(self.folder.database())?;
        let mut marks = file.prepare("SELECT mark FROM marks")?;
        let marks = marks.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(marks)
    }

    /// Lets a guest misbehave while others work, and requires that they notice nothing, that the next operation
    /// works and that the pool is whole. Returns what it came to, and how many instances it cost.
    pub async fn beside<T>(&self, misbehaviour: impl Future<Output = T>) -> Result<(T, u64)> {
        let before = self.storage.status().discards.total();
        let enough = Arc::new(AtomicBool::new(false));
        let neighbours: Vec<_> = (0..NEIGHBOURS)
            .map(|_| tokio::spawn(work(self.storage.clone(), self.home.clone(), enough.clone())))
            .collect();
        let outcome = tokio::time::timeout(PATIENCE, misbehaviour).await;
        enough.store(true, Ordering::Relaxed);
        for neighbour in neighbours {
            neighbour.await?.context("one who worked beside the guest noticed it")?;
        }
        let outcome = outcome.context("the guest was not stopped")?;
        self.storage.health_check().await.context("the next operation")?;
        self.is_whole().await?;
        Ok((outcome, self.storage.status().discards.total() - before))
    }

    /// Requires that nobody holds a connection or waits for one.
    pub async fn is_whole(&self) -> Result<()> {
        until("all connections are back", PATIENCE, async || {
            self.storage.status().pool.is_some_and(|pool| pool.open == pool.idle && pool.waiting == 0)
        })
        .await
    }

    /// What the guest saw when it was told `what`, line by line.
    pub async fn report(&self, what: &str) -> Result<Vec<String>> {
        let (outcome, discarded) = self.beside(self.storage.get_message_state(what, None)).await?;
        assert_eq!(discarded, 0, "a guest that only asks is kept");
        let report = outcome?.context("the guest reported nothing")?.last_message_id;
        Ok(report.lines().map(str::to_owned).collect())
    }

    /// Requires that the guest gets through with none of these statements.
    pub async fn refuses_all(&self, texts: &[&str]) -> Result<Vec<String>> {
        let report = self.report(&texts.join("\u{1e}")).await?;
        assert_eq!(report.len(), texts.len() * 2, "a line for each try: {report:#?}");
        for line in &report {
            let refused = ["permission-denied: ", "invalid-statement: "].iter().any(|kind| line.starts_with(kind));
            assert!(refused, "got through, or failed for another reason: {line}");
        }
        Ok(report)
    }

    /// The same of statements that would write to PATH, and that nothing appears there.
    pub async fn refuses_a_path(&self, texts: &[&str]) -> Result<Vec<String>> {
        let marker = self.marker();
        let texts: Vec<_> = texts.iter().map(|text| text.replace("PATH", &marker.to_string_lossy())).collect();
        let report = self.refuses_all(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        assert_absent(&marker);
        Ok(report)
    }
}

/// The configuration of a storage over `guest`.
pub fn sqlite_config(folder: &SqliteFolder, guest: &str) -> Config {
    with_timeouts(config(DatabaseConfig::Sqlite(SqliteConfig { path: folder.database() }), guest))
}

fn with_timeouts(mut config: Config) -> Config {
    config.timeouts.operation = PATIENCE / 2;
    config.timeouts.list = SHORT;
    config
}

/// Reads and writes until it is told that it is enough, and once more afterwards.
async fn work(storage: Arc<Storage>, _home: Arc<dyn Any + Send + Sync>, enough: Arc<AtomicBool>) -> Result<()> {
    loop {
        let last = enough.load(Ordering::Relaxed);
        storage.health_check().await?;
        storage.upsert_message_state(&MessageState::new("neighbour", None, "m", 1)).await?;
        if last {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Requires an error of this kind, with these words in its message.
#[track_caller]
pub fn assert_error<T: Debug>(outcome: &cofferdam::Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = outcome.as_ref().expect_err("the guest misbehaved");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{word:?} is not in: {error}");
    }
}

/// Requires that nothing is at `path`.
#[track_caller]
pub fn assert_absent(path: &Path) {
    assert!(!path.exists(), "{} came out of the sandbox", path.display());
}
