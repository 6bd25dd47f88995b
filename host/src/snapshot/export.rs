//! Rows from a storage into a file, page by page. Pages are encoded, compressed and written on a thread of their own,
//! while the next page is fetched.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::error::SnapshotError;
use super::file::Target;
use super::format::{Header, Row};
use super::progress::{Phase, Progress};
use super::rules::BrokenRules;
use super::write::{Compression, Writer, Written};
use crate::error::{Error, ErrorKind};
use crate::model::MessageKey;
use crate::service::TransferService;
use crate::threads;

/// Rows that are fetched at a time: enough for the cost of a page to vanish, a few hundred kilobytes as a rule, and 15
/// MB where every id is as long as it may be.
const PAGE: u32 = 5000;

/// Pages that may wait for being written.
const PAGES_WAITING: usize = 2;

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The number of states.
    pub message_states: u64,
    /// The number of ownerships.
    pub thread_ownerships: u64,
    /// Bytes, as they are stored.
    pub bytes: u64,
    /// The SHA-256 of the lines before the trailer, in hexadecimal.
    pub sha256: String,
    /// Rows that are in the snapshot and that an import refuses.
    pub broken: BrokenRules,
}

/// Writes all rows to `out`, and returns it flushed. Dropping the future cancels it and leaves `out` without a trailer.
///
/// # Errors
///
/// [`SnapshotError::Storage`] and [`SnapshotError::Io`].
pub async fn export<W: Write + Send + 'static>(
    service: &dyn TransferService,
    header: &Header,
    out: W,
    compression: Compression,
    progress: &Arc<Progress>,
) -> Result<(W, Exported), SnapshotError> {
    let (pages, mut written) = mpsc::channel::<Vec<Row>>(PAGES_WAITING);
    let (whole, is_whole) = std::sync::mpsc::channel::<()>();
    let (header, counts) = (header.clone(), progress.clone());
    let writer = threads::try_spawn(move || {
        let mut writer = Writer::new(out, compression, &header, counts.clone())?;
        while let Some(page) = written.blocking_recv() {
            writer.write(&page)?;
            counts.add_rows(page.len());
        }
        // Pages also end where the export failed or was dropped, and that must not get a trailer.
        match is_whole.recv() {
            Ok(()) => writer.finish().map(Some),
            Err(_) => Ok(None),
        }
    })
    .map_err(|source| SnapshotError::Io { what: "the snapshot cannot be written".into(), source })?;
    let fetched = fetch(service, &pages, progress).await;
    drop(pages);
    match fetched {
        // The writer has stopped, and says why.
        Ok(Fetched::Unwanted) => drop(whole),
        Ok(Fetched::All) => {
            // It waits for this until the end.
            let _ = whole.send(());
        }
        Err(error) => return Err(error.into()),
    }
    let stopped = || Error::new(ErrorKind::Internal, "the runtime stopped while the snapshot was being written");
    let (out, written) = writer.await.map_err(|_| stopped())??.ok_or_else(stopped)?;
    progress.enter(Phase::Done);
    let Written { message_states, thread_ownerships, sha256, bytes, broken } = written;
    Ok((out, Exported { message_states, thread_ownerships, bytes, sha256, broken }))
}

/// Writes all rows to a file. Until the file is complete, its name ends in `.partial`; dropping the future removes it. Only
/// its owner may read it.
///
/// With `replace` it may replace a regular file. Otherwise an existing file is an error, even if it appears meanwhile.
///
/// # Errors
///
/// As [`export`], and [`SnapshotError::Exists`], [`SnapshotError::Folder`] and [`SnapshotError::Special`].
pub async fn export_to_file(
    service: &dyn TransferService,
    header: &Header,
    path: &Path,
    replace: bool,
    compression: Compression,
    progress: &Arc<Progress>,
) -> Result<Exported, SnapshotError> {
    let target = Target::create(path, replace)?;
    let (_, exported) = export(service, header, target.file()?, compression, progress).await?;
    let committed = threads::spawn(move || target.commit()).await;
    committed
        .map_err(|_| Error::new(ErrorKind::Internal, "the runtime stopped while the snapshot was being written"))??;
    Ok(exported)
}

enum Fetched {
    All,
    /// Nobody takes pages any more.
    Unwanted,
}

async fn fetch(
    service: &dyn TransferService,
    pages: &mpsc::Sender<Vec<Row>>,
    progress: &Progress,
) -> Result<Fetched, Error> {
    let before = service.count_rows().await?;
    let mut read = (0, 0);
    progress.enter(Phase::MessageStates);
    let mut after: Option<MessageKey> = None;
    loop {
        let page = service.export_message_states(after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        read.0 += page.len() as u64;
        for state in &page {
            let key = MessageKey { channel_id: state.channel_id.clone(), thread_id: state.thread_id.clone() };
            if after.as_ref().is_some_and(|after| *after >= key) {
                return Err(disorder());
            }
            after = Some(key);
        }
        if pages.send(page.into_iter().map(Row::State).collect()).await.is_err() {
            return Ok(Fetched::Unwanted);
        }
        if is_last {
            break;
        }
    }
    progress.enter(Phase::ThreadOwnerships);
    let mut after: Option<String> = None;
    loop {
        let page = service.export_thread_ownerships(after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        read.1 += page.len() as u64;
        for ownership in &page {
            if after.as_ref().is_some_and(|after| *after >= ownership.thread_id) {
                return Err(disorder());
            }
            after = Some(ownership.thread_id.clone());
        }
        if pages.send(page.into_iter().map(Row::Ownership).collect()).await.is_err() {
            return Ok(Fetched::Unwanted);
        }
        if is_last {
            break;
        }
    }
    // While somebody writes, rows come and go on either side of the place that is being read.
    if let Some(before) = before
        && (read.0, read.1) != (before.message_states, before.thread_ownerships)
        && service.count_rows().await? == Some(before)
    {
        let (read, rows) = (read.0 + read.1, before.message_states + before.thread_ownerships);
        let message = format!(
            "{read} rows were read and there are {rows}, although nobody wrote meanwhile: pages are truncated; look \
             for a setting \
             that limits results"
        );
        return Err(Error::new(ErrorKind::Internal, message));
    }
    Ok(Fetched::All)
}

/// A page that does not go on where the one before ended: without an end, or with rows left out.
fn disorder() -> Error {
    Error::new(ErrorKind::Internal, "the backend exports rows out of key order: use a corrected plugin")
}
