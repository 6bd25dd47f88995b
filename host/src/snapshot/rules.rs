//! The rules of a row's values, told before a storage sees them.

use super::format::Row;

/// What an import does with a row that breaks a rule, such as one of the original bot with an empty thread id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBrokenRule {
    /// Imports nothing.
    #[default]
    Refuse,
    /// Leaves the row out and counts it.
    Skip,
}

/// Rows that break a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokenRules {
    /// How many.
    pub count: u64,
    /// The first of them: their lines, counted from 1, and the rules that they break. No more than
    /// [`SHOWN`](Self::SHOWN).
    pub first: Vec<(u64, String)>,
}

impl BrokenRules {
    /// How many are kept.
    pub const SHOWN: usize = 10;

    /// Looks at a row and says whether it keeps all rules.
    pub(super) fn keeps(&mut self, line: u64, row: &Row) -> bool {
        let Some(rule) = broken(row) else { return true };
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push((line, rule));
        }
        false
    }
}

/// The first rule that a row breaks.
fn broken(row: &Row) -> Option<String> {
    let checked = match row {
        Row::State(state) => state.validate(),
        Row::Ownership(ownership) => ownership.validate(),
    };
    checked.err().map(|error| error.message().to_owned())
}
