//! A client as a storage, for the conformance suite.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cofferdam::clock::{ManualClock, SystemClock};
use cofferdam::{
    Error, ErrorKind, ImportOutcome, MessageKey, MessageState, OnEqual, Result, Storage, StorageService,
    ThreadOwnership, TransferService, Written,
};
use cofferdam_conformance::{BoxError, Case, Harness, NOW, Subject};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::rows::{list, optional, ownership, state, without_count, written};
use super::{Language, Program};
use crate::harness::clocked::Clocked;
use crate::harness::serve::Serve;
use crate::harness::storage::Home;

/// Longer than any operation of the suite takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest duration of Go's, and of the server's text for durations: 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Whether a case is about what a client does. Left out are those about imports and exports, which the server has not, and
/// the one about a window of 584 years, which its text for durations does not have.
pub fn is_of_clients(case: &Case) -> bool {
    let name = case.name();
    let is_of_transfer = ["pages::", "imports::", "lifecycle::transfer_"].iter().any(|start| name.starts_with(start));
    !is_of_transfer && name != "window::the_longest_window_of_the_contract_has_an_exact_cutoff"
}

/// Makes storages of one client over SQLite or MySQL.
///
/// A case has a server to itself, and a new client of it. The server is one of those that earlier cases have used, if there is
/// one, with its tables emptied.
pub struct ClientHarness {
    language: Language,
    name: String,
    on_mysql: bool,
    idle: Arc<Mutex<Vec<Rig>>>,
}

/// A server, and a program that talks to it.
struct Rig {
    program: Program,
    serve: Serve,
    /// The same database without a server, for imports.
    beside: OnceCell<Storage>,
    clocked: Clocked,
    /// With the sockets.
    _folder: TempDir,
}

impl Rig {
    async fn start(home: Home, language: Language) -> anyhow::Result<Self> {
        let clocked = Clocked::new(home, NOW).await?;
        let folder = tempfile::tempdir()?;
        let mut command = clocked.command(&["serve", "--json"]);
        command.arg("--socket").arg(folder.path().join("operations"));
        command.arg("--admin-socket").arg(folder.path().join("administration"));
        let serve = Serve::start(&mut command, folder.path())?;
        let program = Program::start(language)?;
        Ok(Self { program, serve, beside: OnceCell::new(), clocked, _folder: folder })
    }
}

impl ClientHarness {
    /// Over files of SQLite.
    pub fn on_sqlite(language: Language) -> Self {
        Self { language, name: format!("{} on SQLite", language.name()), on_mysql: false, idle: Arc::default() }
    }

    /// Over databases of the shared server.
    pub fn on_mysql(language: Language) -> Self {
        Self { language, name: format!("{} on MySQL", language.name()), on_mysql: true, idle: Arc::default() }
    }

    async fn rig(&self) -> anyhow::Result<Rig> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(rig) = idle {
            rig.clocked.empty().await?;
            rig.clocked.set(NOW).await?;
            return Ok(rig);
        }
        let home = if self.on_mysql { Home::mysql().await? } else { Home::sqlite()? };
        Rig::start(home, self.language).await
    }
}

#[async_trait]
impl Harness for ClientHarness {
    fn name(&self) -> &str {
        &self.name
    }

    async fn uninitialized(&self) -> Result<Subject, BoxError> {
        let rig = Arc::new(self.rig().await?);
        rig.program.connect(&rig.serve.operations, None, TIMEOUT).await?;
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = ClientStorage { rig: rig.clone(), clock: clock.clone(), shown: AtomicI64::new(NOW) };
        let lease = Lease { rig: Some(rig), idle: self.idle.clone() };
        Ok(Subject::new(Arc::new(storage), clock, lease))
    }
}

/// Gives a rig back when its case has ended.
struct Lease {
    rig: Option<Arc<Rig>>,
    idle: Arc<Mutex<Vec<Rig>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(rig) = self.rig.take().and_then(Arc::into_inner) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(rig);
        }
    }
}

/// A client as a storage.
struct ClientStorage {
    rig: Arc<Rig>,
    clock: Arc<ManualClock>,
    /// What the backend's clock shows.
    shown: AtomicI64,
}

impl ClientStorage {
    /// Sets the backend's clock as the case has set its own, and calls the client.
    async fn ask(&self, request: Value) -> Result<Value> {
        let seconds = self.clock.seconds();
        if self.shown.swap(seconds, Ordering::Relaxed) != seconds {
            self.rig.clocked.set(seconds).await.map_err(|error| broken(&error))?;
        }
        match self.rig.program.ask(request).await.map_err(|error| broken(&error))? {
            Ok(value) => Ok(value),
            Err(refusal) => {
                let known = ErrorKind::ALL.into_iter().find(|kind| kind.name() == refusal.kind);
                let Some(kind) = known else { return Err(broken(&anyhow::anyhow!("{refusal:?}"))) };
                let error = Error::new(kind, refusal.detail);
                Err(refusal.code.into_iter().fold(error, Error::with_code))
            }
        }
    }

