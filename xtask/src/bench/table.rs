//! Figures as people read them.

use comfy_table::{Cell, CellAlignment, Row, Table, TableStyle, presets};

use super::goals::{self, GOALS, Goal, Verdict};
use super::results::{Benchmark, Contestant, Results};

/// How a table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Aligned columns for a terminal.
    Text,
    /// A table of Markdown.
    Markdown,
}

/// Lines of cells below a header.
pub struct Grid {
    header: Vec<&'static str>,
    /// The columns of figures, which stand to the right.
    right: &'static [usize],
    lines: Vec<Vec<String>>,
}

impl Grid {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn render(&self, form: Form) -> String {
        let mut table = Table::new();
        let style: TableStyle = match form {
            Form::Text => presets::NOTHING,
            Form::Markdown => presets::ASCII_MARKDOWN,
        };
        table.load_style(style);
        table.set_header(self.row(self.header.iter().map(|text| (*text).to_owned())));
        for line in &self.lines {
            table.add_row(self.row(line.iter().cloned()));
        }
        if form == Form::Text {
            for column in table.column_iter_mut() {
                column.set_padding((0, 2));
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn row(&self, cells: impl Iterator<Item = String>) -> Row {
        let cell = |(column, text)| {
            let right = self.right.contains(&column);
            Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
        };
        cells.enumerate().map(cell).collect::<Vec<_>>().into()
    }
}

/// One line for each benchmark on the servers that users have, or on the others.
pub fn benchmarks(results: &Results, is_main: bool) -> Grid {
    let header = vec![
        "database",
        "operation",
        "callers",
        "bare driver",
        "sqlx",
        "plugin",
        "plugin/driver",
        "sqlx/plugin",
        "goal",
        "",
    ];
    let lines = results.benchmarks.keys().filter(|benchmark| benchmark.is_main() == is_main).map(|benchmark| {
        let time = |contestant| match results.median(benchmark, contestant) {
            Some(nanoseconds) => per_operation(nanoseconds, benchmark.callers()),
            None => "-".into(),
        };
        let ratio = |above, below| results.ratio(benchmark, above, below).map_or_else(|| "-".into(), figure);
        let goals = goals_of(benchmark);
        let limits: Vec<_> = goals.iter().copied().map(limit).collect();
        vec![
            benchmark.engine().map_or("-", engine).into(),
            if benchmark.engine().is_none() { "call, no database".into() } else { benchmark.operation().into() },
            benchmark.callers().to_string(),
            time(Contestant::Driver),
            time(Contestant::Sqlx),
            time(Contestant::Plugin),
            ratio(Contestant::Plugin, Contestant::Driver),
            ratio(Contestant::Sqlx, Contestant::Plugin),
            limits.join(", "),
            if goals.is_empty() { "" } else { verdict(goals::verdict(goals, results)) }.into(),
        ]
    });
    Grid { header, right: &[2, 3, 4, 5, 6, 7], lines: lines.collect() }
}

/// One line for each probe.
pub fn probes(results: &Results) -> Grid {
    let lines = results.probes.iter().map(|probe| {
        let unit = if probe.unit == "ratio" { "x" } else { &probe.unit };
        let goal = GOALS.iter().find(|goal| goal.figure.subject() == probe.name);
        vec![
            probe.name.clone(),
            format!("{} {unit}", figure(probe.value)),
            goal.map(|goal| goal.limit.to_string()).unwrap_or_default(),
            goal.map_or("", |goal| verdict(goal.verdict(results))).into(),
        ]
    });
    Grid { header: vec!["probe", "value", "goal", ""], right: &[1], lines: lines.collect() }
}

/// A sentence about all goals.
pub fn summary(results: &Results) -> String {
    let with = |wanted| GOALS.iter().filter(move |goal| goal.verdict(results) == wanted);
    let mut text = format!("{} of {} conditions are met", with(Verdict::Met).count(), GOALS.len());
    for (verdict, name) in [(Verdict::Missed, "missed"), (Verdict::NotMeasured, "not measured")] {
        let mut subjects: Vec<_> = with(verdict).map(|goal| goal.figure.subject()).collect();
        subjects.dedup();
        if !subjects.is_empty() {
            text += &format!("; {name}: {}", subjects.join(", "));
        }
    }
    text
}

/// How far the rounds of a run were apart, in a sentence; none with a single round.
pub fn noise(results: &Results) -> Option<String> {
    let mut spreads: Vec<_> = results
        .benchmarks
        .iter()
        .flat_map(|(benchmark, contestants)| contestants.iter().map(move |measured| (benchmark, measured)))
        .filter(|(_, (_, rounds))| rounds.0.len() > 1)
        .map(|(benchmark, (contestant, rounds))| (rounds.spread(), benchmark, contestant.name()))
        .collect();
    spreads.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (typical, _, _) = spreads.get(spreads.len() / 2)?;
    let (worst, benchmark, contestant) = spreads.last()?;
    Some(format!(
        "Between rounds, half of the benchmarks moved by less than {:.0} %, the least steady ({benchmark}/{contestant}) by \
         {:.0} %.",
        typical * 100.0,
        worst * 100.0
    ))
}

/// The goals that a benchmark decides.
fn goals_of(benchmark: &Benchmark) -> Vec<&'static Goal> {
    GOALS.iter().filter(|goal| goal.figure.benchmark().as_ref() == Some(benchmark)).collect()
}

/// A goal's limit with its unit.
pub fn limit(goal: &Goal) -> String {
    format!("{}{}", goal.limit, goal.figure.unit())
}

/// A verdict in words.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "MISSED",
        Verdict::NotMeasured => "not measured",
    }
}

