//! A plugin on the live database, beside the one that answers and with nothing of it touched.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::SwapError;
use super::request::Terms;
use crate::error::{Error, ErrorKind, Result};
use crate::model::packed::{MessageStateColumns, ThreadOwnershipColumns};
use crate::model::{MessageKey, MessageState, Operation};
use crate::plugin::{Entry, Instances};
use crate::sql::Database;
use crate::wall::bindings::types;
use crate::wall::convert::well_formed;

/// Rows that are read through a plugin: enough to see that it finds, converts and orders some.
const ROWS: u32 = 16;

/// What the plugin that answers is given to show that the database does.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A plugin that was compiled, and described itself as one for the configured database.
pub(crate) struct Candidate(pub(super) Arc<Instances>);

/// A plugin that may answer. Nothing else can be swapped in, and only this file makes one.
pub(super) struct Fit {
    instances: Arc<Instances>,
    change: Change,
}

/// What swapping a plugin in means for the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: the schema is the same, and the plugin read rows in it.
    Nothing,
    /// An upgrade from this version, or the creation of tables. It was asked for.
    Upgrade(Option<u32>),
    /// That is left to `initialize`, as at a start.
    Later,
}

impl Fit {
    pub fn change(&self) -> Change {
        self.change
    }

    pub fn instances(&self) -> &Arc<Instances> {
        &self.instances
    }

    pub fn into_instances(self) -> Arc<Instances> {
        self.instances
    }
}

impl Candidate {
    /// Without a database, where a storage is not open.
    pub(super) fn unrehearsed(self) -> Fit {
        Fit { instances: self.0, change: Change::Later }
    }

    /// On a database that another plugin, `running`, works on at the same time.
    pub(super) async fn rehearse(
        self,
        running: &Instances,
        database: &Arc<dyn Database>,
        terms: Terms,
        deadline: Instant,
    ) -> Result<Fit, SwapError> {
        let Self(instances) = self;
        let stage = Stage { instances: &instances, running, database, deadline };
        let change = stage.compare(terms).await?;
        if change == Change::Nothing {
            stage.perform().await?;
        }
        Ok(Fit { instances, change })
    }
}

struct Stage<'a> {
    instances: &'a Instances,
    running: &'a Instances,
    database: &'a Arc<dyn Database>,
    deadline: Instant,
}

impl Stage<'_> {
    /// Compares the schemas. The plugin that answers is the first to be asked for that of the database, since the other may say
    /// anything; where it cannot tell, as if it is broken itself, the other has to.
    async fn compare(&self, terms: Terms) -> Result<Change, SwapError> {
        let own = self.step("schema_version", schema_version).await?;
        let known = self.instances.description().schema_version;
        let limit = self.deadline.min(Instant::now() + SECOND_LOOK);
        let told = run(self.running, self.database, limit, schema_version).await;
        let database = match told {
            Ok(told) => told,
            Err(_) => own,
        };
        let origin = self.instances.inspection().origin.clone();
        match database.cmp(&Some(known)) {
            std::cmp::Ordering::Greater => {
                let database = database.unwrap_or_default();
                Err(SwapError::OlderSchema { origin, plugin: known, database })
            }
            std::cmp::Ordering::Less if terms.upgrade_schema => Ok(Change::Upgrade(database)),
            std::cmp::Ordering::Less => Err(SwapError::NewerSchema { origin, plugin: known, database }),
            std::cmp::Ordering::Equal if own != database => {
                let message = "the plugin reads another schema version in the database than the one that answers";
                let error = Error::new(ErrorKind::SchemaMismatch, message);
                Err(SwapError::Rehearsal { origin, step: "schema_version", error })
            }
            std::cmp::Ordering::Equal => Ok(Change::Nothing),
        }
    }

    /// Does what a bot does, except for writing.
    async fn perform(&self) -> Result<(), SwapError> {
        self.step(Operation::HealthCheck.name(), async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_health_check(store).await
        })
        .await?;
        let name = "export_message_states";
        let states = self
            .step(name, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_transfer().call_export_message_states(store, None, ROWS).await
            })
            .await?;
        let states =
            well_formed(MessageStateColumns::from(states).unpack()).map_err(|error| self.failed(name, error))?;
        self.expect(name, states.len() <= ROWS as usize)?;
        let name = Operation::GetMessageState.name();
        // Where there is no row, one is asked for that is not there.
        let nobody = MessageKey { channel_id: "rehearsal".into(), thread_id: None };
        let key = states.first().map_or(nobody, key);
        let found = self
            .step(name, async |Entry { plugin, store }| {
                let MessageKey { channel_id, thread_id } = &key;
                plugin.cofferdam_storage_storage().call_get_message_state(store, channel_id, thread_id.as_deref()).await
            })
            .await?;
        // It may be gone, but it is no other.
        self.expect(name, found.is_none_or(|found| self::key(&found.into()) == key))?;
        let name = "export_thread_ownerships";
        let ownerships = self
            .step(name, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_transfer().call_export_thread_ownerships(store, None, ROWS).await
            })
            .await?;
        let ownerships =
            well_formed(ThreadOwnershipColumns::from(ownerships).unpack()).map_err(|error| self.failed(name, error))?;
        self.expect(name, ownerships.len() <= ROWS as usize)
    }

    fn expect(&self, step: &'static str, kept: bool) -> Result<(), SwapError> {
        match kept {
            true => Ok(()),
            false => {
                Err(self
                    .failed(step, Error::new(ErrorKind::Internal, "the plugin returned rows that were not asked for")))
            }
        }
    }

    async fn step<T>(
        &self,
        name: &'static str,
        operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> Result<T, SwapError> {
        let error = match run(self.instances, self.database, self.deadline, operation).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.is_retryable() {
            return Err(self.failed(name, error));
        }
        // Whose fault that is, the plugin that answers can tell.
        let look = run(self.running, self.database, Instant::now() + SECOND_LOOK, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_storage().call_health_check(store).await
        });
        let origin = self.instances.inspection().origin.clone();
        match look.await {
            Ok(()) => Err(SwapError::Rehearsal { origin, step: name, error }),
            Err(_) => Err(SwapError::Unavailable { origin, error }),
        }
    }

    fn failed(&self, step: &'static str, error: Error) -> SwapError {
        SwapError::Rehearsal { origin: self.instances.inspection().origin.clone(), step, error }
    }
}

fn key(MessageState { channel_id, thread_id, .. }: &MessageState) -> MessageKey {
    MessageKey { channel_id: channel_id.clone(), thread_id: thread_id.clone() }
}

/// An operation on instances that are not, or not necessarily, those that answer.
pub(super) async fn run<T>(
    instances: &Instances,
    database: &Arc<dyn Database>,
    deadline: Instant,
    operation: impl AsyncFnOnce(Entry<'_>) -> wasmtime::Result<Result<T, types::Error>>,
) -> Result<T> {
    // Also where a plugin does not let go of its thread.
    let outcome = timeout_at(deadline, instances.call(database.clone(), deadline, operation)).await;
    let late = Error::new(ErrorKind::Timeout, "the plugin did not answer in time");
    match outcome {
        Ok(Ok(outcome)) => outcome?.map_err(Error::from),
        Ok(Err(_)) | Err(_) => Err(late),
    }
}

/// The version of the schema in a database, as a plugin reads it.
pub(in crate::storage) async fn schema_version(
    Entry { plugin, store }: Entry<'_>,
) -> wasmtime::Result<Result<Option<u32>, types::Error>> {
    plugin.cofferdam_storage_backend().call_schema_version(store).await
}
