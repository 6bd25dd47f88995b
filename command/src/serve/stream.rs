//! Lists of a row a line, read in pages: no more than a page is in memory, however long the list and however slow its reader.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cofferdam::resilience::Page;
use cofferdam::{ErrorKind, ResilientStorage, Result};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout_at;
use tracing::{Instrument, Span};

use super::app::{App, Deadline};
use super::problem::{Kind, Problem};

/// Rows that are asked for at once.
pub const PAGE: u32 = 500;

/// A list that comes in pages.
pub trait Pages: Send + Sync + 'static {
    type Row: Send + Sync;
    type Document: From<Self::Row> + Serialize;
    type Key: Send + Sync;

    /// The rows after this key.
    fn page(
        &self,
        storage: &ResilientStorage,
        after: Option<&Self::Key>,
    ) -> impl Future<Output = Result<Page<Self::Row, Self::Key>>> + Send;

    /// Whether a row belongs to the list.
    fn shows(&self, row: &Self::Row) -> bool;
}

struct Lines<P: Pages> {
    app: Arc<App>,
    pages: P,
    deadline: Option<Deadline>,
    request_id: String,
    /// The first page was read before anything was answered.
    first: Option<Page<P::Row, P::Key>>,
    after: Option<P::Key>,
    rows: u64,
    is_over: bool,
    /// That of the request, which has been answered when the pages are read.
    span: Span,
}

/// Answers with the whole list. What fails before the first line is an ordinary problem; later it is the last line.
pub async fn answer<P: Pages>(
    app: Arc<App>,
    pages: P,
    deadline: Option<Deadline>,
    request_id: &str,
) -> Result<Response, Problem> {
    let request_id = request_id.to_owned();
    let (first, after, rows, is_over, span) = (None, None, 0, false, Span::current());
    let mut lines = Lines { app, pages, deadline, request_id, first, after, rows, is_over, span };
    lines.first = Some(lines.page().await?);
    let body = Body::from_stream(stream::unfold(lines, |lines| async { lines.next().await }));
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))], body).into_response())
}

impl<P: Pages> Lines<P> {
    async fn page(&self) -> Result<Page<P::Row, P::Key>, Problem> {
        let page = async {
            let _turn = self.app.list().await?;
            let page = self.pages.page(&self.app.storage, self.after.as_ref()).await;
            page.map_err(|error| self.app.problem(error))
        };
        let Some(Deadline(deadline)) = self.deadline else { return page.await };
        let late = |_| Problem::new(Kind::Storage(ErrorKind::Timeout), "the deadline in Cofferdam-Timeout passed");
        timeout_at(deadline, page).await.map_err(late)?
    }

    /// The lines of the next page that has any.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut text = Vec::new();
        while text.is_empty() && !self.is_over {
            let page = match self.first.take() {
                Some(page) => Ok(page),
                None => self.page().instrument(self.span.clone()).await,
            };
            match page {
                Ok(page) => {
                    for row in page.rows.into_iter().filter(|row| self.pages.shows(row)) {
                        line(&mut text, &P::Document::from(row));
                        self.rows += 1;
                    }
                    self.after = page.next;
                    self.is_over = self.after.is_none();
                    if self.is_over {
                        line(&mut text, &json!({ "end": { "rows": self.rows } }));
                    }
                }
                Err(problem) => {
                    self.is_over = true;
                    line(&mut text, &json!({ "error": problem.document(&self.request_id) }));
                }
            }
        }
        (!text.is_empty()).then(|| (Ok(text.into()), self))
    }
}

fn line(text: &mut Vec<u8>, document: &impl Serialize) {
    // Rows are texts and numbers, which nothing keeps from being written to memory.
    if serde_json::to_writer(&mut *text, document).is_ok() {
        text.push(b'\n');
    }
}
