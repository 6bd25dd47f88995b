//! Integers of 64 bits, as JSON has them.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

/// Up to here each integer is a number of its own for those who read JSON's numbers as floating-point ones.
const SAFE: f64 = 9_007_199_254_740_992.0;

/// Reads one. To some languages, and to JSON Schema, `5.0` is one too.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(Integer)
}

struct Integer;

impl Visitor<'_> for Integer {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i64")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        number.try_into().map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number.fract() == 0.0 && number.abs() < SAFE {
            return Ok(number as i64);
        }
        Err(E::invalid_type(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_integer_of_64_bits_is_refused_and_never_changed() {
        let read = |text: &str| super::read(&mut serde_json::Deserializer::from_str(text)).ok();
        for (text, number) in [("5", 5), ("-5.0", -5), ("1e3", 1_000), ("-0.0", 0), ("9223372036854775807", i64::MAX)] {
            assert_eq!(read(text), Some(number), "{text}");
        }
        for text in ["5.5", "9223372036854775808", "9007199254740993.0", "1e300", "\"5\"", "true", "null"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
