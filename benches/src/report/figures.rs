//! The plots of a report. Beside an earlier run each plot has two lines, now and before, so that they can be
//! told apart in black and white; alone, a run's measures share a plot.

use crate::{
    compare::{is_bulk, whole_seconds},
    plot::{Axis, Lines},
    result::{LoadResult, Process, Sample, Second},
    unit::Unit,
};

pub(super) fn plots(result: &LoadResult, before: Option<&LoadResult>) -> Vec<Lines> {
    let mut plots = vec![by_percentile(result, before)];
    match before {
        None => plots.push(latency_over_time(result)),
        Some(before) => {
            for (title, value) in MEASURES {
                let (now, then) = (seconds(result, value), seconds(before, value));
                plots.push(pair(
                    title,
                    latency_axis(now.iter().chain(&then)),
                    now,
                    then,
                ));
            }
        }
    }
    plots.extend(rates(result, before));
    match before {
        None => plots.extend(processes(result)),
        Some(before) => plots.extend(process_pairs(result, before)),
    }
    plots
}

fn by_percentile(result: &LoadResult, before: Option<&LoadResult>) -> Lines {
    let curve = |run: &LoadResult| -> Vec<(f64, f64)> {
        // The longest of n lies as far out as 1 - 1/n; its percentile, 100, would be nowhere.
        let last = 1.0 - 1.0 / run.latency.count.max(2) as f64;
        let points = run.distribution.iter();
        let points = points.map(|point| (point.percentile / 100.0, point.value_us as f64));
        points
            .map(|(share, value)| (share.min(last), value))
            .collect()
    };
    let now = curve(result);
    let (other_name, other) = match before {
        Some(before) => ("before", curve(before)),
        None => ("service time", service(result)),
    };
    let latency = result.latency;
    let text = |micros: u64| Unit::Micros.text(micros as f64);
    Lines::new(
        "Latency by percentile",
        Axis::percentile("share of requests that took no longer"),
        latency_axis(now.iter().chain(&other)),
    )
    .describe(format!(
        "Half within {}, 99 % within {}, 99.9 % within {}, the longest {}.",
        text(latency.p50_us),
        text(latency.p99_us),
        text(latency.p999_us),
        text(latency.max_us)
    ))
    .line(if before.is_some() { "now" } else { "latency" }, now)
    .line(other_name, other)
}

/// Service time has no stored curve: its percentiles make one.
fn service(result: &LoadResult) -> Vec<(f64, f64)> {
    let times = result.service;
    if times.count == 0 {
        return Vec::new();
    }
    let last = 1.0 - 1.0 / times.count.max(2) as f64;
    let points = [
        (0.0, times.min_us),
        (0.5, times.p50_us),
        (0.75, times.p75_us),
        (0.9, times.p90_us),
        (0.95, times.p95_us),
        (0.99, times.p99_us),
        (0.999, times.p999_us),
        (0.9999, times.p9999_us),
    ];
    let points = points.into_iter().filter(|point| point.0 < last);
    let points = points.chain([(last, times.max_us)]);
    points.map(|(share, value)| (share, value as f64)).collect()
}

fn latency_over_time(result: &LoadResult) -> Lines {
    let all = MEASURES.map(|(_, value)| seconds(result, value));
    let axis = latency_axis(all.iter().flatten());
    let [median, most, longest] = all;
    Lines::new("Latency over time", time(), axis)
        .describe("For each second: the median, the 99th percentile and the longest latency.")
        .line("p50", median)
        .line("p99", most)
        .line("longest", longest)
}

fn rates(result: &LoadResult, before: Option<&LoadResult>) -> Vec<Lines> {
    let plot = |title: &str, unit, value: fn(&Second) -> f64| {
        let axis = Axis::linear("", unit);
        let now = seconds(result, value);
        match before {
            Some(before) => pair(title, axis, now, seconds(before, value)),
            None => Lines::new(title, time(), axis)
                .describe(format!("{}.", range(&now, unit)))
                .line("", now),
        }
    };
    let mut plots = vec![plot("Answers per second", Unit::PerSecond, |second| {
        second.ok as f64
    })];
    if is_bulk(result) || before.is_some_and(is_bulk) {
        let bytes = |second: &Second| (second.received + second.sent) as f64;
        plots.push(plot("Body bytes per second", Unit::BytesPerSecond, bytes));
    }
    plots.push(plot("Errors per second", Unit::PerSecond, |second| {
        second.errors as f64
    }));
    plots
}