/// A database's name as it is written.
pub fn engine(engine: &str) -> &'static str {
    match engine {
        "sqlite" => "SQLite",
        "mysql-relaxed" => "MySQL, relaxed",
        "mysql-0.5ms" => "MySQL, 0.5 ms",
        "mysql-2ms" => "MySQL, 2 ms",
        _ => "MySQL",
    }
}

/// What an operation takes for one caller; what several callers get done in a second.
pub fn per_operation(nanoseconds: f64, callers: u32) -> String {
    if callers == 1 { time(nanoseconds) } else { format!("{}/s", figure(1e9 / nanoseconds)) }
}

/// A time in the unit that leaves up to three digits before the point.
pub fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        below if below < 1e3 => (nanoseconds, "ns"),
        below if below < 1e6 => (nanoseconds / 1e3, "us"),
        below if below < 1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    format!("{} {unit}", figure(value))
}

/// Three significant digits, and all digits before the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        below if below < 9.995 => format!("{value:.2}"),
        below if below < 99.95 => format!("{value:.1}"),
        _ => digits(value),
    }
}

/// A whole number with a comma between thousands.
fn digits(value: f64) -> String {
    let text = format!("{value:.0}");
    let start = usize::from(text.starts_with('-'));
    let mut out = String::with_capacity(text.len() + text.len() / 3);
    for (index, digit) in text.char_indices() {
        if index > start && (text.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::results::{Estimate, Probe};
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        let mut add = |group: &str, contestant, medians: &[f64]| {
            for &median in medians {
                let estimate = Estimate { median, lower: median, upper: median };
                results.add(Benchmark::parse(group).unwrap(), contestant, estimate);
            }
        };
        add("wall/call", Contestant::Plugin, &[1_800.0]);
        add("sqlite/get/1", Contestant::Driver, &[4_000.0, 5_000.0, 4_500.0]);
        add("sqlite/get/1", Contestant::Sqlx, &[90_000.0]);
        add("sqlite/get/1", Contestant::Plugin, &[9_000.0]);
        add("sqlite/upsert-existing/64", Contestant::Plugin, &[8_000.0]);
        add("mysql/cleanup/1", Contestant::Driver, &[1_250_000.0]);
        add("mysql/cleanup/1", Contestant::Plugin, &[1_250_000.0]);
        let probe = |name: &str, value, unit: &str| Probe {
            name: name.into(),
            value,
            unit: unit.into(),
            details: serde_json::Value::Null,
        };
        results.probes = vec![probe("start/cached", 31.25, "ms"), probe("tail/sqlite", 4.0, "ratio")];
        results
    }

    #[test]
    fn benchmarks_stand_in_aligned_columns_with_their_goals() {
        let expected = "\
database  operation          callers  bare driver     sqlx     plugin  plugin/driver  sqlx/plugin  goal
-         call, no database        1            -        -    1.80 us              -            -
SQLite    get                      1      4.50 us  90.0 us    9.00 us           2.00         10.0  <= 1.7 x driver's time, >= 6 x sqlx's speed  MISSED
SQLite    upsert-existing         64            -        -  125,000/s              -            -  >= 6 x driver's speed, >= 12 x sqlx's speed  not measured
MySQL     cleanup                  1      1.25 ms        -    1.25 ms           1.00            -";
        assert_eq!(benchmarks(&results(), true).render(Form::Text), expected);
    }

    #[test]
    fn markdown_has_the_same_cells_between_bars() {
        let expected = "\
| probe        |   value | goal  |        |
|--------------|---------|-------|--------|
| start/cached | 31.2 ms | <= 25 | MISSED |
| tail/sqlite  |  4.00 x | <= 10 | met    |";
        assert_eq!(probes(&results()).render(Form::Markdown), expected);
    }

    #[test]
    fn the_summary_counts_goals_and_names_what_does_not_meet_them() {
        let text = summary(&results());
        let start = "2 of 39 conditions are met; missed: sqlite/get/1, start/cached; not measured: sqlite/get/64, ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with(", memory/idle, memory/growth, tail/mysql, tail/mysql-upsert, connections/steady, connections/bursts, log/sqlite"), "{text}");
    }

    #[test]
    fn noise_is_told_where_there_was_more_than_one_round() {
        let noise = noise(&results()).unwrap();
        assert!(noise.contains("(sqlite/get/1/driver) by 22 %"), "{noise}");
        assert_eq!(super::noise(&Results::default()), None);
    }

    #[test]
    fn figures_keep_three_digits() {
        let cases = [
            (0.0, "0.00"),
            (1.005, "1.00"),
            (9.996, "10.0"),
            (41.25, "41.2"),
            (99.96, "100"),
            (1_234_567.0, "1,234,567"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
        for (nanoseconds, text) in [(999.0, "999 ns"), (4_200.0, "4.20 us"), (8e6, "8.00 ms"), (1.5e9, "1.50 s")] {
            assert_eq!(time(nanoseconds), text);
        }
        assert_eq!(per_operation(90.0 * 1e6, 64), "11.1/s");
    }
}
