//! What is on both sides and what would happen.

use cofferdam::Integrity;
use cofferdam::config::format_duration;
use cofferdam::migrate::{Overview, Plan, Run, RunState, Side, TableOverview, Tally};
use serde_json::{Value, json};
use std::time::Duration;

use crate::integrity;
use crate::output::{Columns, escaped, time};

/// The plan for people.
pub fn text(plan: &Plan, from: &Side, to: &Side, integrity: [Integrity; 2]) -> String {
    let mut columns = Columns::new(&["", "SOURCE", "DESTINATION"], &[]);
    let mut row = |name: &str, one: String, other: String| columns.add([name.to_owned(), one, other]);
    row("database", from.label().to_owned(), to.label().to_owned());
    row("schema version", version(&plan.from), version(&plan.to));
    for (name, one, other) in [
        ("states", &plan.from.message_states, &plan.to.message_states),
        ("ownerships", &plan.from.thread_ownerships, &plan.to.thread_ownerships),
    ] {
        row(name, one.rows.to_string(), other.rows.to_string());
        row("  updated", span(one), span(other));
        if one.duplicates > 0 {
            row("  to merge", one.duplicates.to_string(), String::new());
        }
        if one.unfit + other.unfit > 0 {
            row("  cannot be moved", one.unfit.to_string(), other.unfit.to_string());
        }
    }
    let mut text = columns.text();
    for line in lines(plan, from, to, integrity) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

fn lines(plan: &Plan, from: &Side, to: &Side, integrity: [Integrity; 2]) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (side, integrity) in [from, to].into_iter().zip(integrity) {
        lines.extend(integrity::words(integrity).map(|words| format!("{} {words}.", side.label())));
    }
    lines.extend(plan.remarks.iter().map(|remark| format!("Remark on {}", escaped(remark))));
    if let Some(obstacle) = &plan.obstacle {
        lines.push(format!("A migration would be refused: {obstacle}."));
        return lines;
    }
    if plan.resumes {
        let read = plan.to.last_run.as_ref().map_or(0, |run| run.tally.read);
        lines.push(format!("The interrupted migration would resume after {read} rows."));
    }
    if plan.needs_upgrade {
        let known = to.known_schema_version();
        lines.push(match plan.to.schema_version {
            None => format!("The destination's tables would be created, in schema version {known}."),
            Some(version) => format!(
                "The destination would be upgraded from schema version {version} to {known}, which a rollback does not \
                 undo; older bots still work on it."
            ),
        });
    }
    let rows = plan.from.rows() - plan.from.message_states.duplicates - plan.unfit();
    lines.push(format!(
        "About {rows} rows would be copied, in about {}; for a key that the destination already has, the greater \
         updated_at wins.",
        format_duration(Duration::from_secs(plan.estimate.as_secs() + 1))
    ));
    if plan.from.message_states.duplicates > 0 {
        lines.push(format!(
            "{} states of the source would be merged into a newer one of the same channel and listed.",
            plan.from.message_states.duplicates
        ));
    }
    if plan.unfit() > 0 {
        lines.push(format!("{} rows of the source cannot be moved and would be listed.", plan.unfit()));
    }
    lines.push(format!("{} would not be changed.", from.label()));
    lines.push("This is the plan: nothing was written. Run it with --execute.".into());
    lines
}

fn version(overview: &Overview) -> String {
    overview.schema_version.map_or_else(|| "none, no tables".into(), |version| version.to_string())
}

fn span(table: &TableOverview) -> String {
    match (table.oldest, table.newest) {
        (Some(oldest), Some(newest)) => format!("{} to {}", time(oldest), time(newest)),
        _ => "-".into(),
    }
}

/// The plan for scripts.
pub fn json(plan: &Plan, (from, to): (&Side, &Side), integrity: [Integrity; 2]) -> Value {
    json!({
        "from": side(from, &plan.from, integrity[0]),
        "to": side(to, &plan.to, integrity[1]),
        "seconds": plan.estimate.as_secs_f64(),
        "needs_upgrade": plan.needs_upgrade,
        "resumes": plan.resumes,
        "obstacle": plan.obstacle,
        "remarks": plan.remarks,
    })
}

fn side(side: &Side, overview: &Overview, integrity: Integrity) -> Value {
    json!({
        "database": side.label(),
        "engine": side.engine(),
        "integrity": integrity::json(integrity),
        "schema_version": overview.schema_version,
        "message_states": table(&overview.message_states),
        "thread_ownerships": table(&overview.thread_ownerships),
        "last_run": overview.last_run.as_ref().map(run),
    })
}

fn table(table: &TableOverview) -> Value {
    json!({
        "rows": table.rows, "oldest": table.oldest, "newest": table.newest, "duplicates": table.duplicates,
        "unfit": table.unfit,
    })
}

/// A run for scripts.
pub fn run(run: &Run) -> Value {
    let state = match run.state {
        RunState::Importing => "importing",
        RunState::Finished => "finished",
        RunState::Undoing => "undoing",
    };
    json!({
        "number": run.number, "source": run.source, "state": state, "started_at": run.started_at, "pages": run.pages,
        "tally": tally(&run.tally),
    })
}

/// What became of rows, for scripts.
pub fn tally(tally: &Tally) -> Value {
    json!({
        "read": tally.read, "inserted": tally.inserted, "replaced": tally.replaced, "kept": tally.kept,
        "merged": tally.merged, "rejected": tally.rejected,
    })
}
