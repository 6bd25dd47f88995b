//! Runs the tests.

use anyhow::Result;

use crate::build::{self, Built};
use crate::run::{cargo, root, step};
use crate::{setup, tools};

/// Installs what is missing, builds, and runs every test, or those of one file, or those whose name contains `filter`; with
/// `full` what is random as often as is promised.
pub fn test(full: bool, filter: Option<&str>) -> Result<()> {
    setup::mariadb()?;
    setup::galera()?;
    setup::operators()?;
    setup::clients()?;
    tools::all()?;
    let Built { command, .. } = build::build(build::DEVELOPMENT)?;
    let mut test = cargo(["test", "--no-fail-fast"]);
    if filter.is_some_and(is_file) {
        test.arg("--test");
    }
    test.args(filter).env("COFFERDAM_TEST_BIN", command);
    if full {
        test.env("COFFERDAM_TEST_FULL", "1");
    }
    step("Running the tests", &mut test)
}

/// Whether this is the name of a file of tests, or of a folder of such.
fn is_file(name: &str) -> bool {
    let tests = root().join("tests/tests");
    tests.join(format!("{name}.rs")).is_file() || tests.join(name).join("main.rs").is_file()
}
