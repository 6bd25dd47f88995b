//! Describes itself with a name that is no name.

use test_guests::{Description, Engine, Guest};

struct DescribeLies;

impl Guest for DescribeLies {
    fn describe() -> Description {
        Description {
            name: "\x1b[2J\nERROR forged".repeat(1 << 10),
            version: "0.0.0".into(),
            engine: Engine::Sqlite,
            schema_version: 1,
        }
    }
}

test_guests::export!(DescribeLies);
