//! Runs tests and benchmarks.

use anyhow::Result;

use crate::build::{self, Built};
use crate::run::{cargo, step};
use crate::setup;

/// Installs what is missing, builds, and runs every test.
pub fn test(filter: Option<&str>) -> Result<()> {
    setup::mariadb()?;
    let Built { command, .. } = build::build(build::DEVELOPMENT)?;
    let mut test = cargo(["test", "--no-fail-fast", "--features", "cofferdam/command"]);
    test.args(filter).env("COFFERDAM_TEST_BIN", command);
    step("Running the tests", &mut test)
}

/// Runs the benchmarks in the release profile.
pub fn bench(filter: Option<&str>) -> Result<()> {
    setup::mariadb()?;
    let plugins = build::plugins()?;
    let mut bench = cargo(["bench", "--package", "cofferdam-benches"]);
    bench.args(["--"]).args(filter).env("COFFERDAM_PLUGINS", plugins);
    step("Measuring (the first time compiles everything once more, optimised)", &mut bench)
}
