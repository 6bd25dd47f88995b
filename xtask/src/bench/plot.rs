//! Bars for each operation and contestant.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::results::{Benchmark, Contestant, Results};
use super::table;

/// Pixels for one bar, and around the bars of one operation.
const BAR: u32 = 18;
const GAP: u32 = 14;
const WIDTH: u32 = 900;
const MARGIN: u32 = 48;

/// Writes a plot for each database and number of callers into a folder; returns their titles and file names.
pub fn write(folder: &Path, results: &Results) -> Result<Vec<(String, String)>> {
    let mut benchmarks: Vec<&Benchmark> = results.benchmarks.keys().collect();
    benchmarks.retain(|benchmark| benchmark.engine().is_some());
    let mut plots = Vec::new();
    for group in benchmarks.chunk_by(|a, b| (a.engine(), a.callers()) == (b.engine(), b.callers())) {
        let [first, ..] = group else { continue };
        let (engine, callers) = (first.engine().unwrap_or_default(), first.callers());
        let file = format!("{engine}-{callers}.svg");
        let callers = if callers == 1 { "one caller".into() } else { format!("{callers} callers") };
        let title = format!("{}, {callers}: time per operation, shorter is faster", table::engine(engine));
        let path = folder.join(&file);
        let area = SVGBackend::new(&path, (WIDTH, height(group.len()))).into_drawing_area();
        // The library's errors cannot go to another thread, which those of anyhow may.
        draw(&area, &title, group, results).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))?;
        plots.push((title, file));
    }
    Ok(plots)
}

fn height(operations: usize) -> u32 {
    2 * MARGIN + operations as u32 * (3 * BAR + GAP)
}

fn color(contestant: Contestant) -> RGBColor {
    match contestant {
        Contestant::Driver => RGBColor(148, 156, 166),
        Contestant::Sqlx => RGBColor(214, 137, 65),
        Contestant::Plugin => RGBColor(38, 112, 176),
    }
}

/// Times go over five powers of ten, so their axis is logarithmic.
fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    group: &[&Benchmark],
    results: &Results,
) -> Result<(), Box<dyn std::error::Error>> {
    let font = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    let times: Vec<f64> = group
        .iter()
        .flat_map(|benchmark| Contestant::ALL.map(|contestant| results.median(benchmark, contestant)))
        .flatten()
        .collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min).max(1.0);
    let most = times.iter().copied().fold(1.0, f64::max);
    // Room for the shortest bar, and for the figure behind the longest.
    let (start, end) = (10f64.powf(least.log10().floor() - 0.5), most * 10.0);

    area.fill(&WHITE)?;
    let bottom = height(group.len()) - 2 * MARGIN;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(title, font(18))
        .x_label_area_size(40)
        .y_label_area_size(130)
        .build_cartesian_2d((start..end).log_scale(), bottom as f64..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(8)
        .x_label_formatter(&|nanoseconds| table::time(*nanoseconds))
        .max_light_lines(1)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style(font(12))
        .draw()?;

    for (index, benchmark) in group.iter().enumerate() {
        let top = (index as u32 * (3 * BAR + GAP) + GAP / 2) as f64;
        for (place, contestant) in Contestant::ALL.into_iter().enumerate() {
            let Some(time) = results.median(benchmark, contestant) else { continue };
            let from = top + (place as u32 * BAR) as f64;
            let to = from + BAR as f64 - 2.0;
            let style = color(contestant);
            chart.draw_series([Rectangle::new([(start, from), (time, to)], style.filled())])?;
            let text = format!("{} {}", contestant.name(), table::time(time));
            chart.draw_series([EmptyElement::at((time, from)) + Text::new(text, (5, 2), font(12))])?;
        }
        let (x, y) = chart.backend_coord(&(start, top + BAR as f64));
        let width = area.estimate_text_size(benchmark.operation(), &font(13))?.0 as i32;
        area.draw(&Text::new(benchmark.operation().to_owned(), (x - width - 8, y), font(13)))?;
    }
    area.present()?;
    Ok(())
}
