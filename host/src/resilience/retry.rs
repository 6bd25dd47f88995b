//! Which errors another try can mend, and the pauses between tries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::config::RetryConfig;
use crate::error::{Error, ErrorKind};

/// Whether the same operation may succeed at once or a little later, told from what the database's code means: a lost
/// connection, a server that takes none, a lost lock. Never a wrong password, an unknown database or a constraint.
///
/// A timeout without a code is the operation's own deadline, after which there is no time for another try.
pub(super) fn can_help(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Conflict => true,
        ErrorKind::Timeout => error.code().is_some(),
        ErrorKind::InvalidInput
        | ErrorKind::NotInitialized
        | ErrorKind::PermissionDenied
        | ErrorKind::StorageFull
        | ErrorKind::SchemaMismatch
        | ErrorKind::CorruptData
        | ErrorKind::Refused
        | ErrorKind::Internal => false,
    }
}

/// The pauses between the attempts of one operation.
pub(super) fn pauses(config: &RetryConfig) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(config.first_pause)
        .with_max_delay(config.longest_pause.max(Duration::from_millis(1)))
        .with_max_times(config.attempts.saturating_sub(1) as usize)
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |kind, code: Option<&str>| {
            let error = Error::new(kind, "");
            can_help(&match code {
                Some(code) => error.with_code(code),
                None => error,
            })
        };
        assert!(of(ErrorKind::Unavailable, Some("2013")) && of(ErrorKind::Conflict, Some("1213")));
        assert!(of(ErrorKind::Timeout, Some("1317")) && !of(ErrorKind::Timeout, None));
        for kind in [ErrorKind::PermissionDenied, ErrorKind::Internal, ErrorKind::InvalidInput, ErrorKind::CorruptData]
        {
            assert!(!of(kind, Some("1045")), "{kind}");
        }
    }

    #[test]
    fn pauses_grow_are_spread_and_end() {
        let config = RetryConfig {
            attempts: 4,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(30),
        };
        let pauses: Vec<_> = pauses(&config).collect();
        assert_eq!(pauses.len(), 3);
        for (pause, least) in pauses.iter().zip([10, 20, 30]) {
            let least = Duration::from_millis(least);
            assert!(*pause >= least && *pause <= least * 2, "{pauses:?}");
        }
    }
}
