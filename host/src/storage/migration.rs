//! The operations of a migration, which pass packed rows on as they are.

use std::time::Duration;

use super::Storage;
use super::operations::{none, one};
use crate::error::Result;
use crate::migrate::model::{
    Lease, Left, Overview, OwnershipsPage, Position, Progress, Reject, Run, RunState, StatesPage, Table, TableOverview,
    Tally, Undone,
};
use crate::model::MessageKey;
use crate::plugin::bindings::{migration, types};
use crate::plugin::{Entry, convert, well_formed};

/// The longest that looking over both tables, or creating an index, may take: a scan of each, however large.
const WHOLE_TABLES: Duration = Duration::from_secs(1800);

impl Storage {
    pub(crate) async fn survey(&self) -> Result<Overview> {
        let overview = self
            .operate("survey", WHOLE_TABLES, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_survey(store).await
            })
            .await?;
        Ok(overview.into())
    }

    pub(crate) async fn read_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<StatesPage> {
        let page = self
            .operate("read_message_states", self.timeouts().list, states, async |Entry { plugin, store }| {
                let after = after.map(Into::into);
                plugin.cofferdam_storage_migration().call_read_message_states(store, after, limit).await
            })
            .await?;
        Ok(StatesPage {
            merged: well_formed(convert::message_states(&page.merged))?,
            rows: page.rows,
            rejects: page.rejects.into_iter().map(Reject::from).collect(),
            next: page.next.map(MessageKey::from),
        })
    }

    pub(crate) async fn read_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<OwnershipsPage> {
        let page = self
            .operate("read_thread_ownerships", self.timeouts().list, ownerships, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_read_thread_ownerships(store, after, limit).await
            })
            .await?;
        let rejects = page.rejects.into_iter().map(Reject::from).collect();
        Ok(OwnershipsPage { rows: page.rows, rejects, next: page.next })
    }

    pub(crate) async fn held_lease(&self) -> Result<Option<Lease>> {
        let lease = self
            .operate("held_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_held_lease(store).await
            })
            .await?;
        Ok(lease.map(|lease| Lease { owner: lease.owner, beats: lease.beats }))
    }

    pub(crate) async fn take_lease(&self, owner: &str, instead_of: Option<&Lease>) -> Result<bool> {
        self.operate("take_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
            let instead_of = instead_of.map(|lease| migration::LeaseParam { owner: &lease.owner, beats: lease.beats });
            plugin.cofferdam_storage_migration().call_take_lease(store, owner, instead_of).await
        })
        .await
    }

    pub(crate) async fn keep_lease(&self, owner: &str) -> Result<()> {
        self.operate("keep_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_keep_lease(store, owner).await
        })
        .await
    }

    pub(crate) async fn drop_lease(&self, owner: &str) -> Result<()> {
        self.operate("drop_lease", self.timeouts().operation, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_drop_lease(store, owner).await
        })
        .await
    }

    pub(crate) async fn begin_run(&self, owner: &str, source: &str) -> Result<Run> {
        let run = self
            .operate("begin", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_begin(store, owner, source).await
            })
            .await?;
        Ok(run.into())
    }

    pub(crate) async fn leave_out_indexes(&self, owner: &str, run: u32) -> Result<Run> {
        let run = self
            .operate("leave_out_indexes", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_leave_out_indexes(store, owner, run).await
            })
            .await?;
        Ok(run.into())
    }

    pub(crate) async fn create_indexes(&self, owner: &str) -> Result<()> {
        self.operate("create_indexes", WHOLE_TABLES, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_create_indexes(store, owner).await
        })
        .await
    }

    pub(crate) async fn write_message_states(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &types::MessageStatesResult,
    ) -> Result<Run> {
        let run = self
            .operate("write_message_states", self.timeouts().list, one, async |Entry { plugin, store }| {
                let (progress, rows) = (progress.into(), convert::message_states_again(rows));
                plugin.cofferdam_storage_migration().call_write_message_states(store, owner, progress, rows).await
            })
            .await?;
        Ok(run.into())
    }

    pub(crate) async fn write_thread_ownerships(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &types::ThreadOwnershipsResult,
    ) -> Result<Run> {
        let run = self
            .operate("write_thread_ownerships", self.timeouts().list, one, async |Entry { plugin, store }| {
                let (progress, rows) = (progress.into(), convert::thread_ownerships_again(rows));
                plugin.cofferdam_storage_migration().call_write_thread_ownerships(store, owner, progress, rows).await
            })
            .await?;
        Ok(run.into())
    }

    pub(crate) async fn finish_run(&self, owner: &str, run: u32) -> Result<Run> {
        let run = self
            .operate("finish", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_finish(store, owner, run).await
            })
            .await?;
        Ok(run.into())
    }

    pub(crate) async fn undo(&self, owner: &str) -> Result<Option<Undone>> {
        let undone = self
            .operate("undo", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_undo(store, owner).await
            })
            .await?;
        Ok(undone.map(|undone| Undone {
            run: undone.run,
            removed: undone.removed,
            restored: undone.restored,
            left: undone.left.into_iter().map(Left::from).collect(),
            more: undone.more,
        }))
    }

    pub(crate) async fn forget_runs(&self, owner: &str) -> Result<()> {
        self.operate("forget", self.timeouts().initialize, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_forget(store, owner).await
        })
        .await
    }
}

/// The most rows of a page, whatever a backend asks for: what both sides and the host hold of it is a hundred megabytes.
const MOST_ROWS: u32 = 100_000;

/// The most pages that are written at a time, whatever a backend asks for.
const MOST_WRITES: u32 = 8;

fn states(page: &migration::MessageStatesPage) -> usize {
    page.rows.ids.len()
}

fn ownerships(page: &migration::ThreadOwnershipsPage) -> usize {
    page.rows.ids.len()
}

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
