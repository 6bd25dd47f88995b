//! What an operator should know of the tables as they are.

use crate::dialect::Backend;
use crate::error::Result;
use crate::schema;
use crate::session::Session;

/// A sentence for each thing that is worth knowing. Each look costs the same with ten rows or ten million.
pub(crate) fn gather<B: Backend>() -> Result<Vec<String>> {
    schema::remarks::<B>(&Session::read()?)
}
