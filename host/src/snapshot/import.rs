//! Rows from a file into a storage, batch by batch. The file is read on a thread of its own, while the batch before is
//! imported.

use std::io::{self, Read, Seek};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::SnapshotError;
use super::format::Row;
use super::progress::{Phase, Progress};
use super::read::{Contents, Reader, cannot_read, verify_unless};
use super::rules::{BrokenRules, OnBrokenRule};
use crate::error::{Error, ErrorKind};
use crate::model::{ImportOutcome, MessageState, ThreadOwnership};
use crate::service::TransferService;
use crate::threads;

/// Rows that are imported at a time, in one transaction.
const BATCH: usize = 2000;

/// Batches that may wait for being imported.
const BATCHES_WAITING: usize = 2;

/// A snapshot that was read completely and verified.
pub struct Verified<R> {
    input: R,
    contents: Contents,
    on_broken: OnBrokenRule,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What became of the states.
    pub message_states: ImportOutcome,
    /// What became of the ownerships.
    pub thread_ownerships: ImportOutcome,
    /// Rows that were left out since they break a rule.
    pub skipped: u64,
}

impl<R: Read + Seek + Send + 'static> Verified<R> {
    /// Reads and verifies all of `input` from its beginning. Dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// The input cannot be read, is not a snapshot, is truncated or damaged, or has a row that breaks a rule while
    /// `on_broken` is [`OnBrokenRule::Refuse`].
    pub async fn read(mut input: R, on_broken: OnBrokenRule, progress: &Arc<Progress>) -> Result<Self, SnapshotError> {
        progress.enter(Phase::Verifying);
        let (sender, answer) = oneshot::channel();
        let counts = progress.clone();
        // It goes on without its task, and answers by the channel.
        drop(threads::spawn(move || {
            let verified = input.rewind().map_err(cannot_read).and_then(|()| {
                let counting = Counting { inner: &mut input, progress: counts };
                verify_unless(counting, || sender.is_closed())
            });
            // There may be nobody left to whom this matters.
            let _ = sender.send(verified.map(|contents| contents.map(|contents| (input, contents))));
        }));
        let (input, contents) = answer.await.map_err(|_| stopped())??.ok_or_else(stopped)?;
        if on_broken == OnBrokenRule::Refuse
            && let Some((line, rule)) = contents.broken.first.first()
        {
            let (line, rule, more) = (*line, rule.clone(), contents.broken.count - 1);
            return Err(SnapshotError::Row { line, rule, more });
        }
        progress.set_total_rows(contents.message_states + contents.thread_ownerships);
        Ok(Self { input, contents, on_broken })
    }

    /// What is in it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Imports it. If a key is on both sides, the row with the greater `updated_at` wins; if they are equal, the storage keeps
    /// its own. Idempotent: repeat it after an interruption.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Batch`], and [`SnapshotError::Changed`] where the file is no longer what it was.
    pub async fn import(
        self,
        service: &dyn TransferService,
        progress: &Arc<Progress>,
    ) -> Result<Imported, SnapshotError> {
        let Self { mut input, contents, on_broken } = self;
        let mut imported = Imported::default();
        let (sender, mut batches) = mpsc::channel(BATCHES_WAITING);
        let reader = threads::try_spawn(move || {
            input.rewind().map_err(cannot_read)?;
            send_batches(&mut input, on_broken, &sender)
        });
        let reader = reader.map_err(cannot_read)?;
        progress.enter(Phase::MessageStates);
        while let Some(Batch { first, last, rows, skipped }) = batches.recv().await {
            let failed = |source| SnapshotError::Batch { first, last, source };
            let count = match rows {
                // All of its rows were skipped, or there are none at all.
                Rows::States(states) if states.is_empty() => 0,
                Rows::States(states) => {
                    let outcome = service.import_message_states(&states).await.map_err(failed)?;
                    add(&mut imported.message_states, outcome);
                    states.len()
                }
                Rows::Ownerships(ownerships) => {
                    progress.enter(Phase::ThreadOwnerships);
                    let outcome = service.import_thread_ownerships(&ownerships).await.map_err(failed)?;
                    add(&mut imported.thread_ownerships, outcome);
                    ownerships.len()
                }
            };
            imported.skipped += skipped;
            progress.add_rows(count + usize::try_from(skipped).unwrap_or(usize::MAX));
        }
        match reader.await.map_err(|_| stopped())? {
            Ok(Some(again)) if again == contents => {
                progress.enter(Phase::Done);
                Ok(imported)
            }
            Err(error @ SnapshotError::Io { .. }) => Err(error),
            // It was whole a moment ago.
            _ => Err(SnapshotError::Changed),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "the runtime stopped while the snapshot was being read")
}

fn add(sum: &mut ImportOutcome, outcome: ImportOutcome) {
    sum.inserted += outcome.inserted;
    sum.replaced += outcome.replaced;
    sum.kept += outcome.kept;
}

enum Rows {
    States(Vec<MessageState>),
    Ownerships(Vec<ThreadOwnership>),
}

impl Rows {
    /// Adds a row, or gives it back where these are enough, or of the other kind.
    fn push(&mut self, row: Row) -> Option<Row> {
        match (self, row) {
            (Self::States(states), Row::State(state)) if states.len() < BATCH => states.push(state),
            (Self::Ownerships(ownerships), Row::Ownership(ownership)) if ownerships.len() < BATCH => {
                ownerships.push(ownership);
            }
            (_, row) => return Some(row),
        }
        None
    }

    fn of(row: Row) -> Self {
        match row {
            Row::State(state) => Self::States(vec![state]),
            Row::Ownership(ownership) => Self::Ownerships(vec![ownership]),
        }
    }
}

/// Rows of one kind, and the lines between which they stand.
struct Batch {
    first: u64,
    last: u64,
    rows: Rows,
    skipped: u64,
}

/// Reads the rows; `None` where nobody takes them any more.
fn send_batches(
    input: impl Read,
    on_broken: OnBrokenRule,
    sender: &mpsc::Sender<Batch>,
) -> Result<Option<Contents>, SnapshotError> {
    let mut reader = Reader::new(input)?;
    let mut broken = BrokenRules::default();
    let mut batch = Batch { first: 2, last: 2, rows: Rows::States(Vec::new()), skipped: 0 };
    while let Some((line, row)) = reader.next()? {
        if !broken.keeps(line, &row) {
            match on_broken {
                OnBrokenRule::Skip => batch.skipped += 1,
                // There was none when the file was verified.
                OnBrokenRule::Refuse => return Err(SnapshotError::Changed),
            }
        } else if let Some(row) = batch.rows.push(row) {
            let next = Batch { first: line, last: line, rows: Rows::of(row), skipped: 0 };
            if sender.blocking_send(std::mem::replace(&mut batch, next)).is_err() {
                return Ok(None);
            }
        }
        batch.last = line;
    }
    if sender.blocking_send(batch).is_err() {
        return Ok(None);
    }
    Ok(Some(reader.contents(broken)))
}

/// Tells how much of a file was read.
struct Counting<R> {
    inner: R,
    progress: Arc<Progress>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add_bytes(read);
        Ok(read)
    }
}
