//! Pages of a side, read ahead.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::retry::Retry;
use crate::error::{Error, ErrorKind, Result};
use crate::model::MessageState;
use crate::model::migration::{OwnershipsPage, Position, Reject, StatesPage};
use crate::service::MigrationService;

/// Pages that lie ready while another one is worked on.
const AHEAD: usize = 1;

/// A page of one of the tables.
pub(super) enum Page {
    MessageStates(StatesPage),
    ThreadOwnerships(OwnershipsPage),
}

impl Page {
    /// Rows that gave way to another one of the same key.
    pub fn merged(&self) -> &[MessageState] {
        match self {
            Self::MessageStates(page) => &page.merged,
            Self::ThreadOwnerships(_) => &[],
        }
    }

    /// Rows that cannot be moved.
    pub fn rejects(&self) -> &[Reject] {
        match self {
            Self::MessageStates(page) => &page.rejects,
            Self::ThreadOwnerships(page) => &page.rejects,
        }
    }

    /// What comes after this page.
    pub fn next(&self) -> Position {
        match self {
            Self::MessageStates(StatesPage { next: Some(next), .. }) => Position::MessageStates(Some(next.clone())),
            Self::MessageStates(_) => Position::ThreadOwnerships(None),
            Self::ThreadOwnerships(OwnershipsPage { next: Some(next), .. }) => {
                Position::ThreadOwnerships(Some(next.clone()))
            }
            Self::ThreadOwnerships(_) => Position::End,
        }
    }
}

/// Reads one side from a position to its end, on a task of its own.
pub(super) struct Pages {
    pages: mpsc::Receiver<Result<Page>>,
    _reading: AbortOnDropHandle<()>,
}

impl Pages {
    pub fn read(storage: Arc<dyn MigrationService>, from: Position, rows: u32, patience: Duration) -> Self {
        let (sender, pages) = mpsc::channel(AHEAD);
        let reading = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut position = from;
            loop {
                let mut retry = Retry::new(patience);
                let page = loop {
                    match page(&*storage, &position, rows).await {
                        Ok(Some(page)) => break Ok(page),
                        Ok(None) => return,
                        Err(error) if retry.again(&error).await => {}
                        Err(error) => break Err(error),
                    }
                };
                let failed = page.is_err();
                if let Ok(page) = &page {
                    position = page.next();
                }
                if sender.send(page).await.is_err() || failed {
                    return;
                }
            }
        }));
        Self { pages, _reading: reading }
    }

    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }
}

async fn page(storage: &dyn MigrationService, position: &Position, rows: u32) -> Result<Option<Page>> {
    Ok(match position {
        Position::MessageStates(after) => {
            let page = storage.read_message_states(after.as_ref(), rows).await?;
            check_advance(after.as_ref(), page.next.as_ref())?;
            Some(Page::MessageStates(page))
        }
        Position::ThreadOwnerships(after) => {
            let page = storage.read_thread_ownerships(after.as_deref(), rows).await?;
            check_advance(after.as_ref(), page.next.as_ref())?;
            Some(Page::ThreadOwnerships(page))
        }
        Position::End => None,
    })
}

/// A backend whose pages do not come on would be read for ever.
fn check_advance<K: Ord>(after: Option<&K>, next: Option<&K>) -> Result<()> {
    if next.is_none() || next > after {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, "the plugin's pages make no progress: its keys are out of order"))
}
