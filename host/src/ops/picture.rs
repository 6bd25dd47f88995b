//! A small picture of the latencies of the last minutes.

use std::fmt::Write as _;
use std::time::Duration;

use super::history::{STEPS, Step};
use crate::latency::{BOUNDS, Latencies};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
/// What the labels take at the left and below.
const LEFT: f64 = 52.0;
const BELOW: f64 = 20.0;
const TOP: f64 = 8.0;

/// Latencies that get a line and a label.
const LABELS: [(Duration, &str); 7] = [
    (Duration::from_micros(10), "10 µs"),
    (Duration::from_micros(100), "100 µs"),
    (Duration::from_millis(1), "1 ms"),
    (Duration::from_millis(10), "10 ms"),
    (Duration::from_millis(100), "100 ms"),
    (Duration::from_secs(1), "1 s"),
    (Duration::from_secs(10), "10 s"),
];

/// The 99th percentiles of reads and writes, on a logarithmic scale, and where operations failed.
pub fn picture(steps: &[Step]) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"99th percentiles of reads and writes in the last \
         15 minutes\">\n"
    );
    for (latency, label) in LABELS {
        let y = height_of(latency);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for minutes in [15.0, 10.0, 5.0] {
        let x = LEFT + (WIDTH - LEFT) * (1.0 - minutes / 15.0);
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\">−{minutes} min</text>", HEIGHT - 4.0);
    }
    let _ = writeln!(svg, "<text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">now</text>", HEIGHT - 4.0);
    for (at, step) in steps.iter().enumerate() {
        if step.failed > 0 {
            let (x, width) = (place_of(at, steps.len()), (WIDTH - LEFT) / STEPS as f64);
            let _ = writeln!(
                svg,
                "<rect class=\"failed\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                x - width,
                HEIGHT - BELOW - TOP
            );
        }
    }
    for (class, of) in [("reads", of_reads as fn(&Step) -> &Latencies), ("writes", of_writes)] {
        for run in runs(steps, of) {
            let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{run}\"/>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn of_reads(step: &Step) -> &Latencies {
    &step.reads
}

fn of_writes(step: &Step) -> &Latencies {
    &step.writes
}

/// The points of each line: one ends where nothing happened.
fn runs(steps: &[Step], of: fn(&Step) -> &Latencies) -> Vec<String> {
    let mut runs = Vec::new();
    let mut run = String::new();
    for (at, step) in steps.iter().enumerate() {
        match of(step).quantile(0.99) {
            // A step is a level, so that a single one shows.
            Some(latency) => {
                let (y, x, width) = (height_of(latency), place_of(at, steps.len()), (WIDTH - LEFT) / STEPS as f64);
                let _ = write!(run, "{:.1},{y:.1} {x:.1},{y:.1} ", x - width);
            }
            None if run.is_empty() => {}
            None => runs.push(std::mem::take(&mut run)),
        }
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// Where a step ends. The last one is at the right.
fn place_of(at: usize, count: usize) -> f64 {
    let width = (WIDTH - LEFT) / STEPS as f64;
    WIDTH - (count - 1 - at) as f64 * width
}

fn height_of(latency: Duration) -> f64 {
    let (least, most) = (BOUNDS[0].as_secs_f64().ln(), BOUNDS[BOUNDS.len() - 1].as_secs_f64().ln());
    let share = (latency.as_secs_f64().ln() - least) / (most - least);
    TOP + (HEIGHT - BELOW - TOP) * (1.0 - share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Histogram;

    #[test]
    fn a_line_ends_where_nothing_happened_and_stays_within_the_picture() {
        let histogram = Histogram::default();
        histogram.add(Duration::from_secs(3600));
        let busy = Step { reads: histogram.latencies(), ..Step::default() };
        let quiet = Step { failed: 1, ..Step::default() };
        let steps: Vec<_> = (0..STEPS).map(|at| if at == 40 { quiet } else { busy }).collect();
        let svg = picture(&steps);
        assert_eq!(svg.matches("class=\"reads\"").count(), 2);
        assert_eq!(svg.matches("class=\"writes\"").count(), 0);
        assert_eq!(svg.matches("class=\"failed\"").count(), 1);
        for run in runs(&steps, of_reads) {
            for point in run.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT - 7.0..=WIDTH).contains(&x) && (TOP..=HEIGHT - BELOW).contains(&y), "{point}");
            }
        }
        assert!(picture(&[Step::default()]).ends_with("</svg>\n"));
    }
}
