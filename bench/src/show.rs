//! Output for people.

use std::{io::Write as _, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    compare::{Comparison, Measured},
    load::{Amount, Load, Protocol, Work},
    report::{Figures, Report},
};

/// Prints a result as JSON or as text.
pub(crate) fn print<T: Serialize>(
    json: bool,
    result: &T,
    text: fn(&T) -> String,
) -> serde_json::Result<()> {
    let text = if json { serde_json::to_string_pretty(result)? } else { text(result) };
    // Ignore a closed pipe: a reader such as `head` may stop early.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

/// Shows an activity of unknown length.
pub(crate) fn spinner(message: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(250));
    spinner
}

/// Shows progress over `steps`.
pub(crate) fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("[{pos}/{len}, {eta} left] {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Formats a report as text.
pub(crate) fn report(report: &Report) -> String {
    let Report { server, load, fill, run } = report;
    let mut lines = vec![format!("{server} at {}: {}", load.address, described(load))];
    let phases: Vec<(&str, &Figures)> = [("fill", fill), ("run", run)]
        .into_iter()
        .filter_map(|(name, f)| Some((name, f.as_ref()?)))
        .collect();

    let mut summary = table(&[
        "",
        "operations",
        "seconds",
        "per second",
        "misses",
        "errors",
        "server µs/op",
        "server memory",
        "client CPUs",
    ]);
    for (name, figures) in &phases {
        let server = figures.server;
        row(
            &mut summary,
            vec![
                (*name).into(),
                grouped(figures.ops as f64),
                format!("{:.2}", figures.seconds),
                grouped(figures.ops_per_second),
                grouped(figures.misses as f64),
                grouped(figures.errors as f64),
                optional(server.map(|server| format!("{:.2}", server.cpu_us_per_op))),
                optional(server.map(|server| {
                    format!("{} → {}", megabytes(server.rss_before), megabytes(server.rss_after))
                })),
                optional(figures.client_cpus.map(|cpus| format!("{cpus:.2}"))),
            ],
        );
    }
    lines.push(summary.to_string());

    let mut latencies =
        table(&["latency in µs", "count", "mean", "p50", "p90", "p99", "p99.9", "max"]);
    for (name, figures) in &phases {
        for (kind, latency) in &figures.latency {
            let numbers =
                [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us];
            let mut cells = vec![
                format!("{name}: {}", kind.name()),
                grouped(latency.count as f64),
                grouped(latency.mean_us),
            ];
            cells.extend(numbers.map(|number| grouped(number as f64)));
            row(&mut latencies, cells);
        }
    }
    lines.push(latencies.to_string());
    let cpus = phases.iter().filter_map(|(_, figures)| figures.client_cpus);
    lines.extend(saturation(cpus.fold(0.0, f64::max), load.threads));
    lines.join("\n")
}

fn described(load: &Load) -> String {
    let Load { connections, depth, threads, keys, key_size, value_sizes, .. } = load;
    let what = match load.work {
        None => "fill".into(),
        Some(Work::Requests { mix, amount: Amount::Time(time) }) => {
            format!("{mix} for {} s", time.as_secs_f64())
        }
        Some(Work::Requests { mix, amount: Amount::Requests(requests) }) => {
            format!("{mix}, {requests} requests")
        }
        Some(Work::Iterate { batch }) => {
            let fill =
                if load.fill { format!(" after a fill of {keys} keys") } else { String::new() };
            return format!(
                "iteration, {batch} entries in an answer, {connections} connections{fill}"
            );
        }
    };
    let cache = match load.protocol {
        Protocol::HotRod if !load.cache.is_empty() => format!(", cache {}", load.cache),
        _ => String::new(),
    };
    let threads = if *threads == 1 { String::new() } else { format!(", {threads} threads") };
    format!(
        "{what}; {connections} connections with {depth} in flight{threads}, {keys} keys of {key_size} \
         bytes, values of {value_sizes}{cache}"
    )
}

/// Returns a warning if the load generator was the bottleneck.
fn saturation(cpus: f64, threads: u32) -> Option<String> {
    (cpus > 0.9 * f64::from(threads)).then(|| {
        format!(
            "The load generator was busy {:.0}% of the time of its {threads} thread(s): it may be what \
             limits the rate, and not the server. More --threads may show more.",
            cpus / f64::from(threads) * 100.0
        )
    })
}

/// Formats a comparison as text.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let mut lines = Vec::new();
    for target in &comparison.targets {
        lines.push(format!("{}: {} at {}", target.name, target.server, target.address));
    }

    let mut fills =
        table(&["fill: values of", "target", "per second", "server µs/op", "server memory"]);
    for fill in &comparison.fills {
        for target in &fill.targets {
            row(
                &mut fills,
                vec![
                    fill.value_size.to_string(),
                    target.name.clone(),
                    grouped(target.ops_per_second),
                    optional(target.server.map(|server| format!("{:.2}", server.cpu_us_per_op))),
                    optional(target.server.map(|server| {
                        format!(
                            "{} → {}",
                            megabytes(server.rss_before),
                            megabytes(server.rss_after)
                        )
                    })),
                ],
            );
        }
    }
    lines.push(fills.to_string());

    let mut cells = table(&[
        "mix",
        "depth",
        "values of",
        "target",
        "per second",
        "ratio",
        "p50 µs",
        "p99 µs",
        "ratio",
        "server µs/op",
        "ratio",
        "client CPUs",
        "spread",
    ]);
    for cell in &comparison.cells {
        for target in &cell.targets {
            row(
                &mut cells,
                vec![
                    cell.mix.to_string(),
                    cell.depth.to_string(),
                    cell.value_size.to_string(),
                    target.name.clone(),
                    grouped(target.ops_per_second),
                    format!("{:.2}", target.ops_ratio),
                    grouped(target.p50_us),
                    grouped(target.p99_us),
                    format!("{:.2}", target.p99_ratio),
                    optional(target.cpu_us_per_op.map(|cpu| format!("{cpu:.2}"))),
                    optional(target.cpu_ratio.map(|ratio| format!("{ratio:.2}"))),
                    optional(target.client_cpus.map(|cpus| format!("{cpus:.2}"))),
                    spread(target),
                ],
            );
        }
    }
    lines.push(cells.to_string());
    lines.push(format!(
        "Medians of {} rounds; ratios to {}; spread: (highest - lowest) / median of the rates.",
        comparison.pace.rounds,
        comparison.targets.first().map_or("the first", |target| &target.name),
    ));
    lines.push(comparison.command.clone());
    lines.join("\n")
}

fn spread(target: &Measured) -> String {
    let highest = target.rounds.iter().copied().fold(0.0, f64::max);
    let lowest = target.rounds.iter().copied().fold(f64::INFINITY, f64::min);
    match target.ops_per_second {
        median if median > 0.0 => format!("{:.0}%", (highest - lowest) / median * 100.0),
        _ => String::new(),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header.iter().copied());
    table
}

/// Adds a row with a name followed by numbers.
fn row(table: &mut Table, cells: Vec<String>) {
    let cells = cells.into_iter().map(|cell| {
        let is_number = cell.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        let alignment = if is_number { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(cell).set_alignment(alignment)
    });
    table.add_row(cells);
}

fn optional(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

/// Formats a whole number with grouped thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in
            [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_generator_at_its_limit_says_so() {
        assert_eq!(saturation(0.8, 1), None);
        assert!(saturation(0.97, 1).unwrap().contains("busy 97% of the time"));
        assert_eq!(saturation(0.97, 2), None);
    }
}
