//! Runs the tests.

use anyhow::Result;

use crate::build::{self, Built};
use crate::run::{cargo, step};
use crate::setup;

/// Installs what is missing, builds, and runs every test.
pub fn test(filter: Option<&str>) -> Result<()> {
    setup::mariadb()?;
    setup::galera()?;
    let Built { command, .. } = build::build(build::DEVELOPMENT)?;
    let mut test = cargo(["test", "--no-fail-fast", "--features", "cofferdam/command"]);
    test.args(filter).env("COFFERDAM_TEST_BIN", command);
    step("Running the tests", &mut test)
}
