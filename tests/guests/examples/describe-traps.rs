//! Panics before it has said what it is.

use test_guests::{Description, Guest};

struct DescribeTraps;

impl Guest for DescribeTraps {
    fn describe() -> Description {
        panic!("no description")
    }
}

test_guests::export!(DescribeTraps);
