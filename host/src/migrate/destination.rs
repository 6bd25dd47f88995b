//! Pages on their way into a side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::error::OUT_OF_TURN;
use super::retry::Retry;
use super::source::Page;
use crate::error::{Error, ErrorKind, Result};
use crate::model::migration::{Position, Progress, Run};
use crate::service::MigrationService;

/// Writes pages in their order, several at a time: while the database makes one durable it takes in the next.
pub(super) struct Writer {
    storage: Arc<dyn MigrationService>,
    owner: Arc<str>,
    run: u32,
    /// The number of the page that comes next.
    page: u64,
    /// At least one.
    at_a_time: usize,
    patience: Duration,
    /// In the order of pages.
    writing: VecDeque<AbortOnDropHandle<Result<Run>>>,
    /// Heard when the newest page in `writing` is written; closed when it cannot be.
    newest: Option<oneshot::Receiver<()>>,
}

impl Writer {
    pub fn new(
        storage: &Arc<dyn MigrationService>,
        owner: &str,
        run: &Run,
        at_a_time: u32,
        patience: Duration,
    ) -> Self {
        Self {
            storage: Arc::clone(storage),
            owner: owner.into(),
            run: run.number,
            page: run.pages,
            at_a_time: at_a_time.max(1) as usize,
            patience,
            writing: VecDeque::new(),
            newest: None,
        }
    }

    /// How many pages should be on their way.
    pub fn at_a_time(&self) -> usize {
        self.at_a_time
    }

    /// How many pages are on their way.
    pub fn on_their_way(&self) -> usize {
        self.writing.len()
    }

    /// Begins to write a page.
    pub fn begin(&mut self, page: Page) {
        let (done, newest) = oneshot::channel();
        let write = Write {
            storage: Arc::clone(&self.storage),
            owner: Arc::clone(&self.owner),
            run: self.run,
            number: self.page,
            next: page.next(),
            page,
            before: self.newest.replace(newest),
        };
        self.page += 1;
        let retry = Retry::new(self.patience);
        self.writing.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
            let written = write.finish(retry).await;
            if written.is_ok() {
                // Nobody waits where it was the last.
                let _ = done.send(());
            }
            written
        })));
    }

    /// Waits for the oldest page that is on its way. Where one fails, those behind it fail too.
    ///
    /// # Panics
    ///
    /// Where no page is on its way.
    pub async fn written(&mut self) -> Result<Run> {
        let written = (&mut self.writing[0]).await;
        self.writing.pop_front();
        written.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, format!("writing a page was broken off: {error}")))
        })
    }
}

/// One page.
struct Write {
    storage: Arc<dyn MigrationService>,
    owner: Arc<str>,
    run: u32,
    number: u64,
    page: Page,
    next: Position,
    /// Of the page before this one, while that may still be on its way.
    before: Option<oneshot::Receiver<()>>,
}

impl Write {
    /// A page that was written though its answer was lost is told apart by its number.
    async fn finish(mut self, mut retry: Retry) -> Result<Run> {
        loop {
            let error = match self.once().await {
                Ok(run) => return Ok(run),
                Err(error) => error,
            };
            let is_early = error.code() == Some(OUT_OF_TURN);
            let goes_on = match self.before.take_if(|_| is_early) {
                Some(before) => before.await.is_ok(),
                None => retry.again(&error).await,
            };
            if !goes_on {
                return Err(error);
            }
        }
    }

    async fn once(&self) -> Result<Run> {
        let (merged, rejected) = (self.page.merged().len() as u64, self.page.rejects().len() as u64);
        let progress = Progress { run: self.run, page: self.number, merged, rejected, next: &self.next };
        match &self.page {
            Page::MessageStates(page) => self.storage.write_message_states(&self.owner, &progress, &page.rows).await,
            Page::ThreadOwnerships(page) => {
                self.storage.write_thread_ownerships(&self.owner, &progress, &page.rows).await
            }
        }
    }
}
