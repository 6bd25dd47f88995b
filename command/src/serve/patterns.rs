//! What texts of requests look like, for the document. All that match are taken; of durations, some more are.

use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OpenApi, RefOr};

/// Any text without U+0000.
const ID: &str = "^[^\\u0000]*$";

/// `0`, `5m`, `1h30m`, `2.5s`, `300ms`.
const DURATION: &str = "^(0|([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}(\\.[0-9]{1,9})?s|[0-9]{1,9}(ms|us|ns))?)$";

/// The same without nothing.
const AGE: &str = "^[1-9][0-9]{0,5}(h([0-9]{1,7}m)?([0-9]{1,9}s)?|m([0-9]{1,9}s)?|s|ms|us|ns)$";

/// The same without what is too short for a network.
pub const TIMEOUT: &str = "^([1-9][0-9]{2,5}ms|[1-9][0-9]{0,5}(s|m|h))$";

/// Adds them to parameters and members of their names.
pub fn add(api: &mut OpenApi) {
    let schemas = api.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.properties.iter_mut().for_each(|(name, property)| restrict(name, property));
        }
    }
    let operations = api.paths.paths.values_mut().flat_map(|path| [&mut path.get, &mut path.put, &mut path.post]);
    for parameter in operations.flatten().flat_map(|operation| operation.parameters.iter_mut().flatten()) {
        if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
            restrict(name, schema);
        }
    }
}

fn restrict(name: &str, schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(text)) = schema else { return };
    let mut set = |pattern: &str, most: Option<usize>| {
        let Object { pattern: of_text, min_length, max_length, .. } = text;
        (*of_text, *min_length) = (Some(pattern.to_owned()), Some(1));
        *max_length = most;
    };
    match name {
        "channel_id" | "thread_id" | "last_message_id" | "original_user_id" | "created_by" => {
            set(ID, Some(cofferdam::MAX_ID_CHARACTERS));
        }
        "window" => set(DURATION, None),
        "max_age" => set(AGE, None),
        _ => {}
    }
}
