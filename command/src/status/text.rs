//! A status for people.

use std::time::Duration;

use cofferdam::config::format_duration;
use serde_json::Value;

use crate::output::{Columns, escaped};

/// What is wrong first, then everything else, a line each.
pub fn text(status: &Value) -> String {
    let word = if status["ready"].as_bool() == Some(true) { "ready" } else { "NOT READY" };
    let mut columns = Columns::new(&[], &[]);
    columns.add(["status".to_owned(), word.to_owned()]);
    let mut parts: Vec<_> = list(&status["parts"]).collect();
    parts.sort_by_key(|part| match part["standing"].as_str() {
        Some("failed") => 0,
        Some("degraded") => 1,
        _ => 2,
    });
    for part in parts {
        let standing = match part["standing"].as_str() {
            Some("ok") | None => String::new(),
            Some(standing) => format!("{}: ", standing.to_uppercase()),
        };
        let since = match part["since_seconds"].as_f64() {
            Some(1.0..) => seconds(&part["since_seconds"]).map(|since| format!(" for {since}")).unwrap_or_default(),
            _ => String::new(),
        };
        columns.add([string(&part["name"]), format!("{standing}{}{since}", string(&part["reason"]))]);
    }
    let plugin = &status["plugin"];
    columns.add([
        "backend".to_owned(),
        format!("{} {}, {}", string(&plugin["name"]), string(&plugin["version"]), string(&plugin["origin"])),
    ]);
    columns.add(["sha256".to_owned(), string(&plugin["sha256"])]);
    columns.add([
        "instances".to_owned(),
        format!(
            "{}, {:.1} MiB",
            number(&plugin["instances"]),
            plugin["instance_memory_bytes"].as_f64().unwrap_or_default() / 1_048_576.0
        ),
    ]);
    columns.add(["place".to_owned(), place(&status["database"])]);
    for error in list(&status["recent_errors"]) {
        let times = match error["times"].as_u64() {
            Some(times @ 2..) => format!("{times} times, last "),
            _ => String::new(),
        };
        let ago = seconds(&error["seconds_ago"]).unwrap_or_default();
        columns.add([
            "error".to_owned(),
            format!("{times}{ago} ago: {}: {}", string(&error["kind"]), string(&error["message"])),
        ]);
    }
    columns.text()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> String {
    escaped(value.as_str().unwrap_or("unknown"))
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

fn seconds(value: &Value) -> Option<String> {
    let seconds = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(format_duration(Duration::from_secs(seconds.as_secs())))
}

fn place(database: &Value) -> String {
    match database["path"].as_str() {
        Some(path) => escaped(path),
        None => {
            let hosts: Vec<_> = list(&database["hosts"]).map(string).collect();
            format!("{} on {}", string(&database["name"]), hosts.join(", "))
        }
    }
}
