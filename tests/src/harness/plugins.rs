//! The compiled components: [`SQLITE`], [`MYSQL`] and, in [`guests`], one for each file of `tests/guests/examples`. All of these
//! misbehave, but for the two that are the backends with a clock of their own.
//!
//! The build script compiles them. A test file that is about guests proves with [`foreach_guest!`] that it has a
//! test for each:
//!
//! ```text
//! macro_rules! assert_guest_is_tested {
//!     ($name:ident) => {
//!         #[expect(unused_imports, reason = "a guest without a test of its name does not compile")]
//!         use self::$name as _;
//!     };
//! }
//! cofferdam_tests::foreach_guest!(assert_guest_is_tested);
//! ```
//!
//! [`foreach_guest!`]: crate::foreach_guest

include!(concat!(env!("OUT_DIR"), "/plugins.rs"));
