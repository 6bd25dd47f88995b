//! Never says what it is.

use test_guests::{Description, Guest};

struct DescribeLoops;

impl Guest for DescribeLoops {
    fn describe() -> Description {
        loop {
            std::hint::black_box(());
        }
    }
}

test_guests::export!(DescribeLoops);
