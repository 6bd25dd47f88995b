//! The operations over a new SQLite file, beside the reference.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use cofferdam::clock::ManualClock;
use cofferdam::{Config, MessageState, ResilientStorage, StorageService, ThreadOwnership};
use cofferdam_conformance::MemoryStorage;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

use crate::serve::app::App;
use crate::serve::connection::Patience;
use crate::serve::operations::Operations;
use crate::serve::server::{Listener, Server};

/// So that a test ends.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    runtime: Runtime,
    folder: TempDir,
    storage: Arc<ResilientStorage>,
    pub operations: Operations,
    pub reference: MemoryStorage,
    /// At which the clocks of both stand.
    now: i64,
}

impl Rig {
    pub fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let now = i64::try_from(UNIX_EPOCH.elapsed().expect("a time").as_secs()).expect("a time");
        let clock = Arc::new(ManualClock::at(now));
        let (storage, reference) = runtime.block_on(async {
            let storage = open(folder.path(), clock.clone()).await;
            let reference = MemoryStorage::new(clock);
            reference.initialize().await.expect("the reference opens");
            (storage, reference)
        });
        let operations = Operations::new(Arc::new(App::new(storage.clone(), None, PATIENCE)));
        let rig = Self { runtime, folder, storage, operations, reference, now };
        // The server ends with the runtime.
        rig.block_on(async {
            let listener = UnixListener::bind(rig.socket()).expect("a socket");
            let server = Server::new(64, Patience { idle: PATIENCE, transfer: PATIENCE });
            server.serve(Listener::Unix(listener), rig.operations.clone());
        });
        rig
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Where the operations are served too.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Wants a sound file, and if everything was told to the reference, with its rows.
    pub fn end(self, has_reference: bool) {
        self.runtime.block_on(async {
            self.storage.close().await.expect("the storage closes");
            let again = open(self.folder.path(), Arc::new(ManualClock::at(self.now))).await;
            let (states, ownerships) = rows(&*again).await;
            if has_reference {
                assert_eq!((states, ownerships), rows(&self.reference).await);
            }
            again.close().await.expect("the storage closes");
        });
        let file = rusqlite::Connection::open(self.folder.path().join("bot_state.db")).expect("the file opens");
        let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
        assert_eq!(verdict, "ok");
    }
}

/// All rows, without their ids, which are each storage's own affair.
async fn rows(storage: &dyn StorageService) -> (Vec<MessageState>, Vec<ThreadOwnership>) {
    let states = storage.get_all_message_states().await.expect("states").into_iter();
    let ownerships = storage.get_all_thread_ownerships().await.expect("ownerships").into_iter();
    (
        states.map(|row| MessageState { id: 0, ..row }).collect(),
        ownerships.map(|row| ThreadOwnership { id: 0, ..row }).collect(),
    )
}

async fn open(folder: &Path, clock: Arc<ManualClock>) -> Arc<ResilientStorage> {
    let database = folder.join("bot_state.db");
    let config = Config::from_lookup(&|name| match name {
        "DATABASE_PATH" => Some(database.clone().into()),
        "HOME" | "XDG_CACHE_HOME" | "COFFERDAM_CACHE" | "COFFERDAM_PLUGIN" => std::env::var_os(name),
        _ => None,
    });
    let config = config.expect("a configuration");
    let storage = ResilientStorage::builder(config).clock(clock).build().expect("the backend loads");
    storage.initialize().await.expect("the storage opens");
    Arc::new(storage)
}
