//! A picture of the figures that matter most, for the front page.

use std::fmt::Write as _;

use super::results::{Benchmark, Contestant, Results};
use super::table;

/// What is shown, and how it is called.
const SHOWN: [(&str, &str); 5] = [
    ("sqlite/get/1", "SQLite: get, one caller"),
    ("sqlite/upsert-existing/64", "SQLite: upsert, 64 callers"),
    ("sqlite/all-10000/1", "SQLite: list 10,000 rows"),
    ("mysql/upsert-existing/64", "MySQL: upsert, 64 callers"),
    ("mysql-2ms/upsert-existing/64", "MySQL, 2 ms away: upsert, 64 callers"),
];

const NAMES: [(Contestant, &str); 3] =
    [(Contestant::Driver, "bare driver"), (Contestant::Sqlx, "sqlx"), (Contestant::Plugin, "Cofferdam")];

const WIDTH: u32 = 760;
const LEFT: u32 = 110;
/// The longest bar. Its figure stands behind it.
const BAR: f64 = 500.0;
const LINE: u32 = 20;
const GROUP: u32 = 98;
const FOOT: u32 = 34;

/// Operations in a time of each contestant as bars, the fastest of each group as long as there is room. `caption` says what they
/// were measured on. None where one of them was not measured.
pub fn svg(results: &Results, caption: &str) -> Option<String> {
    let height = GROUP * u32::try_from(SHOWN.len()).ok()? + FOOT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>Operations in a second: the bare driver, sqlx and Cofferdam</title>\n\
         <style>text{{fill:#24292f}}.c{{font-weight:600;font-size:14px}}.f{{fill:#57606a;font-size:11px}}\
         .driver,.sqlx{{fill:#afb8c1}}.plugin{{fill:#0969da}}\
         @media (prefers-color-scheme:dark){{text{{fill:#e6edf3}}.f{{fill:#9198a1}}.driver,.sqlx{{fill:#656c76}}\
         .plugin{{fill:#4493f8}}}}</style>\n"
    );
    let mut top = 0;
    for (group, title) in SHOWN {
        let benchmark = Benchmark::parse(group)?;
        writeln!(out, "<text class=\"c\" x=\"0\" y=\"{}\">{title}</text>", top + 18).ok()?;
        let mut times = Vec::new();
        for (contestant, name) in NAMES {
            times.push((contestant, name, results.median(&benchmark, contestant)?));
        }
        let fastest = times.iter().map(|(_, _, time)| *time).fold(f64::INFINITY, f64::min);
        for (line, (contestant, name, time)) in (0..).zip(times) {
            let (y, length) = (top + 28 + LINE * line, (BAR * fastest / time).max(1.0));
            writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
                 <rect class=\"{}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{}/s</text>",
                LEFT - 8,
                y + 12,
                contestant.name(),
                LINE - 4,
                f64::from(LEFT) + length + 6.0,
                y + 12,
                table::figure(1e9 / time),
            )
            .ok()?;
        }
        top += GROUP;
    }
    writeln!(out, "<text class=\"f\" x=\"0\" y=\"{}\">{}</text>\n</svg>", top + 18, escaped(caption)).ok()?;
    Some(out)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::results::Estimate;
    use super::*;

    #[test]
    fn bars_are_as_long_as_contestants_are_fast() {
        let mut results = Results::default();
        for (group, _) in SHOWN {
            for (contestant, median) in [(Contestant::Driver, 2e6), (Contestant::Sqlx, 4e6), (Contestant::Plugin, 1e6)]
            {
                assert_eq!(svg(&results, ""), None);
                let estimate = Estimate { median, lower: median, upper: median };
                results.add(Benchmark::parse(group).unwrap(), contestant, estimate);
            }
        }
        let svg = svg(&results, "<2 cores & a disk>").unwrap();
        for (class, width, figure) in
            [("driver", "250.0", "500"), ("sqlx", "125.0", "250"), ("plugin", "500.0", "1,000")]
        {
            let bar = format!("<rect class=\"{class}\" x=\"{LEFT}\"");
            let found: Vec<_> = svg.lines().filter(|line| line.contains(&bar)).collect();
            assert_eq!(found.len(), SHOWN.len());
            assert!(found.iter().all(|line| line.contains(&format!("width=\"{width}\""))), "{found:?}");
            assert!(found.iter().all(|line| line.contains(&format!(">{figure}/s<"))), "{found:?}");
        }
        assert!(svg.contains("&lt;2 cores &amp; a disk>"), "{svg}");
    }
}
