//! Components that misbehave: each gets a typed error within its deadline, nothing leaves the sandbox, whoever works
//! beside it notices nothing, and the next operation works.
//!
//! Each folder of `tests/guests` has a module of its name here, or this does not compile.

mod cache;
mod clock;
mod grants;
mod limits;
mod loading;
mod mysql;
mod output;
mod pause;
mod rig;
mod sqlite;
mod table;

use clock::*;
use grants::*;
use limits::*;
use loading::*;
use mysql::*;
use output::*;
use pause::*;
use sqlite::*;

macro_rules! assert_guest_is_tested {
    ($name:ident) => {
        #[expect(unused_imports, reason = "a guest without a module of its name does not compile")]
        use self::$name as _;
    };
}
cofferdam_tests::foreach_guest!(assert_guest_is_tested);
