//! Rows and answers, as JSON. Times are whole seconds since the Unix epoch; all numbers are exact 64-bit integers.

use cofferdam::{MessageState, ThreadOwnership};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::integer;

/// The last message that the bot processed in one channel or thread.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageState)]
pub struct StateRow {
    /// The row's number in its database.
    id: i64,
    channel_id: String,
    /// `null` for the state without a thread, which is a key of its own.
    #[schema(required)]
    thread_id: Option<String>,
    last_message_id: String,
    last_seen_timestamp: i64,
    created_at: i64,
    updated_at: i64,
}

impl From<MessageState> for StateRow {
    fn from(state: MessageState) -> Self {
        let MessageState { id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at } =
            state;
        Self { id, channel_id, thread_id, last_message_id, last_seen_timestamp, created_at, updated_at }
    }
}

/// A state to insert or update. Ids have 1 to 255 characters without U+0000.
#[derive(Deserialize, ToSchema)]
#[schema(as = MessageStateUpsert)]
#[serde(deny_unknown_fields)]
pub struct StateToPut {
    channel_id: String,
    /// Absent or `null` for the state without a thread.
    #[serde(default)]
    thread_id: Option<String>,
    last_message_id: String,
    #[serde(deserialize_with = "integer::read")]
    last_seen_timestamp: i64,
    /// Of a new row. Absent or 0 means now; an existing row keeps its own.
    #[serde(default, deserialize_with = "integer::read")]
    created_at: i64,
    /// Ignored, so that a row can be sent as it was received.
    #[serde(default, rename = "id", deserialize_with = "integer::read")]
    _id: i64,
    /// Ignored.
    #[serde(default, rename = "updated_at", deserialize_with = "integer::read")]
    _updated_at: i64,
}

impl From<StateToPut> for MessageState {
    fn from(state: StateToPut) -> Self {
        Self {
            id: 0,
            channel_id: state.channel_id,
            thread_id: state.thread_id,
            last_message_id: state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: 0,
        }
    }
}

/// A thread that the bot created and answers in without being mentioned.
#[derive(Serialize, ToSchema)]
#[schema(as = ThreadOwnership)]
pub struct OwnershipRow {
    /// The row's number in its database.
    id: i64,
    thread_id: String,
    original_user_id: String,
    created_by: String,
    creation_time: i64,
    created_at: i64,
    updated_at: i64,
}

impl From<ThreadOwnership> for OwnershipRow {
    fn from(ownership: ThreadOwnership) -> Self {
        let ThreadOwnership { id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at } =
            ownership;
        Self { id, thread_id, original_user_id, created_by, creation_time, created_at, updated_at }
    }
}

/// An ownership to insert or update. Ids have 1 to 255 characters without U+0000.
#[derive(Deserialize, ToSchema)]
#[schema(as = ThreadOwnershipUpsert)]
#[serde(deny_unknown_fields)]
pub struct OwnershipToPut {
    thread_id: String,
    original_user_id: String,
    created_by: String,
    #[serde(deserialize_with = "integer::read")]
    creation_time: i64,
    /// Ignored, so that a row can be sent as it was received.
    #[serde(default, rename = "id", deserialize_with = "integer::read")]
    _id: i64,
    /// Ignored.
    #[serde(default, rename = "created_at", deserialize_with = "integer::read")]
    _created_at: i64,
    /// Ignored.
    #[serde(default, rename = "updated_at", deserialize_with = "integer::read")]
    _updated_at: i64,
}

impl From<OwnershipToPut> for ThreadOwnership {
    fn from(ownership: OwnershipToPut) -> Self {
        Self::new(ownership.thread_id, ownership.original_user_id, ownership.created_by, ownership.creation_time)
    }
}

/// The state, or `null` if there is none.
#[derive(Serialize, ToSchema)]
pub struct OneState {
    #[schema(required)]
    pub state: Option<StateRow>,
}

/// States, newest `last_seen_timestamp` first, then by channel id and thread id bytewise, `null` first.
#[derive(Serialize, ToSchema)]
pub struct States {
    pub states: Vec<StateRow>,
}

/// The ownership, or `null` if there is none.
#[derive(Serialize, ToSchema)]
pub struct OneOwnership {
    #[schema(required)]
    pub ownership: Option<OwnershipRow>,
}

/// Ownerships, newest `creation_time` first, then by thread id bytewise.
#[derive(Serialize, ToSchema)]
pub struct Ownerships {
    pub ownerships: Vec<OwnershipRow>,
}

/// What became of a write.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The database has acknowledged it.
    Stored,
    /// It is durable in the server's spool and is replayed once the database takes it. Reads of this server see it.
    Spooled,
}

/// The answer to an upsert.
#[derive(Serialize, ToSchema)]
pub struct Upserted {
    pub result: Outcome,
}

/// Which ownerships to remove.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cleanup {
    /// Those created longer ago than this, a duration such as `24h` or `1h30m`; not 0.
    #[schema(example = "24h")]
    pub max_age: String,
}

/// The answer to a cleanup.
#[derive(Serialize, ToSchema)]
pub struct CleanedUp {
    pub result: Outcome,
    /// How many ownerships were removed; absent while the cleanup waits in the spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
}

/// The connection, both tables and the schema are as they should be.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always true; otherwise the answer is a problem.
    pub healthy: bool,
}

/// How far the storage has come.
#[derive(Serialize, ToSchema)]
pub struct Initialized {
    /// `ready`, or `degraded` if the server works without its database and initialises it later.
    #[schema(schema_with = readiness)]
    pub readiness: &'static str,
}

fn readiness() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["ready", "degraded"])).build()
}

/// What is not in the database yet.
#[derive(Serialize, ToSchema)]
pub struct Flushed {
    /// Writes that this server has accepted and that still wait for the database; 0 if none does.
    pub waiting: u64,
    /// Writes that were accepted into the spool and that the database has refused since; they are kept there.
    pub refused: u64,
}
