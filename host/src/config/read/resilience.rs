//! What is done while the database is away.

use super::{HOUR, MILLISECOND, Reader, shown};
use crate::config::{BreakerConfig, OnUnavailable, ResilienceConfig, RetryConfig, SpoolConfig, format_duration};
use crate::files::FileUse;

impl Reader<'_> {
    pub(super) fn resilience(&mut self) -> ResilienceConfig {
        ResilienceConfig {
            on_unavailable: self.on_unavailable(),
            retry: self.retry(),
            breaker: BreakerConfig {
                failures: self.number("COFFERDAM_BREAKER_FAILURES", 0..=1000),
                probe_interval: self.duration("COFFERDAM_BREAKER_PROBE_INTERVAL", MILLISECOND..=HOUR),
                probe_timeout: self.duration("COFFERDAM_BREAKER_PROBE_TIMEOUT", MILLISECOND..=HOUR),
            },
            spool: self.spool(),
        }
    }

    fn on_unavailable(&mut self) -> OnUnavailable {
        const NAME: &str = "COFFERDAM_ON_UNAVAILABLE";
        let text = self.text_or_default(NAME);
        OnUnavailable::ALL.into_iter().find(|choice| choice.name() == text).unwrap_or_else(|| {
            self.wrong_value(NAME, format!("is {}: it must be fail or degrade", shown(&text)));
            OnUnavailable::default()
        })
    }

    fn retry(&mut self) -> RetryConfig {
        const FIRST: &str = "COFFERDAM_RETRY_FIRST_PAUSE";
        const LONGEST: &str = "COFFERDAM_RETRY_LONGEST_PAUSE";
        let attempts = self.number("COFFERDAM_RETRY_ATTEMPTS", 1..=100);
        let first_pause = self.duration(FIRST, MILLISECOND..=HOUR);
        let longest_pause = self.duration(LONGEST, MILLISECOND..=HOUR);
        if first_pause > longest_pause && !self.wrong.contains(FIRST) && !self.wrong.contains(LONGEST) {
            let (first, longest) = (format_duration(first_pause), format_duration(longest_pause));
            self.wrong(
                FIRST,
                format!("is {first}, more than {LONGEST}, which is {longest}: lower the one or raise the other"),
            );
        }
        RetryConfig { attempts, first_pause, longest_pause }
    }

    fn spool(&mut self) -> Option<SpoolConfig> {
        const NAME: &str = "COFFERDAM_SPOOL";
        let limit = self.number("COFFERDAM_SPOOL_LIMIT", 1..=10_000_000) as usize;
        let path = self.path(NAME, FileUse::Database)?;
        Some(SpoolConfig { path, limit })
    }
}
