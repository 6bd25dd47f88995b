//! Requests that nobody would think of, to the real router over a real database: each answer is compared with the reference's.
//!
//! A few thousand each time; `COFFERDAM_FUZZ_CASES` says how many, and `COFFERDAM_TEST_FULL` stands for ten million.

mod bytes;
mod changes;
mod judge;
mod requests;
mod rig;
mod sent;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::rig::Rig;

/// Requests to one database: as many rows as this makes are listed in a millisecond.
const ROUND: u32 = 4_000;

/// How many cases are tried: `few`, or one `in_each` so many of those that are asked for.
fn cases(few: u32, in_each: u32) -> u32 {
    let given = std::env::var("COFFERDAM_FUZZ_CASES").ok().and_then(|text| text.parse::<u32>().ok());
    let full = std::env::var_os("COFFERDAM_TEST_FULL").map(|_| 10_000_000);
    given.or(full).map_or(few, |cases| cases.div_ceil(in_each))
}

/// Runs cases in rounds, each on a database of its own. What failed is printed in its simplest form.
fn run<S: proptest::strategy::Strategy>(
    cases: u32,
    has_reference: bool,
    strategy: &S,
    test: impl Fn(&Rig, S::Value) -> Result<(), TestCaseError>,
) {
    let mut left = cases;
    while left > 0 {
        let now = left.min(ROUND);
        left -= now;
        let rig = Rig::new();
        let config = Config { cases: now, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
        if let Err(error) = TestRunner::new(config).run(strategy, |case| test(&rig, case)) {
            panic!("{error}");
        }
        rig.end(has_reference);
    }
}

#[test]
fn requests_are_answered_as_by_the_reference() {
    let test = |rig: &Rig, request| rig.block_on(judge::request(rig, &request));
    run(cases(8_000, 1), true, &requests::request(), test);
}

#[test]
fn bytes_on_a_socket_hurt_nobody() {
    run(cases(400, 100), false, &bytes::stream(), |rig, bytes| rig.block_on(bytes::send(rig, &bytes)));
}
