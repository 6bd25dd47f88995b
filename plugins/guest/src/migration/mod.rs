//! Moving everything from one database to another.
//!
//! `survey` and `read` look at a source as it is. `run` keeps the lease and where a run has come to, `write` writes its
//! pages, `undo` undoes them by what `log` says of each. `indexes` has a run go without what only reads need.

mod indexes;
mod log;
mod read;
mod run;
mod survey;
mod undo;
mod write;

use crate::Component;
use crate::bindings::cofferdam::storage::types::{Error, MessageStates, ThreadOwnerships};
use crate::bindings::exports::cofferdam::storage::migration::{
    Guest, Lease, MessageKey, MessageStatesPage, Overview, Progress, Run, ThreadOwnershipsPage, Undone,
};
use crate::dialect::Backend;
use crate::error::operation;
use crate::table::View;

impl<B: Backend> Guest for Component<B> {
    fn survey() -> Result<Overview, Error> {
        operation::<B, _>("survey", survey::survey::<B>)
    }

    fn read_message_states(after: Option<MessageKey>, limit: u32) -> Result<MessageStatesPage, Error> {
        operation::<B, _>("read-message-states", || read::message_states::<B>(after, limit))
    }

    fn read_thread_ownerships(after: Option<String>, limit: u32) -> Result<ThreadOwnershipsPage, Error> {
        operation::<B, _>("read-thread-ownerships", || read::thread_ownerships::<B>(after, limit))
    }

    fn held_lease() -> Result<Option<Lease>, Error> {
        operation::<B, _>("held-lease", run::held_lease::<B>)
    }

    fn take_lease(owner: String, instead_of: Option<Lease>) -> Result<bool, Error> {
        operation::<B, _>("take-lease", || run::take_lease::<B>(&owner, instead_of.as_ref()))
    }

    fn keep_lease(owner: String) -> Result<(), Error> {
        operation::<B, _>("keep-lease", || run::keep_lease(&owner))
    }

    fn drop_lease(owner: String) -> Result<(), Error> {
        operation::<B, _>("drop-lease", || run::drop_lease::<B>(&owner))
    }

    fn begin(owner: String, source: String) -> Result<Run, Error> {
        operation::<B, _>("begin", || run::begin(&owner, &source))
    }

    fn leave_out_indexes(owner: String, run: u32) -> Result<Run, Error> {
        operation::<B, _>("leave-out-indexes", || indexes::leave_out::<B>(&owner, run))
    }

    fn create_indexes(owner: String) -> Result<(), Error> {
        operation::<B, _>("create-indexes", || indexes::create::<B>(&owner))
    }

    fn write_message_states(owner: String, progress: Progress, states: MessageStates) -> Result<Run, Error> {
        operation::<B, _>("write-message-states", || write::write::<B>(&owner, &progress, &View::of_states(&states)?))
    }

    fn write_thread_ownerships(owner: String, progress: Progress, ownerships: ThreadOwnerships) -> Result<Run, Error> {
        operation::<B, _>("write-thread-ownerships", || {
            write::write::<B>(&owner, &progress, &View::of_ownerships(&ownerships)?)
        })
    }

    fn finish(owner: String, run: u32) -> Result<Run, Error> {
        operation::<B, _>("finish", || run::finish(&owner, run))
    }

    fn undo(owner: String) -> Result<Option<Undone>, Error> {
        operation::<B, _>("undo", || undo::undo::<B>(&owner))
    }

    fn forget(owner: String) -> Result<(), Error> {
        operation::<B, _>("forget", || run::forget(&owner))
    }
}
