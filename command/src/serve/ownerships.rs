//! Ownerships of threads.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use cofferdam::resilience::Page;
use cofferdam::{ResilientStorage, Result, StorageService, ThreadOwnership, Written};

use super::accept::{Format, format};
use super::app::{Answer, App, Deadline, accepted, json};
use super::query::{parameters, required};
use super::rows::{CleanedUp, Cleanup, OneOwnership, Outcome, OwnershipRow, OwnershipToPut, Ownerships, Upserted};
use super::states::{duration, upserted};
use super::stream::{self, PAGE, Pages};
use super::{body, request_id};

/// Read the ownership of a thread.
#[utoipa::path(
    get,
    path = "/v1/thread-ownership",
    operation_id = "get_thread_ownership",
    tag = "thread ownerships",
    params(("thread_id" = String, Query, description = "the thread")),
    responses((status = 200, description = "The ownership, or `null` if there is none.", body = OneOwnership)),
)]
pub async fn get(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let [thread] = parameters(query.as_deref(), ["thread_id"])?;
    let thread = required(thread, "thread_id")?;
    let _turn = app.operation().await?;
    let ownership = app.storage.get_thread_ownership(&thread).await.map_err(|error| app.problem(error))?;
    json(&OneOwnership { ownership: ownership.map(OwnershipRow::from) })
}

/// Insert or update an ownership. The last write to arrive wins.
#[utoipa::path(
    put,
    path = "/v1/thread-ownership",
    operation_id = "upsert_thread_ownership",
    tag = "thread ownerships",
    request_body = OwnershipToPut,
    responses(
        (status = 200, description = "The database has acknowledged it.", body = Upserted),
        (status = 202, description = "It is durable in the server's spool, and reaches the database later.", body = Upserted),
    ),
)]
pub async fn put(State(app): State<Arc<App>>, request: Request) -> Answer {
    parameters(request.uri().query(), [])?;
    let deadline = Deadline::of(&request);
    let ownership: OwnershipToPut = body::json(request, app.transfer_timeout).await?;
    let ownership = ThreadOwnership::from(ownership);
    let _turn = app.operation().await?;
    upserted(app.write(deadline, app.storage.upsert_thread_ownership(&ownership)).await?)
}

/// List all ownerships.
///
/// As `application/json` one document, newest first. As `application/x-ndjson` an ownership a line, bytewise by thread id,
/// read in pages: for any number of ownerships. The last line is `{"end":{"rows":N}}` or `{"error":PROBLEM}`; a stream
/// without one was cut off.
#[utoipa::path(
    get,
    path = "/v1/thread-ownerships",
    operation_id = "list_thread_ownerships",
    tag = "thread ownerships",
    responses((status = 200, description = "The ownerships.", content(
        (Ownerships = "application/json"),
        (String = "application/x-ndjson"),
    ))),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    deadline: Option<Extension<Deadline>>,
    headers: HeaderMap,
) -> Answer {
    parameters(query.as_deref(), [])?;
    if format(&headers)? == Format::Ndjson {
        let deadline = deadline.map(|Extension(deadline)| deadline);
        return stream::answer(app, OwnershipPages, deadline, request_id::of(&headers)).await;
    }
    let _turn = app.list().await?;
    let ownerships = app.storage.get_all_thread_ownerships().await.map_err(|error| app.problem(error))?;
    json(&Ownerships { ownerships: ownerships.into_iter().map(OwnershipRow::from).collect() })
}

/// Remove ownerships of threads that were created longer ago than `max_age`.
#[utoipa::path(
    post,
    path = "/v1/thread-ownerships/cleanup",
    operation_id = "cleanup_old_thread_ownerships",
    tag = "thread ownerships",
    request_body = Cleanup,
    responses(
        (status = 200, description = "They are removed.", body = CleanedUp),
        (status = 202, description = "The cleanup is durable in the server's spool, and happens later.", body = CleanedUp),
    ),
)]
pub async fn cleanup(State(app): State<Arc<App>>, request: Request) -> Answer {
    parameters(request.uri().query(), [])?;
    let deadline = Deadline::of(&request);
    let cleanup: Cleanup = body::json(request, app.transfer_timeout).await?;
    let max_age = duration("max_age", &cleanup.max_age)?;
    let _turn = app.operation().await?;
    match app.write(deadline, app.storage.cleanup_old_thread_ownerships(max_age)).await? {
        Written::Stored(removed) => json(&CleanedUp { result: Outcome::Stored, removed: Some(removed) }),
        Written::Spooled => accepted(&CleanedUp { result: Outcome::Spooled, removed: None }),
    }
}

struct OwnershipPages;

impl Pages for OwnershipPages {
    type Row = ThreadOwnership;
    type Document = OwnershipRow;
    type Key = String;

    async fn page(&self, storage: &ResilientStorage, after: Option<&String>) -> Result<Page<ThreadOwnership, String>> {
        storage.page_of_thread_ownerships(after.map(String::as_str), PAGE).await
    }

    fn shows(&self, _: &ThreadOwnership) -> bool {
        true
    }
}
