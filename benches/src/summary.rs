//! The table at the end, as plain text.

use std::fmt;

use crate::result::{LoadResult, Percentiles};
use crate::unit::Unit;

/// A result as a table for a terminal.
#[derive(Debug)]
pub struct Summary<'a>(pub &'a LoadResult);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.0;
        writeln!(f, "{}", printable(&result.plan.url))?;
        writeln!(f, "{}\n", plan(result))?;
        counts(result, f)?;
        times(result, f)?;
        named("errors", &result.totals.errors, f)?;
        named("statuses", &result.totals.statuses, f)?;
        processes(result, f)
    }
}

fn plan(result: &LoadResult) -> String {
    let plan = &result.plan;
    let protocol = match plan.protocol.as_str() {
        "http1" => "HTTP/1.1",
        "http2" => "HTTP/2",
        "http3" => "HTTP/3",
        "websocket" => "WebSocket",
        other => other,
    };
    let connections = match plan.connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    let mut parts = vec![protocol.to_owned(), connections];
    if plan.streams > 1 {
        parts.push(format!("{} streams on each", plan.streams));
    }
    parts.push(match plan.rate {
        Some(rate) => format!("open loop, {} due", Unit::PerSecond.text(rate)),
        None if plan.work == "events" => "events".to_owned(),
        None => "closed loop".to_owned(),
    });
    if plan.body != "none" {
        parts.push(format!("bodies: {}", plan.body));
    }
    let took = Unit::Seconds.text(result.totals.seconds);
    parts.push(format!("{took} measured"));
    parts.join(", ")
}

fn counts(result: &LoadResult, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let totals = &result.totals;
    let errors: u64 = totals.errors.values().sum();
    let rate = |count: u64| count as f64 / totals.seconds.max(1e-9);
    let what = match result.plan.work.as_str() {
        "events" => "events",
        "echo" => "messages",
        _ => "requests",
    };
    writeln!(
        f,
        "  {what:<12}{:>12}   {} ok, {} failed{}",
        Unit::PerSecond.text(rate(totals.ok)),
        Unit::Count.text(totals.ok as f64),
        Unit::Count.text(errors as f64),
        match totals.unsent {
            0 => String::new(),
            unsent => format!(
                ", {} unsent: due, but no connection was free",
                Unit::Count.text(unsent as f64)
            ),
        }
    )?;
    for (name, bytes) in [("received", totals.received), ("sent", totals.sent)] {
        if bytes > 0 {
            writeln!(
                f,
                "  {name:<12}{:>12}   {}",
                Unit::BytesPerSecond.text(rate(bytes)),
                Unit::Bytes.text(bytes as f64)
            )?;
        }
    }
    if totals.connects > 0 {
        writeln!(
            f,
            "  {:<12}{:>12}   {} opened while measuring",
            "connections",
            Unit::PerSecond.text(rate(totals.connects)),
            Unit::Count.text(totals.connects as f64)
        )?;
    }
    Ok(())
}

fn times(result: &LoadResult, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if result.latency.count == 0 {
        return Ok(());
    }
    let head = ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    write!(f, "\n  {:<12}", "")?;
    for name in head {
        write!(f, "{name:>10}")?;
    }
    writeln!(f)?;
    let name = if result.plan.work == "events" {
        "between"
    } else {
        "latency"
    };
    row(name, &result.latency, f)?;
    // In a closed loop both are the same.
    if result.plan.rate.is_some() {
        row("service", &result.service, f)?;
        writeln!(
            f,
            "  latency counts from when a request was due, service from when it was sent"
        )?;
    }
    Ok(())
}

fn row(name: &str, times: &Percentiles, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "  {name:<12}")?;
    let values = [
        times.mean_us,
        times.p50_us as f64,
        times.p90_us as f64,
        times.p99_us as f64,
        times.p999_us as f64,
        times.p9999_us as f64,
        times.max_us as f64,
    ];
    for value in values {
        write!(f, "{:>10}", Unit::Micros.text(value))?;
    }
    writeln!(f)
}

fn named(
    what: &str,
    counts: &std::collections::BTreeMap<String, u64>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (index, (name, count)) in counts.iter().enumerate() {
        let what = if index == 0 { what } else { "" };
        let break_before = if index == 0 { "\n" } else { "" };
        let count = Unit::Count.text(*count as f64);
        writeln!(
            f,
            "{break_before}  {what:<12}{:<24}{count:>12}",
            printable(name)
        )?;
    }
    Ok(())
}

fn processes(result: &LoadResult, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if result.processes.is_empty() {
        return Ok(());
    }
    let head = ["CPU", "of one", "a request", "RSS before", "after", "most"];
    write!(f, "\n  {:<12}", "processes")?;
    for name in head {
        write!(f, "{name:>12}")?;
    }
    writeln!(f)?;
    for process in &result.processes {
        let each = process.cpu_s / (result.totals.ok.max(1)) as f64;
        let cells = [
            Unit::Seconds.text(process.cpu_s),
            Unit::Share.text(process.cpu_s / result.totals.seconds.max(1e-9)),
            Unit::Seconds.text(each),
            Unit::Bytes.text(process.rss_before as f64),
            Unit::Bytes.text(process.rss_after as f64),
            Unit::Bytes.text(process.rss_most as f64),
        ];
        write!(f, "  {:<12}", printable(&process.name))?;
        for cell in cells {
            write!(f, "{cell:>12}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Text from elsewhere, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
