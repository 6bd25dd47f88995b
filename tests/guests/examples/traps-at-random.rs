//! The backend for SQLite, which panics now and then before or after its work.

#[path = "../../../plugins/sqlite/src/migration.rs"]
mod moving;
#[path = "../../../plugins/sqlite/src/rebuild.rs"]
mod rebuild;
#[path = "../../../plugins/sqlite/src/schema.rs"]
mod schema;
#[path = "../../../plugins/sqlite/src/statements.rs"]
mod statements;

use std::hash::{BuildHasher, RandomState};

use cofferdam_guest::bindings::cofferdam::storage::types::{
    Duration, Error, MessageState, MessageStates, ThreadOwnership, ThreadOwnerships,
};
use cofferdam_guest::bindings::exports::cofferdam::storage::{backend, migration, storage, transfer};
use cofferdam_guest::{Backend, Component, Engine, Look, Mend, Migration, RecordVersion, Server, Statements, Upgrade};

/// One operation in so many panics, before its work or after.
const RARELY: u64 = 50;

struct Sqlite;

impl Backend for Sqlite {
    const NAME: &'static str = "sqlite";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ENGINE: Engine = Engine::Sqlite;
    const STATEMENTS: Statements = statements::STATEMENTS;
    const NO_ID: &'static [&'static str] = statements::NO_ID;
    const LACKING_INDEXES: &'static [(&'static str, &'static str)] = statements::LACKING_INDEXES;
    const IDS_AT_END: Option<&'static str> = Some(statements::IDS_AT_END);
    const MIGRATION: Migration = moving::MIGRATION;

    const STEPS: &'static [&'static str] = schema::STEPS;
    const UPGRADE: Upgrade = schema::UPGRADE;
    const RECORD_VERSION: RecordVersion = schema::RECORD_VERSION;
    const DESCRIBE_COLUMNS: &'static str = schema::DESCRIBE_COLUMNS;
    const DESCRIBE_UNIQUE_KEYS: &'static str = schema::DESCRIBE_UNIQUE_KEYS;
    const DIFFERENCES: &'static str = schema::DIFFERENCES;
    const LOOKS: &'static [Look] = schema::LOOKS;
    const REMARKS: &'static str = schema::REMARKS;
    const BLUEPRINT: &'static str = schema::BLUEPRINT;
    const THREADLESS_KEY: &'static str = "channel_id where thread_id is null";

    fn mend(mend: &Mend, blueprint: &[Vec<Option<String>>], _server: &Server) -> Result<Vec<String>, String> {
        rebuild::rebuild(mend, blueprint)
    }
}

type Sound = Component<Sqlite>;

struct TrapsAtRandom;

fn perhaps<T>(work: impl FnOnce() -> T) -> T {
    let number = RandomState::new().hash_one(0) % (2 * RARELY);
    assert!(number != 0, "before the work");
    let result = work();
    assert!(number != 1, "after the work");
    result
}

impl backend::Guest for TrapsAtRandom {
    fn describe() -> backend::Description {
        Sound::describe()
    }

    fn schema_version() -> Result<Option<u32>, Error> {
        Sound::schema_version()
    }

    fn remarks() -> Result<Vec<String>, Error> {
        Sound::remarks()
    }
}

impl storage::Guest for TrapsAtRandom {
    fn initialize() -> Result<(), Error> {
        Sound::initialize()
    }

    fn close() -> Result<(), Error> {
        Sound::close()
    }

    fn health_check() -> Result<(), Error> {
        perhaps(Sound::health_check)
    }

    fn get_message_state(channel_id: String, thread_id: Option<String>) -> Result<Option<MessageState>, Error> {
        perhaps(|| Sound::get_message_state(channel_id, thread_id))
    }

    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        perhaps(|| Sound::upsert_message_state(state))
    }

    fn get_all_message_states() -> Result<MessageStates, Error> {
        perhaps(Sound::get_all_message_states)
    }

    fn get_message_states_within_window(window: Duration) -> Result<MessageStates, Error> {
        perhaps(|| Sound::get_message_states_within_window(window))
    }

    fn get_thread_ownership(thread_id: String) -> Result<Option<ThreadOwnership>, Error> {
        perhaps(|| Sound::get_thread_ownership(thread_id))
    }

    fn upsert_thread_ownership(ownership: ThreadOwnership) -> Result<(), Error> {
        perhaps(|| Sound::upsert_thread_ownership(ownership))
    }

    fn get_all_thread_ownerships() -> Result<ThreadOwnerships, Error> {
        perhaps(Sound::get_all_thread_ownerships)
    }

    fn cleanup_old_thread_ownerships(max_age: Duration) -> Result<u64, Error> {
        perhaps(|| Sound::cleanup_old_thread_ownerships(max_age))
    }
}

