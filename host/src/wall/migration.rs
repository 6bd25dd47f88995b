//! Between the contract's types of a migration and the model's.

use super::bindings::migration;
use crate::model::MessageKey;
use crate::model::migration::{Left, Overview, Position, Progress, Reject, Run, RunState, Table, TableOverview, Tally};

/// The most rows of a page, whatever a backend asks for: what both sides and the host hold of it is a hundred megabytes.
const MOST_ROWS: u32 = 100_000;

/// The most pages that are written at a time, whatever a backend asks for.
const MOST_WRITES: u32 = 8;

impl From<migration::Table> for Table {
    fn from(table: migration::Table) -> Self {
        match table {
            migration::Table::MessageStates => Self::MessageStates,
            migration::Table::ThreadOwnerships => Self::ThreadOwnerships,
        }
    }
}

impl From<migration::TableOverview> for TableOverview {
    fn from(table: migration::TableOverview) -> Self {
        let migration::TableOverview { rows, oldest, newest, duplicates, unfit } = table;
        Self { rows, oldest, newest, duplicates, unfit }
    }
}

impl From<migration::Overview> for Overview {
    fn from(overview: migration::Overview) -> Self {
        Self {
            identity: overview.identity,
            schema_version: overview.schema_version,
            message_states: overview.message_states.into(),
            thread_ownerships: overview.thread_ownerships.into(),
            // A page of nothing would have no end.
            page_rows: overview.page_rows.clamp(1, MOST_ROWS),
            batch_rows: overview.batch_rows.clamp(1, MOST_ROWS),
            writes_at_a_time: overview.writes_at_a_time.clamp(1, MOST_WRITES),
            last_run: overview.last_run.map(Run::from),
            remembers: overview.remembers,
        }
    }
}

impl From<migration::Reject> for Reject {
    fn from(reject: migration::Reject) -> Self {
        let migration::Reject { table, id, reason, values } = reject;
        Self { table: table.into(), id, reason, values }
    }
}

impl From<migration::Left> for Left {
    fn from(left: migration::Left) -> Self {
        Self { table: left.table.into(), key: left.key.into(), is_gone: left.is_gone }
    }
}

impl From<migration::MessageKeyResult> for MessageKey {
    fn from(key: migration::MessageKeyResult) -> Self {
        Self { channel_id: key.channel_id, thread_id: key.thread_id }
    }
}

impl From<migration::RunState> for RunState {
    fn from(state: migration::RunState) -> Self {
        match state {
            migration::RunState::Importing => Self::Importing,
            migration::RunState::Finished => Self::Finished,
            migration::RunState::Undoing => Self::Undoing,
        }
    }
}

impl From<migration::PositionResult> for Position {
    fn from(position: migration::PositionResult) -> Self {
        match position {
            migration::PositionResult::MessageStates(after) => Self::MessageStates(after.map(MessageKey::from)),
            migration::PositionResult::ThreadOwnerships(after) => Self::ThreadOwnerships(after),
            migration::PositionResult::End => Self::End,
        }
    }
}

impl<'a> From<&'a Position> for migration::PositionParam<'a> {
    fn from(position: &'a Position) -> Self {
        match position {
            Position::MessageStates(after) => Self::MessageStates(after.as_ref().map(Into::into)),
            Position::ThreadOwnerships(after) => Self::ThreadOwnerships(after.as_deref()),
            Position::End => Self::End,
        }
    }
}

impl<'a> From<&Progress<'a>> for migration::Progress<'a> {
    fn from(progress: &Progress<'a>) -> Self {
        let Progress { run, page, merged, rejected, next } = *progress;
        Self { run, page, merged, rejected, next: next.into() }
    }
}

impl From<migration::Run> for Run {
    fn from(run: migration::Run) -> Self {
        let migration::Tally { read, inserted, replaced, kept, merged, rejected } = run.tally;
        Self {
            number: run.number,
            source: run.source,
            state: run.state.into(),
            started_at: run.started_at,
            pages: run.pages,
            position: run.position.into(),
            tally: Tally { read, inserted, replaced, kept, merged, rejected },
            lacks_indexes: run.lacks_indexes,
        }
    }
}
