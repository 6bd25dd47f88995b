//! Between the contract's types and the model's.

use super::bindings::{backend, sql, transfer, types};
use crate::engines::{Engine, with_engines};
use crate::error::{Error, ErrorKind};
use crate::model::packed::{Malformed, MessageStateColumns, TextColumn, ThreadOwnershipColumns};
use crate::model::{Description, ImportOutcome, MessageKey, MessageState, OnEqual, ThreadOwnership};
use crate::text::one_line;

/// The most characters of an error's message that are taken from a guest: it is to be one sentence.
pub(crate) const MESSAGE: usize = 1000;

/// The most characters of an error's code that are taken from a guest, such as `SQLITE_CONSTRAINT_UNIQUE`.
const CODE: usize = 64;

/// Takes over a column that a guest returned.
impl From<types::TextColumnResult> for TextColumn {
    fn from(column: types::TextColumnResult) -> Self {
        let types::TextColumnResult { offsets, text } = column;
        Self { offsets, text }
    }
}

/// Lends a column to a guest, which checks it.
impl<'a> From<&'a TextColumn> for types::TextColumnParam<'a> {
    fn from(column: &'a TextColumn) -> Self {
        Self { offsets: &column.offsets, text: &column.text }
    }
}

/// Takes over what a guest returned, as it is.
impl From<types::MessageStatesResult> for MessageStateColumns {
    fn from(columns: types::MessageStatesResult) -> Self {
        Self {
            ids: columns.ids,
            channel_ids: columns.channel_ids.into(),
            thread_ids: columns.thread_ids.into(),
            threadless: columns.threadless,
            last_message_ids: columns.last_message_ids.into(),
            last_seen_timestamps: columns.last_seen_timestamps,
            created_ats: columns.created_ats,
            updated_ats: columns.updated_ats,
        }
    }
}

/// Lends them to a guest, which checks them.
impl<'a> From<&'a MessageStateColumns> for types::MessageStatesParam<'a> {
    fn from(columns: &'a MessageStateColumns) -> Self {
        Self {
            ids: &columns.ids,
            channel_ids: (&columns.channel_ids).into(),
            thread_ids: (&columns.thread_ids).into(),
            threadless: &columns.threadless,
            last_message_ids: (&columns.last_message_ids).into(),
            last_seen_timestamps: &columns.last_seen_timestamps,
            created_ats: &columns.created_ats,
            updated_ats: &columns.updated_ats,
        }
    }
}

/// Takes over what a guest returned, as it is.
impl From<types::ThreadOwnershipsResult> for ThreadOwnershipColumns {
    fn from(columns: types::ThreadOwnershipsResult) -> Self {
        Self {
            ids: columns.ids,
            thread_ids: columns.thread_ids.into(),
            original_user_ids: columns.original_user_ids.into(),
            created_bys: columns.created_bys.into(),
            creation_times: columns.creation_times,
            created_ats: columns.created_ats,
            updated_ats: columns.updated_ats,
        }
    }
}

/// Lends them to a guest, which checks them.
impl<'a> From<&'a ThreadOwnershipColumns> for types::ThreadOwnershipsParam<'a> {
    fn from(columns: &'a ThreadOwnershipColumns) -> Self {
        Self {
            ids: &columns.ids,
            thread_ids: (&columns.thread_ids).into(),
            original_user_ids: (&columns.original_user_ids).into(),
            created_bys: (&columns.created_bys).into(),
            creation_times: &columns.creation_times,
            created_ats: &columns.created_ats,
            updated_ats: &columns.updated_ats,
        }
    }
}

impl From<types::MessageStateResult> for MessageState {
    fn from(state: types::MessageStateResult) -> Self {
        Self {
            id: state.id,
            channel_id: state.channel_id,
            thread_id: state.thread_id,
            last_message_id: state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }
}

impl<'a> From<&'a MessageState> for types::MessageStateParam<'a> {
    fn from(state: &'a MessageState) -> Self {
        Self {
            id: state.id,
            channel_id: &state.channel_id,
            thread_id: state.thread_id.as_deref(),
            last_message_id: &state.last_message_id,
            last_seen_timestamp: state.last_seen_timestamp,
            created_at: state.created_at,
            updated_at: state.updated_at,
        }
    }
}

