//! The clock of the standard library, in place of the one that WASI's C library would link: it stands at the seconds that the
//! table `test_clock` has. So a test sets the clock of a backend in another process.

use cofferdam_guest::bindings::cofferdam::storage::sql::{Access, Work, prepare};

/// `struct timespec` of WASI's C library.
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i32,
}

/// The name is what the standard library calls, with C's arguments and answer. The first one is a clock, of which backends know
/// one only.
// SAFETY: the linker takes this instead of WASI's C library's, which nothing else brings in.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(_clock: usize, time: &mut Timespec) -> i32 {
    let seconds = prepare("SELECT seconds FROM test_clock", Work::Short)
        .and_then(|statement| statement.query(Access::Read, &[]))
        .expect("the test has made the table");
    // One integer: the kind of its column, and eight bytes.
    let (0, integer) = seconds.packed.split_first().map(|(kind, rest)| (*kind, rest)).expect("a column") else {
        panic!("the seconds are no integer");
    };
    let seconds = i64::from_le_bytes(integer.try_into().expect("one row"));
    *time = Timespec { seconds, nanoseconds: 0 };
    0
}
