//! Never says what it is.

use guest_support::{Description, Guest};

struct DescribeLoops;

impl Guest for DescribeLoops {
    fn describe() -> Description {
        loop {
            std::hint::black_box(());
        }
    }
}

guest_support::export!(DescribeLoops);
