//! The rules of arguments, told before the database is touched.

use std::fmt;

use crate::bindings::cofferdam::storage::types::ErrorKind;
use crate::error::{Failure, Result};

/// The greatest number of characters in an id, which is what a `VARCHAR(255)` holds.
const MAX_ID_CHARACTERS: usize = 255;

/// Checks an id: 1 to 255 characters, no NUL.
///
/// # Errors
///
/// `invalid-input` naming `field`, not its value.
pub(crate) fn id(field: impl fmt::Display, value: &str) -> Result<()> {
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.len() > MAX_ID_CHARACTERS && value.chars().count() > MAX_ID_CHARACTERS {
        format!("has {} characters", value.chars().count())
    } else if value.as_bytes().contains(&0) {
        "contains a NUL character".to_owned()
    } else {
        return Ok(());
    };
    invalid(format!("{field} {problem}: give 1 to {MAX_ID_CHARACTERS} characters without NUL"))
}

/// Checks an id that may be absent.
pub(crate) fn optional_id(field: impl fmt::Display, value: Option<&str>) -> Result<()> {
    value.map_or(Ok(()), |value| id(field, value))
}

/// Checks a number that may not be 0.
pub(crate) fn positive(field: &str, value: u64) -> Result<()> {
    if value == 0 { invalid(format!("{field} is 0: give at least 1")) } else { Ok(()) }
}

/// `invalid-input` with this message.
pub(crate) fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::new(ErrorKind::InvalidInput, message))
}

/// A field of one row of an import, counted from 0.
pub(crate) struct Field(pub &'static str, pub usize);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of row {}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<()>) -> String {
        match result {
            Err(Failure::Own(error)) if error.kind == ErrorKind::InvalidInput => error.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_has_1_to_255_characters_however_many_bytes_those_are() {
        assert!(id("channel-id", "1").is_ok());
        assert!(id("channel-id", &"x".repeat(255)).is_ok());
        assert!(id("channel-id", &"😀".repeat(255)).is_ok());
        assert_eq!(message(id("channel-id", "")), "channel-id is empty: give 1 to 255 characters without NUL");
        assert!(message(id("channel-id", &"x".repeat(256))).starts_with("channel-id has 256 characters"));
        assert!(message(id("channel-id", &"é".repeat(256))).starts_with("channel-id has 256 characters"));
    }

    #[test]
    fn an_id_contains_no_nul_and_the_error_no_value() {
        let message = message(id("thread-id", "secret\0"));
        assert!(message.starts_with("thread-id contains a NUL"), "{message}");
        assert!(!message.contains("secret"));
    }

    #[test]
    fn no_thread_is_fine_and_an_empty_one_is_not() {
        assert!(optional_id("thread-id", None).is_ok());
        assert!(message(optional_id("thread-id", Some(""))).starts_with("thread-id is empty"));
    }

    #[test]
    fn a_row_of_an_import_is_named_by_its_position() {
        assert!(message(id(Field("created-by", 3), "")).starts_with("created-by of row 3 is empty"));
    }

    #[test]
    fn zero_is_not_positive() {
        assert!(positive("limit", 1).is_ok());
        assert_eq!(message(positive("limit", 0)), "limit is 0: give at least 1");
    }
}
