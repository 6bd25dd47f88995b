//! The table of what faults did.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::verdict::Verdict;

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Aligned columns for a terminal.
    Text,
    /// For a document.
    Markdown,
}

const HEADER: [&str; 9] = [
    "Fault",
    "Operations",
    "Writes checked",
    "Errors by kind",
    "Lost",
    "Duplicated",
    "Longest wait",
    "Time to recover",
    "Promises",
];

/// A row for each fault.
pub fn table(verdicts: &[Verdict], form: Form) -> String {
    let mut table = Table::new();
    let preset = if form == Form::Text { presets::NOTHING } else { presets::ASCII_MARKDOWN };
    table.load_style(preset).set_header(HEADER);
    for verdict in verdicts {
        let Verdict { fault, tally, lost, duplicated, .. } = verdict;
        table.add_row([
            fault.clone(),
            tally.operations.to_string(),
            tally.acknowledged.to_string(),
            verdict.errors(),
            lost.to_string(),
            duplicated.to_string(),
            longest(tally.longest),
            verdict.recovered(),
            if verdict.is_kept() { "kept".into() } else { format!("{} broken", verdict.broken.len()) },
        ]);
    }
    for column in [1, 2, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Of what callers of this process saw; hosts in others do not say.
fn longest(longest: std::time::Duration) -> String {
    if longest.is_zero() { "-".into() } else { format!("{:.2} s", longest.as_secs_f64()) }
}

/// What stands below the table: the writes that were checked, other figures, and the promises that were broken.
pub fn remarks(verdicts: &[Verdict]) -> String {
    let checked: u64 = verdicts.iter().map(|verdict| verdict.tally.acknowledged).sum();
    let lost: u64 = verdicts.iter().map(|verdict| verdict.lost).sum();
    let duplicated: u64 = verdicts.iter().map(|verdict| verdict.duplicated).sum();
    let mut text = format!("{checked} acknowledged writes checked: {lost} lost, {duplicated} duplicated.\n");
    for Verdict { fault, notes, broken, .. } in verdicts {
        notes.iter().for_each(|note| text += &format!("\n{fault}: {note}.\n"));
        broken.iter().for_each(|broken| text += &format!("\n{fault}: a guarantee was broken: {broken}.\n"));
    }
    text
}

/// All of it for a script; times in milliseconds.
pub fn json(verdicts: &[Verdict]) -> Value {
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    verdicts
        .iter()
        .map(|verdict| {
            let Verdict { fault, rounds, tally, lost, duplicated, recovery, notes, broken } = verdict;
            json!({
                "fault": fault,
                "rounds": rounds,
                "operations": tally.operations,
                "acknowledged": tally.acknowledged,
                "spooled": tally.spooled,
                "errors": tally.errors,
                "messages": tally.messages,
                "lost": lost,
                "duplicated": duplicated,
                "longest_ms": milliseconds(tally.longest),
                "first_answer_ms": recovery.and_then(|recovery| recovery.first).map(milliseconds),
                "recovered_ms": recovery.and_then(|recovery| recovery.all).map(milliseconds),
                "notes": notes,
                "broken": broken,
            })
        })
        .collect()
}
