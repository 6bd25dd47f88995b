//! Describes itself with a name that is no name.

use guest_support::{Description, Engine, Guest};

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

guest_support::export!(DescribeLies);
