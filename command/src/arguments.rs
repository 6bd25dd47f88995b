//! Values of options that several commands have.

use std::time::Duration;

use cofferdam::config::parse_duration;

/// A duration for an option of the command.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("it must be a duration greater than 0, such as 500ms, 30s, 1m30s or 1.5h".into()),
    }
}
