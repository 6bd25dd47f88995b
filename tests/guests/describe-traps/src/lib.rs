//! Panics before it has said what it is.

use guest_support::{Description, Guest};

struct DescribeTraps;

impl Guest for DescribeTraps {
    fn describe() -> Description {
        panic!("no description")
    }
}

guest_support::export!(DescribeTraps);
