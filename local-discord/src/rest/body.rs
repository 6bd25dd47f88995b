//! Bodies of requests.

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::id::Id;

/// The fields of a body.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body, which must be an object of JSON.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Refusal::json()),
        }
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A text with a number of characters from `least` to `most`.
    pub(super) fn text(&self, field: &str, least: usize, most: usize) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let Some(text) = value.as_str() else {
            return Err(Refusal::field(field, "STRING_TYPE_CONVERT", "Could not convert to string."));
        };
        if !(least..=most).contains(&text.chars().count()) {
            return Err(Refusal::length(field, least, most));
        }
        Ok(Some(text))
    }

    /// Yes or no.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| Refusal::field(field, "BOOLEAN_TYPE_CONVERT", "Must be either true or false."))
    }

    /// A number out of some.
    pub(super) fn choice(&self, field: &str, choices: &[u64]) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let found = value.as_u64().filter(|number| choices.contains(number));
        found
            .map(Some)
            .ok_or_else(|| Refusal::field(field, "BASE_TYPE_CHOICES", &format!("Value must be one of {choices:?}.")))
    }

    /// An id, as a text or a number.
    pub(super) fn id(&self, field: &str) -> Result<Option<Id>, Refusal> {
        self.get(field).map(|value| read_id(field, value)).transpose()
    }
}

/// An id, as a text or a number.
pub(super) fn read_id(field: &str, value: &Value) -> Result<Id, Refusal> {
    serde_json::from_value(value.clone()).map_err(|_| Refusal::snowflake(field, value.as_str().unwrap_or_default()))
}
