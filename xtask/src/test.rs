//! Runs the tests.

use anyhow::Result;

use crate::build::{self, Built};
use crate::run::{cargo, step};
use crate::setup;

/// Installs what is missing, builds, and runs every test; with `full` what is random as often as is promised.
pub fn test(full: bool, filter: Option<&str>) -> Result<()> {
    setup::mariadb()?;
    setup::galera()?;
    let Built { command, .. } = build::build(build::DEVELOPMENT)?;
    let mut test = cargo(["test", "--no-fail-fast", "--features", "cofferdam/command"]);
    test.args(filter).env("COFFERDAM_TEST_BIN", command);
    if full {
        test.env("COFFERDAM_TEST_FULL", "1");
    }
    step("Running the tests", &mut test)
}
