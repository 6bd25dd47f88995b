//! What random tests repeat.

use anyhow::{Context, Result};

/// The variable that says with which seed.
pub const VARIABLE: &str = "COFFERDAM_TEST_SEED";

/// The seed of this run: of the variable, or one that nobody has chosen. Prints it.
///
/// # Errors
///
/// The variable is no number.
pub fn seed() -> Result<u64> {
    let seed = match std::env::var(VARIABLE) {
        Ok(seed) => seed.parse().with_context(|| format!("{VARIABLE} is no number"))?,
        Err(_) => fastrand::u64(..),
    };
    println!("{VARIABLE}={seed}");
    Ok(seed)
}

/// Random numbers from [`seed`].
///
/// # Errors
///
/// As [`seed`].
pub fn random() -> Result<fastrand::Rng> {
    seed().map(fastrand::Rng::with_seed)
}
