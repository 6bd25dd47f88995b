//! Migrates all rows from one database to another: exact, resumable after any interruption, and with a rollback.
//!
//! The host knows no SQL and no schema here either. Everything goes through the interface `migration` of the contract, so
//! it works with any backend that exports it.
//!
//! - [`Spec`]: the name of a side, such as `sqlite:PATH`; [`Side`]: an opened one.
//! - [`Plan`]: the content of both sides and what a run would do, without writing anything.
//! - [`run`]: reads pages of the source while earlier ones are written. Each page, its checkpoint and its undo log are one
//!   transaction. An [`Observer`] follows the progress.
//! - [`verify`]: compares both sides in key order, field by field; [`verify_again`] compares differing keys again.
//! - [`roll_back`] and [`forget`]: undo the newest run, or drop the undo log.
//!
//! One process at a time writes to a destination. Its lease, a row in the destination with a heartbeat, is checked in every
//! transaction. A dead owner does not block others for long: see `lease`.

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
