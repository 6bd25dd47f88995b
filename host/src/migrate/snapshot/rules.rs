//! The rules of a row's values, told before a storage sees them.

use super::format::Row;
use crate::model::MAX_ID_CHARACTERS;

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
    match row {
        Row::State(state) => id("channel_id", &state.channel_id)
            .or_else(|| id("thread_id", state.thread_id.as_deref()?))
            .or_else(|| id("last_message_id", &state.last_message_id)),
        Row::Ownership(ownership) => id("thread_id", &ownership.thread_id)
            .or_else(|| id("original_user_id", &ownership.original_user_id))
            .or_else(|| id("created_by", &ownership.created_by)),
    }
}

fn id(field: &str, value: &str) -> Option<String> {
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.len() > MAX_ID_CHARACTERS && value.chars().count() > MAX_ID_CHARACTERS {
        format!("has {} characters", value.chars().count())
    } else if value.contains('\0') {
        "contains a NUL character".to_owned()
    } else {
        return None;
    };
    Some(format!("{field} {problem}, but it must have 1 to {MAX_ID_CHARACTERS} characters without NUL"))
}
