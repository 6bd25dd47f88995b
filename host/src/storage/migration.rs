//! The operations of a migration, which pass packed rows on as they are.

use std::time::Duration;

use async_trait::async_trait;

use super::Storage;
use super::operations::{none, one};
use crate::error::Result;
use crate::model::MessageKey;
use crate::model::migration::{Lease, Left, Overview, OwnershipsPage, Progress, Reject, Run, StatesPage, Undone};
use crate::model::packed::{MessageStateColumns, ThreadOwnershipColumns};
use crate::plugin::Entry;
use crate::service::MigrationService;
use crate::wall::bindings::migration;
use crate::wall::convert::well_formed;

/// The longest that looking over both tables, or creating an index, may take: a scan of each, however large.
const WHOLE_TABLES: Duration = Duration::from_secs(1800);

#[async_trait]
impl MigrationService for Storage {
    async fn survey(&self) -> Result<Overview> {
        let overview = self
            .operate("survey", WHOLE_TABLES, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_survey(store).await
            })
            .await?;
        Ok(overview.into())
    }

    async fn read_message_states(&self, after: Option<&MessageKey>, limit: u32) -> Result<StatesPage> {
        let page = self
            .operate("read_message_states", self.timeouts().list, states, async |Entry { plugin, store }| {
                let after = after.map(Into::into);
                plugin.cofferdam_storage_migration().call_read_message_states(store, after, limit).await
            })
            .await?;
        Ok(StatesPage {
            merged: well_formed(MessageStateColumns::from(page.merged).unpack())?,
            rows: page.rows.into(),
            rejects: page.rejects.into_iter().map(Reject::from).collect(),
            next: page.next.map(MessageKey::from),
        })
    }

    async fn read_thread_ownerships(&self, after: Option<&str>, limit: u32) -> Result<OwnershipsPage> {
        let page = self
            .operate("read_thread_ownerships", self.timeouts().list, ownerships, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_read_thread_ownerships(store, after, limit).await
            })
            .await?;
        let rejects = page.rejects.into_iter().map(Reject::from).collect();
        Ok(OwnershipsPage { rows: page.rows.into(), rejects, next: page.next })
    }

    async fn held_lease(&self) -> Result<Option<Lease>> {
        let lease = self
            .operate("held_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_held_lease(store).await
            })
            .await?;
        Ok(lease.map(|lease| Lease { owner: lease.owner, beats: lease.beats }))
    }

    async fn take_lease(&self, owner: &str, instead_of: Option<&Lease>) -> Result<bool> {
        self.operate("take_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
            let instead_of = instead_of.map(|lease| migration::LeaseParam { owner: &lease.owner, beats: lease.beats });
            plugin.cofferdam_storage_migration().call_take_lease(store, owner, instead_of).await
        })
        .await
    }

    async fn keep_lease(&self, owner: &str) -> Result<()> {
        self.operate("keep_lease", self.timeouts().list, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_keep_lease(store, owner).await
        })
        .await
    }

    async fn drop_lease(&self, owner: &str) -> Result<()> {
        self.operate("drop_lease", self.timeouts().operation, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_drop_lease(store, owner).await
        })
        .await
    }

    async fn begin_run(&self, owner: &str, source: &str) -> Result<Run> {
        let run = self
            .operate("begin", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_begin(store, owner, source).await
            })
            .await?;
        Ok(run.into())
    }

    async fn leave_out_indexes(&self, owner: &str, run: u32) -> Result<Run> {
        let run = self
            .operate("leave_out_indexes", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_leave_out_indexes(store, owner, run).await
            })
            .await?;
        Ok(run.into())
    }

    async fn create_indexes(&self, owner: &str) -> Result<()> {
        self.operate("create_indexes", WHOLE_TABLES, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_create_indexes(store, owner).await
        })
        .await
    }

    async fn write_message_states(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &MessageStateColumns,
    ) -> Result<Run> {
        let run = self
            .operate("write_message_states", self.timeouts().list, one, async |Entry { plugin, store }| {
                let (progress, rows) = (progress.into(), rows.into());
                plugin.cofferdam_storage_migration().call_write_message_states(store, owner, progress, rows).await
            })
            .await?;
        Ok(run.into())
    }

    async fn write_thread_ownerships(
        &self,
        owner: &str,
        progress: &Progress<'_>,
        rows: &ThreadOwnershipColumns,
    ) -> Result<Run> {
        let run = self
            .operate("write_thread_ownerships", self.timeouts().list, one, async |Entry { plugin, store }| {
                let (progress, rows) = (progress.into(), rows.into());
                plugin.cofferdam_storage_migration().call_write_thread_ownerships(store, owner, progress, rows).await
            })
            .await?;
        Ok(run.into())
    }

    async fn finish_run(&self, owner: &str, run: u32) -> Result<Run> {
        let run = self
            .operate("finish", self.timeouts().list, none, async |Entry { plugin, store }| {
                plugin.cofferdam_storage_migration().call_finish(store, owner, run).await
            })
            .await?;
        Ok(run.into())
    }

    async fn undo(&self, owner: &str) -> Result<Option<Undone>> {
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

    async fn forget_runs(&self, owner: &str) -> Result<()> {
        self.operate("forget", self.timeouts().initialize, none, async |Entry { plugin, store }| {
            plugin.cofferdam_storage_migration().call_forget(store, owner).await
        })
        .await
    }
}

fn states(page: &migration::MessageStatesPage) -> usize {
    page.rows.ids.len()
}

fn ownerships(page: &migration::ThreadOwnershipsPage) -> usize {
    page.rows.ids.len()
}