impl From<types::ThreadOwnershipResult> for ThreadOwnership {
    fn from(ownership: types::ThreadOwnershipResult) -> Self {
        Self {
            id: ownership.id,
            thread_id: ownership.thread_id,
            original_user_id: ownership.original_user_id,
            created_by: ownership.created_by,
            creation_time: ownership.creation_time,
            created_at: ownership.created_at,
            updated_at: ownership.updated_at,
        }
    }
}

impl<'a> From<&'a ThreadOwnership> for types::ThreadOwnershipParam<'a> {
    fn from(ownership: &'a ThreadOwnership) -> Self {
        Self {
            id: ownership.id,
            thread_id: &ownership.thread_id,
            original_user_id: &ownership.original_user_id,
            created_by: &ownership.created_by,
            creation_time: ownership.creation_time,
            created_at: ownership.created_at,
            updated_at: ownership.updated_at,
        }
    }
}

impl<'a> From<&'a MessageKey> for transfer::MessageKeyParam<'a> {
    fn from(key: &'a MessageKey) -> Self {
        Self { channel_id: &key.channel_id, thread_id: key.thread_id.as_deref() }
    }
}

impl From<OnEqual> for transfer::OnEqual {
    fn from(on_equal: OnEqual) -> Self {
        match on_equal {
            OnEqual::Keep => Self::Keep,
            OnEqual::Replace => Self::Replace,
        }
    }
}

impl From<transfer::ImportOutcome> for ImportOutcome {
    fn from(outcome: transfer::ImportOutcome) -> Self {
        Self { inserted: outcome.inserted, replaced: outcome.replaced, kept: outcome.kept }
    }
}

macro_rules! engine {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $module:ident, $config:ident;)*) => {
        impl From<sql::Engine> for Engine {
            fn from(engine: sql::Engine) -> Self {
                match engine {
                    $(sql::Engine::$variant => Self::$variant,)*
                }
            }
        }

        impl From<Engine> for sql::Engine {
            fn from(engine: Engine) -> Self {
                match engine {
                    $(Engine::$variant => Self::$variant,)*
                }
            }
        }
    };
}
with_engines!(engine);

impl From<backend::Description> for Description {
    fn from(description: backend::Description) -> Self {
        let backend::Description { name, version, engine, schema_version } = description;
        Self { name, version, engine: engine.into(), schema_version }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        let kind = match error.kind {
            types::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            types::ErrorKind::NotInitialized => ErrorKind::NotInitialized,
            types::ErrorKind::Unavailable => ErrorKind::Unavailable,
            types::ErrorKind::Timeout => ErrorKind::Timeout,
            types::ErrorKind::Conflict => ErrorKind::Conflict,
            types::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            types::ErrorKind::StorageFull => ErrorKind::StorageFull,
            types::ErrorKind::SchemaMismatch => ErrorKind::SchemaMismatch,
            types::ErrorKind::CorruptData => ErrorKind::CorruptData,
            types::ErrorKind::Refused => ErrorKind::Refused,
            types::ErrorKind::Internal => ErrorKind::Internal,
        };
        let converted = Self::new(kind, one_line(&error.message, MESSAGE));
        match error.code {
            Some(code) => converted.with_code(one_line(&code, CODE)),
            None => converted,
        }
    }
}

/// What a guest returned, or an error that says that it does not hold together.
pub(crate) fn well_formed<T>(result: Result<T, Malformed>) -> Result<T, Error> {
    result.map_err(|malformed| {
        let message = format!("the plugin returned a malformed list: {}", malformed.reason());
        Error::new(ErrorKind::Internal, message)
    })
}
