//! Snowflakes: ids that contain their time.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Milliseconds between the Unix epoch and Discord's.
const EPOCH: u64 = 1_420_070_400_000;

/// An id of Discord, written as a string in JSON. Its upper bits are the time of its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl Id {
    /// The least id of a time, in milliseconds since the Unix epoch.
    pub fn at(unix_ms: u64) -> Self {
        Self(unix_ms.saturating_sub(EPOCH) << 22)
    }

    /// When it was made, in milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH
    }

    /// When it was made, as Discord writes times.
    pub(crate) fn timestamp(self) -> String {
        timestamp(self.unix_ms())
    }
}

/// A time in milliseconds since the Unix epoch, as Discord writes it.
pub(crate) fn timestamp(unix_ms: u64) -> String {
    time(unix_ms).strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// A time in milliseconds since the Unix epoch, as HTTP writes it.
pub(crate) fn http_date(unix_ms: u64) -> String {
    time(unix_ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn time(unix_ms: u64) -> jiff::Timestamp {
    i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

/// Hands out ids that only grow, whatever the clock does.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    last: u64,
}

impl Ids {
    pub(crate) fn next(&mut self, unix_ms: u64) -> Id {
        self.last = Id::at(unix_ms).0.max(self.last + 1);
        Id(self.last)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
                Ok(Id(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Id, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
