//! The eleven operations, and what a backend says of itself.

use crate::Component;
use crate::bindings::cofferdam::storage::sql::Value;
use crate::bindings::cofferdam::storage::types::{
    Duration, Error, ErrorKind, MessageState, MessageStates, ThreadOwnership, ThreadOwnerships,
};
use crate::bindings::exports::cofferdam::storage::{backend, storage};
use crate::dialect::Backend;
use crate::error::{Failure, Result, operation};
use crate::rows::{self, Reader};
use crate::session::forget_statements;
use crate::table::{Table, Values};
use crate::{apart, order, remarks, schema, session, time, validate};

/// An id that may be absent, as a parameter.
pub(crate) fn optional(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

impl<B: Backend> backend::Guest for Component<B> {
    fn describe() -> backend::Description {
        backend::Description {
            name: B::NAME.to_owned(),
            version: B::VERSION.to_owned(),
            engine: B::ENGINE,
            schema_version: schema::known_version::<B>(),
        }
    }

    fn schema_version() -> Result<Option<u32>, Error> {
        operation::<B, _>("schema-version", schema::version::<B>)
    }

    fn remarks() -> Result<Vec<String>, Error> {
        operation::<B, _>("remarks", remarks::gather::<B>)
    }
}

impl<B: Backend> storage::Guest for Component<B> {
    fn initialize() -> Result<(), Error> {
        operation::<B, _>("initialize", schema::initialize::<B>)
    }

    fn close() -> Result<(), Error> {
        forget_statements();
        Ok(())
    }

    fn health_check() -> Result<(), Error> {
        operation::<B, _>("health-check", || {
            let rows = session::query(B::STATEMENTS.health_check, &[])?;
            let mut reader = Reader::new("schema_versions", &rows);
            for table in ["message_states", "thread_ownerships"] {
                reader.next(table)?;
            }
            let version = reader.next("version")?.optional_integer(0)?;
            let known = schema::known_version::<B>();
            if version == Some(i64::from(known)) {
                return Ok(());
            }
            let found = version.map_or("no schema version".to_owned(), |version| format!("schema version {version}"));
            let cure = if version > Some(i64::from(known)) { "use a newer backend" } else { "initialize it" };
            Err(Failure::new(
                ErrorKind::SchemaMismatch,
                format!("the database has {found}, this backend needs version {known}: {cure}"),
            ))
        })
    }

    fn get_message_state(channel_id: String, thread_id: Option<String>) -> Result<Option<MessageState>, Error> {
        operation::<B, _>("get-message-state", || {
            validate::id("channel-id", &channel_id)?;
            validate::optional_id("thread-id", thread_id.as_deref())?;
            let key = [Value::Text(&channel_id), optional(thread_id.as_deref())];
            let rows = session::query(B::STATEMENTS.get_message_state, &key)?;
            if rows.count == 0 {
                return Ok(None);
            }
            // The key compares byte for byte, so it is what was asked for and needs no way back.
            let mut reader = Reader::new("message_states", &rows);
            Ok(Some(MessageState {
                id: reader.next("id")?.integer(0)?,
                last_message_id: reader.next("last_message_id")?.text(0)?.to_owned(),
                last_seen_timestamp: reader.next("last_seen_timestamp")?.integer(0)?,
                created_at: reader.next("created_at")?.integer(0)?,
                updated_at: reader.next("updated_at")?.integer(0)?,
                channel_id,
                thread_id,
            }))
        })
    }

    fn upsert_message_state(state: MessageState) -> Result<(), Error> {
        operation::<B, _>("upsert-message-state", || {
            validate::id("channel-id", &state.channel_id)?;
            validate::optional_id("thread-id", state.thread_id.as_deref())?;
            validate::id("last-message-id", &state.last_message_id)?;
            let now = time::now();
            let parameters = [
                Value::Text(&state.channel_id),
                optional(state.thread_id.as_deref()),
                Value::Text(&state.last_message_id),
                Value::Integer(state.last_seen_timestamp),
                Value::Integer(if state.created_at == 0 { now } else { state.created_at }),
                Value::Integer(now),
            ];
            let Err(error) = session::execute_row(&B::STATEMENTS.upsert_message_state, &parameters) else {
                return Ok(());
            };
            if !apart::concerns::<B>(&error) {
                return Err(error.into());
            }
            let created_at = if state.created_at == 0 { now } else { state.created_at };
            let values =
                Values { texts: [&state.last_message_id, ""], integers: [state.last_seen_timestamp, created_at, now] };
            apart::upsert::<B>(Table::MessageStates, (&state.channel_id, state.thread_id.as_deref()), values)
        })
    }

    fn get_all_message_states() -> Result<MessageStates, Error> {
        operation::<B, _>("get-all-message-states", || {
            let rows = session::query_long(B::STATEMENTS.all_message_states, &[])?;
            Ok(order::newest_first(rows::message_states(&rows)?))
        })
    }

    fn get_message_states_within_window(window: Duration) -> Result<MessageStates, Error> {
        operation::<B, _>("get-message-states-within-window", || {
            let since = [Value::Integer(time::cutoff(window))];
            let rows = session::query_long(B::STATEMENTS.message_states_since, &since)?;
            Ok(order::newest_first(rows::message_states(&rows)?))
        })
    }

    fn get_thread_ownership(thread_id: String) -> Result<Option<ThreadOwnership>, Error> {
        operation::<B, _>("get-thread-ownership", || {
            validate::id("thread-id", &thread_id)?;
            let rows = session::query(B::STATEMENTS.get_thread_ownership, &[Value::Text(&thread_id)])?;
            if rows.count == 0 {
                return Ok(None);
            }
            let mut reader = Reader::new("thread_ownerships", &rows);
            Ok(Some(ThreadOwnership {
                id: reader.next("id")?.integer(0)?,
                original_user_id: reader.next("original_user_id")?.text(0)?.to_owned(),
                created_by: reader.next("created_by")?.text(0)?.to_owned(),
                creation_time: reader.next("creation_time")?.integer(0)?,
                created_at: reader.next("created_at")?.integer(0)?,
                updated_at: reader.next("updated_at")?.integer(0)?,
                thread_id,
            }))
        })
    }

    fn upsert_thread_ownership(ownership: ThreadOwnership) -> Result<(), Error> {
        operation::<B, _>("upsert-thread-ownership", || {
            validate::id("thread-id", &ownership.thread_id)?;
            validate::id("original-user-id", &ownership.original_user_id)?;
            validate::id("created-by", &ownership.created_by)?;
            let now = time::now();
            let parameters = [
                Value::Text(&ownership.thread_id),
                Value::Text(&ownership.original_user_id),
                Value::Text(&ownership.created_by),
                Value::Integer(ownership.creation_time),
                Value::Integer(now),
                Value::Integer(now),
            ];
            let Err(error) = session::execute_row(&B::STATEMENTS.upsert_thread_ownership, &parameters) else {
                return Ok(());
            };
            if !apart::concerns::<B>(&error) {
                return Err(error.into());
            }
            let values = Values {
                texts: [&ownership.original_user_id, &ownership.created_by],
                integers: [ownership.creation_time, now, now],
            };
            apart::upsert::<B>(Table::ThreadOwnerships, (&ownership.thread_id, None), values)
        })
    }

    fn get_all_thread_ownerships() -> Result<ThreadOwnerships, Error> {
        operation::<B, _>("get-all-thread-ownerships", || {
            let rows = session::query_long(B::STATEMENTS.all_thread_ownerships, &[])?;
            Ok(order::newest_first_ownerships(rows::thread_ownerships(&rows)?))
        })
    }

    fn cleanup_old_thread_ownerships(max_age: Duration) -> Result<u64, Error> {
        operation::<B, _>("cleanup-old-thread-ownerships", || {
            validate::positive("max-age", max_age)?;
            let before = [Value::Integer(time::cutoff(max_age))];
            Ok(session::execute_long(B::STATEMENTS.cleanup_thread_ownerships, &before)?.affected)
        })
    }
}
