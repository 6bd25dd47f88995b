use std::marker::PhantomData;

use crate::bindings::cofferdam::storage::types::{
    Duration, Error, MessageState, MessageStates, ThreadOwnership, ThreadOwnerships,
};
use crate::bindings::exports::cofferdam::storage::{backend, migration, storage, transfer};
use crate::{Guest, no_states};

/// The exports that a [`Guest`] makes. Named by [`export!`](crate::export) only.
pub struct Component<G>(PhantomData<G>);

impl<G: Guest> backend::Guest for Component<G> {
    fn describe() -> backend::Description {
        G::describe()
    }

    fn schema_version() -> Result<Option<u32>, Error> {
        Ok(Some(1))
    }

    fn remarks() -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

impl<G: Guest> storage::Guest for Component<G> {
    fn initialize() -> Result<(), Error> {
        G::initialize()
    }

    fn close() -> Result<(), Error> {
        Ok(())
    }

    fn health_check() -> Result<(), Error> {
        G::health_check()
    }

    fn get_message_state(channel_id: String, _thread_id: Option<String>) -> Result<Option<MessageState>, Error> {
        G::get_message_state(channel_id)
    }

    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        G::upsert_message_state(state)
    }

    fn get_all_message_states() -> Result<MessageStates, Error> {
        Ok(no_states())
    }

    fn get_message_states_within_window(window: Duration) -> Result<MessageStates, Error> {
        G::get_message_states_within_window(std::time::Duration::from_nanos(window).as_secs())
    }

    fn get_thread_ownership(_thread_id: String) -> Result<Option<ThreadOwnership>, Error> {
        Ok(None)
    }

    fn upsert_thread_ownership(_ownership: ThreadOwnership) -> Result<(), Error> {
        Ok(())
    }

    fn get_all_thread_ownerships() -> Result<ThreadOwnerships, Error> {
        Ok(no_ownerships())
    }

    fn cleanup_old_thread_ownerships(_max_age: Duration) -> Result<u64, Error> {
        Ok(0)
    }
}

impl<G: Guest> transfer::Guest for Component<G> {
    fn export_message_states(_after: Option<transfer::MessageKey>, _limit: u32) -> Result<MessageStates, Error> {
        Ok(no_states())
    }

    fn import_message_states(
        _states: MessageStates,
        _on_equal: transfer::OnEqual,
    ) -> Result<transfer::ImportOutcome, Error> {
        Ok(transfer::ImportOutcome { inserted: 0, replaced: 0, kept: 0 })
    }

    fn export_thread_ownerships(_after: Option<String>, _limit: u32) -> Result<ThreadOwnerships, Error> {
        Ok(no_ownerships())
    }

    fn import_thread_ownerships(
        _ownerships: ThreadOwnerships,
        _on_equal: transfer::OnEqual,
    ) -> Result<transfer::ImportOutcome, Error> {
        Ok(transfer::ImportOutcome { inserted: 0, replaced: 0, kept: 0 })
    }
}

/// No guest is asked to move anything.
impl<G: Guest> migration::Guest for Component<G> {
    fn survey() -> Result<migration::Overview, Error> {
        Err(unasked())
    }

    fn read_message_states(
        _after: Option<migration::MessageKey>,
        _limit: u32,
    ) -> Result<migration::MessageStatesPage, Error> {
        Err(unasked())
    }

    fn read_thread_ownerships(_after: Option<String>, _limit: u32) -> Result<migration::ThreadOwnershipsPage, Error> {
        Err(unasked())
    }

    fn held_lease() -> Result<Option<migration::Lease>, Error> {
        Err(unasked())
    }

    fn take_lease(_owner: String, _instead_of: Option<migration::Lease>) -> Result<bool, Error> {
        Err(unasked())
    }

    fn keep_lease(_owner: String) -> Result<(), Error> {
        Err(unasked())
    }

    fn drop_lease(_owner: String) -> Result<(), Error> {
        Err(unasked())
    }

    fn begin(_owner: String, _source: String) -> Result<migration::Run, Error> {
        Err(unasked())
    }

    fn leave_out_indexes(_owner: String, _run: u32) -> Result<migration::Run, Error> {
        Err(unasked())
    }

    fn create_indexes(_owner: String) -> Result<(), Error> {
        Err(unasked())
    }

    fn write_message_states(
        _owner: String,
        _progress: migration::Progress,
        _states: MessageStates,
    ) -> Result<migration::Run, Error> {
        Err(unasked())
    }

    fn write_thread_ownerships(
        _owner: String,
        _progress: migration::Progress,
        _ownerships: ThreadOwnerships,
    ) -> Result<migration::Run, Error> {
        Err(unasked())
    }

    fn finish(_owner: String, _run: u32) -> Result<migration::Run, Error> {
        Err(unasked())
    }

    fn undo(_owner: String) -> Result<Option<migration::Undone>, Error> {
        Err(unasked())
    }

    fn forget(_owner: String) -> Result<(), Error> {
        Err(unasked())
    }
}

fn unasked() -> Error {
    crate::internal("this guest has nothing to move")
}

fn no_ownerships() -> ThreadOwnerships {
    ThreadOwnerships {
        ids: Vec::new(),
        thread_ids: crate::column(0, ""),
        original_user_ids: crate::column(0, ""),
        created_bys: crate::column(0, ""),
        creation_times: Vec::new(),
        created_ats: Vec::new(),
        updated_ats: Vec::new(),
    }
}