impl transfer::Guest for TrapsAtRandom {
    fn export_message_states(after: Option<transfer::MessageKey>, limit: u32) -> Result<MessageStates, Error> {
        perhaps(|| Sound::export_message_states(after, limit))
    }

    fn import_message_states(
        states: MessageStates,
        on_equal: transfer::OnEqual,
    ) -> Result<transfer::ImportOutcome, Error> {
        perhaps(|| Sound::import_message_states(states, on_equal))
    }

    fn export_thread_ownerships(after: Option<String>, limit: u32) -> Result<ThreadOwnerships, Error> {
        perhaps(|| Sound::export_thread_ownerships(after, limit))
    }

    fn import_thread_ownerships(
        ownerships: ThreadOwnerships,
        on_equal: transfer::OnEqual,
    ) -> Result<transfer::ImportOutcome, Error> {
        perhaps(|| Sound::import_thread_ownerships(ownerships, on_equal))
    }
}

impl migration::Guest for TrapsAtRandom {
    fn survey() -> Result<migration::Overview, Error> {
        perhaps(Sound::survey)
    }

    fn read_message_states(
        after: Option<migration::MessageKey>,
        limit: u32,
    ) -> Result<migration::MessageStatesPage, Error> {
        perhaps(|| Sound::read_message_states(after, limit))
    }

    fn read_thread_ownerships(after: Option<String>, limit: u32) -> Result<migration::ThreadOwnershipsPage, Error> {
        perhaps(|| Sound::read_thread_ownerships(after, limit))
    }

    fn held_lease() -> Result<Option<migration::Lease>, Error> {
        perhaps(Sound::held_lease)
    }

    fn take_lease(owner: String, instead_of: Option<migration::Lease>) -> Result<bool, Error> {
        perhaps(|| Sound::take_lease(owner, instead_of))
    }

    fn keep_lease(owner: String) -> Result<(), Error> {
        perhaps(|| Sound::keep_lease(owner))
    }

    fn drop_lease(owner: String) -> Result<(), Error> {
        perhaps(|| Sound::drop_lease(owner))
    }

    fn begin(owner: String, source: String) -> Result<migration::Run, Error> {
        perhaps(|| Sound::begin(owner, source))
    }

    fn leave_out_indexes(owner: String, run: u32) -> Result<migration::Run, Error> {
        perhaps(|| Sound::leave_out_indexes(owner, run))
    }

    fn create_indexes(owner: String) -> Result<(), Error> {
        perhaps(|| Sound::create_indexes(owner))
    }

    fn write_message_states(
        owner: String,
        progress: migration::Progress,
        states: MessageStates,
    ) -> Result<migration::Run, Error> {
        perhaps(|| Sound::write_message_states(owner, progress, states))
    }

    fn write_thread_ownerships(
        owner: String,
        progress: migration::Progress,
        ownerships: ThreadOwnerships,
    ) -> Result<migration::Run, Error> {
        perhaps(|| Sound::write_thread_ownerships(owner, progress, ownerships))
    }

    fn finish(owner: String, run: u32) -> Result<migration::Run, Error> {
        perhaps(|| Sound::finish(owner, run))
    }

    fn undo(owner: String) -> Result<Option<migration::Undone>, Error> {
        perhaps(|| Sound::undo(owner))
    }

    fn forget(owner: String) -> Result<(), Error> {
        perhaps(|| Sound::forget(owner))
    }
}

const _: () = {
    cofferdam_guest::bindings::export_component!(TrapsAtRandom with_types_in cofferdam_guest::bindings);
};
