//! Moves everything from one database to another: exactly, resumable after any interruption, and with a way back.
//!
//! The host knows no SQL and no schema here either: all of it goes through the interface `migration` of the contract, so
//! that a backend which is written tomorrow can be moved to and from.
//!
//! - [`Spec`]: the name of a side, such as `sqlite:PATH`; [`Side`]: an opened one.
//! - [`Plan`]: what is on both sides and what would happen, told without writing anything.
//! - [`run`]: reads pages of the source while the one before is written, page by page with its checkpoint and what is
//!   needed to undo it in one transaction. What happens is told to an [`Observer`].
//! - [`verify`]: both sides in the order of keys, field by field; [`verify_again`] looks once more at what differed.
//! - [`roll_back`] and [`forget`]: undo the newest run, or give up the way back.
//!
//! One process at a time writes to a destination: a lease in it, which the owner keeps showing to be alive, is looked at
//! in every transaction. Nobody waits long for one that died: see `lease`.

mod count;
mod destination;
mod error;
mod lease;
mod plan;
mod retry;
mod rollback;
mod run;
mod side;
mod source;
mod verify;

pub use crate::config::{Spec, SpecError};
pub use crate::model::migration::{Left, Overview, Position, Reject, Run, RunState, Table, TableOverview, Tally};
pub use error::{MigrateError, Result};
pub use plan::Plan;
pub use rollback::{RolledBack, forget, roll_back};
pub use run::{Observer, Options, run};
pub use side::{Mode, Role, Side};
pub use verify::{Difference, DifferenceKind, Verdict, VerifyObserver, verify, verify_again};