fn processes(result: &LoadResult) -> Vec<Lines> {
    if result.processes.is_empty() {
        return Vec::new();
    }
    let mut processor = Lines::new(
        "Processor",
        time(),
        Axis::linear("share of one processor", Unit::Share),
    )
    .describe("Processor time of each watched process.");
    let mut memory = Lines::new("Resident memory", time(), Axis::linear("", Unit::Bytes))
        .describe("Resident memory of each watched process.");
    for process in &result.processes {
        processor = processor.line(&process.name, samples(process, load));
        memory = memory.line(&process.name, samples(process, rss));
    }
    vec![processor, memory]
}

fn process_pairs(result: &LoadResult, before: &LoadResult) -> Vec<Lines> {
    let mut plots = Vec::new();
    for process in &result.processes {
        let old = before.processes.iter().find(|old| old.name == process.name);
        let both = |value: fn(&Sample) -> f64| {
            let then = old.map_or_else(Vec::new, |old| samples(old, value));
            (samples(process, value), then)
        };
        let name = &process.name;
        let ((now, then), axis) = (
            both(load),
            Axis::linear("share of one processor", Unit::Share),
        );
        plots.push(pair(&format!("Processor, {name}"), axis, now, then));
        let ((now, then), axis) = (both(rss), Axis::linear("", Unit::Bytes));
        plots.push(pair(&format!("Resident memory, {name}"), axis, now, then));
    }
    plots
}

fn pair(title: &str, axis: Axis, now: Vec<(f64, f64)>, then: Vec<(f64, f64)>) -> Lines {
    let (is, was) = (range(&now, axis.unit), range(&then, axis.unit));
    Lines::new(title, time(), axis)
        .describe(format!("Now: {is}. Before: {was}."))
        .line("now", now)
        .line("before", then)
}

/// The lowest and the highest value, in words.
fn range(points: &[(f64, f64)], unit: Unit) -> String {
    let values = points.iter().map(|point| point.1);
    let values = values.filter(|value| value.is_finite());
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        "nothing measured".into()
    } else {
        format!("from {} to {}", unit.text(low), unit.text(high))
    }
}

/// Each second's value, in the middle of the second.
fn seconds(run: &LoadResult, value: fn(&Second) -> f64) -> Vec<(f64, f64)> {
    let seconds = whole_seconds(run);
    seconds
        .map(|second| (second.at_s + 0.5, value(second)))
        .collect()
}

fn samples(process: &Process, value: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let samples = process.samples.iter();
    samples.map(|sample| (sample.at_s, value(sample))).collect()
}

fn load(sample: &Sample) -> f64 {
    sample.cpu
}

fn rss(sample: &Sample) -> f64 {
    sample.rss as f64
}

/// From zero where the values are of one size, by logarithm where they are not.
fn latency_axis<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Axis {
    let values = points.map(|point| point.1).filter(|value| *value > 0.0);
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| {
        (low.min(value), high.max(value))
    });
    if high > 8.0 * low {
        Axis::log("", Unit::Micros)
    } else {
        Axis::linear("", Unit::Micros)
    }
}

fn time() -> Axis {
    Axis::linear("time", Unit::Seconds)
}

/// A second without answers has no latency, which is a gap in the line.
fn answered(second: &Second, micros: u64) -> f64 {
    if second.ok > 0 {
        micros as f64
    } else {
        f64::NAN
    }
}

/// A measure of each second, by the title of its plot.
type Measure = (&'static str, fn(&Second) -> f64);

const MEASURES: [Measure; 3] = [
    ("Latency p50 over time", |second| {
        answered(second, second.p50_us)
    }),
    ("Latency p99 over time", |second| {
        answered(second, second.p99_us)
    }),
    ("Longest latency over time", |second| {
        answered(second, second.max_us)
    }),
];
