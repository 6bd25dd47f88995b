//! The status for a person who was woken: what is wrong first.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::history::{History, STEP, Step};
use super::html::Text;
use super::parts::{Part, Standing, age, lasting};
use super::picture::picture;
use crate::latency::Latencies;
use crate::resilience::{ResilientStorage, Status};

const STYLE: &str = include_str!("page.css");

/// How many seconds a browser waits before it asks again.
const AGAIN: u32 = 10;

/// The whole page.
pub fn page(storage: &ResilientStorage, status: &Status, parts: &[Part], history: &History) -> String {
    let worst = parts.iter().map(|part| part.standing).max().unwrap_or(Standing::Ok);
    let steps = history.steps(storage);
    let place = storage.storage().config().database.place().to_string();
    let title = match worst {
        Standing::Ok => "Everything works",
        Standing::Degraded => "Works, but something is wrong",
        Standing::Failed => "Not ready",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"refresh\" content=\"{AGAIN}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title} · Cofferdam</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"{class}\">\n<h1>{title}</h1>\n<p>{place}</p>\n</header>\n<main>\n",
        class = worst.name(),
        place = Text(&place)
    );
    troubles(&mut page, parts);
    section_of_parts(&mut page, parts);
    latencies(&mut page, &steps);
    errors(&mut page, status);
    plugin(&mut page, storage, status);
    let _ = write!(
        page,
        "</main>\n<footer>Cofferdam {} · <a href=\"status.json\">status.json</a> · <a href=\"metrics\">metrics</a> · \
         <a href=\"readyz\">readyz</a> · this page is read again every {AGAIN} seconds</footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

/// What is wrong, in whole sentences and with what to do.
fn troubles(page: &mut String, parts: &[Part]) {
    let mut wrong: Vec<_> = parts.iter().filter(|part| part.standing != Standing::Ok).collect();
    wrong.sort_by_key(|part| std::cmp::Reverse(part.standing));
    if wrong.is_empty() {
        return;
    }
    page.push_str("<section class=\"troubles\">\n");
    for part in wrong {
        let since = lasting(part.since);
        let _ = write!(
            page,
            "<article class=\"{}\"><h2>{}: {}{since}</h2>\n<p>{}</p>\n",
            part.standing.name(),
            part.name,
            part.standing.name(),
            Text(&part.reason),
        );
        if !part.advice.is_empty() {
            let _ = writeln!(page, "<p class=\"advice\">{}</p>", Text(part.advice));
        }
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n");
}

fn section_of_parts(page: &mut String, parts: &[Part]) {
    page.push_str("<section>\n<h2>Parts</h2>\n<table>\n");
    for part in parts {
        let since = part.since.map(age).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td><span class=\"badge {standing}\">{standing}</span></td><td class=\"wide\">{}{}</td>\
             <td class=\"number\">{since}</td></tr>",
            part.name,
            Text(&part.reason),
            figures(part),
            standing = part.standing.name(),
        );
    }
    page.push_str("</table>\n</section>\n");
}

/// What else is known of a part, as far as a line has room for it: lists are for scripts.
fn figures(part: &Part) -> String {
    let mut line = String::new();
    for (name, value) in &part.figures {
        let value = match value {
            Value::Array(_) | Value::Object(_) | Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
        };
        let _ = write!(line, "<span>{} <b>{}</b></span> ", Text(&name.replace('_', " ")), Text(&value));
    }
    if line.is_empty() { line } else { format!("<p class=\"figures\">{line}</p>") }
}

fn latencies(page: &mut String, steps: &[Step]) {
    let of_last = |time: Duration| {
        let count = (time.as_secs() / STEP.as_secs()) as usize + 1;
        steps.iter().rev().take(count).fold(Step::default(), |all, step| all.and(step))
    };
    page.push_str("<section>\n<h2>Latencies</h2>\n");
    page.push_str(&picture(steps));
    page.push_str(
        "<p class=\"key\"><span class=\"reads\">reads</span> <span class=\"writes\">writes</span> <span \
         class=\"failed\">failures</span> 99th percentiles of ten seconds each</p>\n<table>\n<tr><td></td><th scope=\"col\" \
         class=\"number\">operations</th><th scope=\"col\" class=\"number\">half within</th><th scope=\"col\" \
         class=\"number\">99 % within</th></tr>\n",
    );
    for (name, minutes) in [("the last minute", 1), ("15 minutes", 15)] {
        let step = of_last(Duration::from_secs(60 * minutes));
        for (what, latencies) in [("reads", &step.reads), ("writes", &step.writes)] {
            let _ = writeln!(
                page,
                "<tr><th scope=\"row\">{what}, {name}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td></tr>",
                latencies.count(),
                within(latencies, 0.5),
                within(latencies, 0.99)
            );
        }
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">failed, {name}</th><td class=\"number\">{}</td><td></td><td></td></tr>",
            step.failed
        );
    }
    page.push_str("</table>\n</section>\n");
}

fn within(latencies: &Latencies, share: f64) -> String {
    latencies.quantile(share).map_or_else(|| "–".to_owned(), |latency| format!("{latency:?}"))
}

fn errors(page: &mut String, status: &Status) {
    page.push_str("<section>\n<h2>Recent errors</h2>\n");
    if status.recent_errors.is_empty() {
        page.push_str("<p>None.</p>\n</section>\n");
        return;
    }
    page.push_str("<table>\n");
    for recent in &status.recent_errors {
        let times = if recent.times > 1 { format!("{} times, last ", recent.times) } else { String::new() };
        let _ = writeln!(
            page,
            "<tr><td class=\"wide\">{}</td><td class=\"number\">{times}{} ago</td></tr>",
            Text(&crate::text::one_line(&recent.error.to_string(), 500)),
            age(recent.age)
        );
    }
    page.push_str("</table>\n</section>\n");
}

fn plugin(page: &mut String, storage: &ResilientStorage, status: &Status) {
    let (backend, inspection) = (storage.storage().backend(), storage.storage().plugin());
    let discards = &status.storage.discards;
    let mut rows = vec![
        ("backend", format!("{} {}", backend.name, backend.version)),
        ("from", inspection.origin.to_string()),
        ("SHA-256", inspection.sha256.clone()),
        ("contract", inspection.contract.clone()),
        (
            "instances",
            format!("{}, {:.1} MiB", status.storage.instances, status.storage.instance_memory as f64 / 1048576.0),
        ),
        (
            "discarded",
            format!(
                "{} ({} traps, {} at a limit, {} given up, {} left something behind)",
                discards.total(),
                discards.trapped,
                discards.at_limit,
                discards.given_up,
                discards.left_behind
            ),
        ),
    ];
    if let Some(last) = &status.storage.swaps.last {
        let reason = last.outcome.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        rows.push((
            "last swap",
            format!("{}, from {} {}, {}{reason}", last.to, last.from.name, last.from.version, last.outcome.name()),
        ));
    }
    if let Some(pool) = &status.storage.pool {
        let groups = match pool.groups {
            0 => "none".to_owned(),
            groups => format!("{} writes in {groups} groups", pool.grouped),
        };
        rows.push(("shared commits", groups));
        rows.push(("connections opened", pool.opened.to_string()));
    }
    page.push_str("<section>\n<h2>Backend</h2>\n<table>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><th scope=\"row\">{name}</th><td class=\"wide\">{}</td></tr>", Text(&value));
    }
    page.push_str("</table>\n</section>\n");
}