    async fn call(&self, operation: &str) -> Result<Value> {
        self.ask(json!({ "operation": operation })).await
    }

    async fn beside(&self) -> Result<&Storage> {
        let open = || async {
            let storage = self.rig.clocked.home.storage(Arc::new(SystemClock))?;
            storage.initialize().await?;
            anyhow::Ok(storage)
        };
        self.rig.beside.get_or_try_init(open).await.map_err(|error| broken(&error))
    }
}

/// What goes wrong here, and not in the client.
fn broken(error: &anyhow::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("{error:#}"))
}

fn nanoseconds(duration: Duration) -> String {
    duration.as_nanos().min(LONGEST).to_string()
}

#[async_trait]
impl StorageService for ClientStorage {
    async fn initialize(&self) -> Result<()> {
        self.call("initialize").await.map(drop)
    }

    async fn close(&self) -> Result<()> {
        self.call("close").await.map(drop)
    }

    async fn get_message_state(&self, channel_id: &str, thread_id: Option<&str>) -> Result<Option<MessageState>> {
        let request = json!({ "operation": "get_message_state", "channel_id": channel_id, "thread_id": thread_id });
        optional(&self.ask(request).await?, state)
    }

    async fn upsert_message_state(&self, state: &MessageState) -> Result<Written> {
        let state = json!({
            "id": state.id.to_string(),
            "channel_id": state.channel_id,
            "thread_id": state.thread_id,
            "last_message_id": state.last_message_id,
            "last_seen_timestamp": state.last_seen_timestamp.to_string(),
            "created_at": state.created_at.to_string(),
            "updated_at": state.updated_at.to_string(),
        });
        written(&self.ask(json!({ "operation": "upsert_message_state", "state": state })).await?).map(without_count)
    }

    async fn get_all_message_states(&self) -> Result<Vec<MessageState>> {
        list(&self.call("get_all_message_states").await?, state)
    }

    async fn get_message_states_within_window(&self, window: Duration) -> Result<Vec<MessageState>> {
        let operation = "get_message_states_within_window";
        list(&self.ask(json!({ "operation": operation, "nanoseconds": nanoseconds(window) })).await?, state)
    }

    async fn health_check(&self) -> Result<()> {
        self.call("health_check").await.map(drop)
    }

    async fn get_thread_ownership(&self, thread_id: &str) -> Result<Option<ThreadOwnership>> {
        let request = json!({ "operation": "get_thread_ownership", "thread_id": thread_id });
        optional(&self.ask(request).await?, ownership)
    }

    async fn upsert_thread_ownership(&self, ownership: &ThreadOwnership) -> Result<Written> {
        let ownership = json!({
            "id": ownership.id.to_string(),
            "thread_id": ownership.thread_id,
            "original_user_id": ownership.original_user_id,
            "created_by": ownership.created_by,
            "creation_time": ownership.creation_time.to_string(),
            "created_at": ownership.created_at.to_string(),
            "updated_at": ownership.updated_at.to_string(),
        });
        let request = json!({ "operation": "upsert_thread_ownership", "ownership": ownership });
        written(&self.ask(request).await?).map(without_count)
    }

    async fn get_all_thread_ownerships(&self) -> Result<Vec<ThreadOwnership>> {
        list(&self.call("get_all_thread_ownerships").await?, ownership)
    }

    async fn cleanup_old_thread_ownerships(&self, max_age: Duration) -> Result<Written<u64>> {
        let operation = "cleanup_old_thread_ownerships";
        written(&self.ask(json!({ "operation": operation, "nanoseconds": nanoseconds(max_age) })).await?)
    }
}

/// Cases about operations import rows to read them. That goes past the server.
#[async_trait]
impl TransferService for ClientStorage {
    async fn export_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<Vec<MessageState>> {
        self.beside().await?.export_message_states(after, limit).await
    }

    async fn import_message_states_with(&self, states: &[MessageState], on_equal: OnEqual) -> Result<ImportOutcome> {
        self.beside().await?.import_message_states_with(states, on_equal).await
    }

    async fn export_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<Vec<ThreadOwnership>> {
        self.beside().await?.export_thread_ownerships(after, limit).await
    }

    async fn import_thread_ownerships_with(
        &self,
        ownerships: &[ThreadOwnership],
        on_equal: OnEqual,
    ) -> Result<ImportOutcome> {
        self.beside().await?.import_thread_ownerships_with(ownerships, on_equal).await
    }
}
