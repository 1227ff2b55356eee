//! The figures of a report in rows.

use std::collections::BTreeSet;

use crate::{
    compare::{Comparison, LEVEL, Verdict},
    plot::escape,
    result::{LoadResult, Percentiles, Process},
    unit::{Unit, number},
};

use super::facts::{errors, per_second};

pub(super) fn comparison(comparison: &Comparison) -> String {
    let level = format!("{} % interval", LEVEL * 100.0);
    let mut table = Table::new("words", ["", "before", "now", "change", &level, "verdict"]);
    for row in &comparison.rows {
        let (class, sign) = match row.verdict {
            Verdict::Better => ("better", "▲ "),
            Verdict::Worse => ("worse", "▼ "),
            Verdict::Noise | Verdict::Unknown(_) => ("", ""),
        };
        let mut cells = row.cells();
        cells[5].insert_str(0, sign);
        table.row_of(class, cells);
    }
    table.end()
}

pub(super) fn percentiles(result: &LoadResult, before: Option<&LoadResult>) -> String {
    let mut runs = Vec::new();
    let head = match before {
        Some(before) => {
            let now = [result.latency, result.service];
            runs.extend([before.latency, now[0], before.service, now[1]]);
            let names = [
                "",
                "latency before",
                "latency now",
                "service before",
                "service now",
            ];
            names.to_vec()
        }
        None => {
            runs.extend([result.latency, result.service]);
            vec!["", "latency", "service time", "latencies beyond"]
        }
    };
    let mut table = Table::new("", head);
    for (name, share, value) in ROWS {
        let times = runs.iter().map(|times| match times.count {
            0 => "–".into(),
            _ => Unit::Micros.text(value(times)),
        });
        let mut cells: Vec<_> = [name.to_string()].into_iter().chain(times).collect();
        if before.is_none() {
            let beyond = (1.0 - share) * result.latency.count as f64;
            let has_beyond = share > 0.0;
            cells.push(if has_beyond {
                number(beyond.round())
            } else {
                String::new()
            });
        }
        table.row(cells);
    }
    table.end()
}

pub(super) fn totals(result: &LoadResult, before: Option<&LoadResult>) -> String {
    let runs: Vec<_> = before.into_iter().chain([result]).collect();
    let mut table = match before {
        Some(_) => Table::new("", ["", "before", "now"]),
        None => Table::new("", ["", "number"]),
    };
    let mut row = |name: &str, cell: &dyn Fn(&LoadResult) -> String| {
        let cells = runs.iter().map(|run| cell(run));
        table.row([name.to_string()].into_iter().chain(cells));
    };
    let count = |count: u64| number(count as f64);
    row("measured", &|run| Unit::Seconds.text(run.totals.seconds));
    row("answered as they should be", &|run| count(run.totals.ok));
    row("answers a second", &|run| {
        Unit::PerSecond.text(per_second(run, run.totals.ok))
    });
    row("errors", &|run| {
        let (errors, share) = errors(run);
        format!("{} ({})", count(errors), Unit::Share.text(share))
    });
    let classes = runs.iter().flat_map(|run| run.totals.errors.keys());
    for class in classes.collect::<BTreeSet<_>>() {
        row(&format!("– {class}"), &|run| {
            count(run.totals.errors.get(class).copied().unwrap_or(0))
        });
    }
    let statuses = runs.iter().flat_map(|run| run.totals.statuses.keys());
    for status in statuses.collect::<BTreeSet<_>>() {
        row(&format!("status {status}"), &|run| {
            count(run.totals.statuses.get(status).copied().unwrap_or(0))
        });
    }
    row("due and never sent", &|run| count(run.totals.unsent));
    row("connections opened", &|run| count(run.totals.connects));
    row("body bytes received", &|run| {
        Unit::Bytes.text(run.totals.received as f64)
    });
    row("body bytes sent", &|run| {
        Unit::Bytes.text(run.totals.sent as f64)
    });
    table.end()
}

/// Nothing if no process was watched.
pub(super) fn processes(result: &LoadResult, before: Option<&LoadResult>) -> String {
    if result.processes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        "",
        [
            "process",
            "CPU",
            "CPU per answer",
            "memory at first",
            "at last",
            "most",
        ],
    );
    let row = |name: String, process: &Process, run: &LoadResult| {
        let each = process.cpu_s / run.totals.ok as f64;
        [
            name,
            Unit::Seconds.text(process.cpu_s),
            Unit::Seconds.text(each),
            Unit::Bytes.text(process.rss_before as f64),
            Unit::Bytes.text(process.rss_after as f64),
            Unit::Bytes.text(process.rss_most as f64),
        ]
    };
    for process in &result.processes {
        let old = before.and_then(|before| {
            let old = before.processes.iter().find(|old| old.name == process.name);
            old.map(|old| (old, before))
        });
        if let Some((old, before)) = old {
            table.row(row(format!("{}, before", process.name), old, before));
        }
        table.row(row(process.name.clone(), process, result));
    }
    table.end()
}

/// A table that is being written. The first cell of each row is its heading.
struct Table {
    text: String,
}

impl Table {
    fn new<'a>(class: &str, head: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = format!("<div class=\"scroll\"><table class=\"{class}\">\n<thead><tr>");
        for name in head {
            match name {
                "" => text += "<td></td>",
                name => text += &format!("<th scope=\"col\">{}</th>", escape(name)),
            }
        }
        text += "</tr></thead>\n<tbody>\n";
        Self { text }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.row_of("", cells);
    }

    fn row_of(&mut self, class: &str, cells: impl IntoIterator<Item = String>) {
        self.text += &match class {
            "" => "<tr>".into(),
            class => format!("<tr class=\"{class}\">"),
        };
        for (index, cell) in cells.into_iter().enumerate() {
            let cell = escape(&cell);
            self.text += &match index {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            };
        }
        self.text += "</tr>\n";
    }

    fn end(self) -> String {
        self.text + "</tbody>\n</table></div>\n"
    }
}

/// A row of the table of percentiles: its name, the share of times that are no longer, and the time.
type Time = (&'static str, f64, fn(&Percentiles) -> f64);

const ROWS: [Time; 11] = [
    ("shortest", 0.0, |times| times.min_us as f64),
    ("p50", 0.5, |times| times.p50_us as f64),
    ("p75", 0.75, |times| times.p75_us as f64),
    ("p90", 0.9, |times| times.p90_us as f64),
    ("p95", 0.95, |times| times.p95_us as f64),
    ("p99", 0.99, |times| times.p99_us as f64),
    ("p99.9", 0.999, |times| times.p999_us as f64),
    ("p99.99", 0.9999, |times| times.p9999_us as f64),
    ("longest", 0.0, |times| times.max_us as f64),
    ("mean", 0.0, |times| times.mean_us),
    ("standard deviation", 0.0, |times| times.deviation_us),
];
