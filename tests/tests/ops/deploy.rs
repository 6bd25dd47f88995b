//! The alerts and the dashboard use what is exported, and do what their page says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cofferdam::metrics::{Kind, METRICS};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned())
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(root().join("deploy"))
        .output()
        .context("promtool is missing: install the package prometheus")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn every_alert_fires_when_it_should_and_none_for_a_healthy_bot() -> Result<()> {
    promtool(&["check", "rules", "prometheus-rules.yaml"])?;
    promtool(&["test", "rules", "prometheus-rules.test.yaml"])
}

#[test]
fn every_alert_has_a_test_and_a_section_that_its_link_leads_to() -> Result<()> {
    let (rules, tests, page) = (
        read("deploy/prometheus-rules.yaml")?,
        read("deploy/prometheus-rules.test.yaml")?,
        read("docs/operations.md")?,
    );
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(!alerts.is_empty(), "no alerts");
    for alert in alerts {
        ensure!(tests.contains(&format!("- name: {alert}\n")), "{alert} has no test");
        ensure!(page.contains(&format!("### {alert}\n")), "{alert} has no section");
        ensure!(rules.contains(&format!("docs/operations.md#{}\n", alert.to_lowercase())), "{alert} has no link");
    }
    Ok(())
}

#[test]
fn queries_use_what_is_exported() -> Result<()> {
    let mut exported = BTreeSet::new();
    for metric in METRICS {
        match metric.kind {
            Kind::Histogram => {
                exported.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name)))
            }
            Kind::Counter | Kind::Gauge => drop(exported.insert(metric.name.to_owned())),
        }
    }
    // The bot's own, which its tests compare with this page.
    let bot = read("docs/bot.md")?;
    exported.extend(
        bot.lines()
            .filter_map(|line| line.strip_prefix("| `cofferdam_bot_")?.split('`').next())
            .map(|name| format!("cofferdam_bot_{name}")),
    );
    for file in ["deploy/prometheus-rules.yaml", "deploy/grafana-dashboard.json", "docs/operations.md"] {
        let text = read(file)?;
        let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        let metrics: BTreeSet<_> =
            words.filter(|word| word.starts_with("cofferdam_") || word.starts_with("db_client_")).collect();
        ensure!(metrics.len() > 5, "{file} names no metrics");
        for name in metrics {
            let is_listed = exported.contains(name) || METRICS.iter().any(|metric| metric.name == name);
            ensure!(is_listed, "{file} names {name}, which is not exported");
        }
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    ensure!(panels.iter().all(|panel| panel["targets"].as_array().is_some_and(|targets| !targets.is_empty())));
    Ok(())
}

#[test]
fn the_page_lists_every_metric_with_its_meaning() -> Result<()> {
    let page = read("docs/operations.md")?;
    let (begin, end) = ("<!-- metrics: begin -->\n\n", "\n\n<!-- metrics: end -->");
    let table = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).context("the table")?.0;
    let mut wanted = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        wanted += &format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(", "), metric.help);
    }
    assert_eq!(table.trim_end(), wanted.trim_end());
    Ok(())
}
