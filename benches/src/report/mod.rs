//! A load test as one page of HTML: complete in itself, without script, made for a screen, a telephone and
//! A4 paper alike. Every text that comes from the result is escaped where it is put into the page.
//!
//! - `facts`: the headline, and what puts it in doubt;
//! - `figures`: the plots;
//! - `tables`: the figures in rows.

mod facts;
mod figures;
mod tables;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    compare::{Comparison, LEVEL, SMALLEST, Verdict, compare},
    plot::{STYLE, escape},
    result::LoadResult,
    unit::{Unit, number},
};

/// The page about `result`, beside an earlier run where there is one.
pub fn html(result: &LoadResult, before: Option<&LoadResult>) -> String {
    let title = escape(&format!("Load test of {}", result.plan.url));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}{CSS}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>{title}</h1>\n<p class=\"soft\">{}</p>\n</header>\n",
        escape(&subtitle(result))
    );
    page += &facts::headline(result);
    page += &facts::warnings(result);
    if let Some(before) = before {
        page += &comparison(&compare(result, before), before);
    }
    page += "<h2>Over percentiles and time</h2>\n<div class=\"plots\">\n";
    for plot in figures::plots(result, before) {
        page += &format!("<figure>\n{}</figure>\n", plot.inline());
    }
    page += "</div>\n<section class=\"whole\">\n<h2>Latency and service time</h2>\n";
    page += &paragraph("", latency_and_service(result));
    page += &tables::percentiles(result, before);
    page += "</section>\n<section class=\"whole\">\n<h2>Totals</h2>\n";
    page += &tables::totals(result, before);
    page += &tables::processes(result, before);
    page += "</section>\n<section class=\"whole\">\n<h2>How it was taken</h2>\n";
    page += &about(result);
    page += "</section>\n</main>\n</body>\n</html>\n";
    page
}

fn subtitle(result: &LoadResult) -> String {
    let plan = &result.plan;
    let load = match plan.rate {
        Some(rate) => format!("{} a second asked for", number(rate)),
        None => "each connection as fast as it goes (closed loop)".into(),
    };
    let connections = match (plan.connections, plan.streams) {
        (1, 0 | 1) => "1 connection".into(),
        (1, streams) => format!("1 connection with {streams} at once"),
        (count, 0 | 1) => format!("{} connections", number(count as f64)),
        (count, streams) => format!(
            "{} connections with {streams} at once",
            number(count as f64)
        ),
    };
    format!(
        "{}. {} {} over {connections} for {} s, {load}.",
        moment(&result.at),
        protocol(&plan.protocol),
        match plan.work.as_str() {
            "request" => "requests",
            "upload" => "uploads",
            "download" => "downloads",
            other => other,
        },
        number(result.totals.seconds)
    )
}

fn comparison(comparison: &Comparison, before: &LoadResult) -> String {
    let mut part = String::from("<h2>Compared with the earlier run</h2>\n");
    let commit = before.commit.as_ref();
    let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
    part += &paragraph("soft", &format!("It began {}{commit}.", moment(&before.at)));
    for difference in &comparison.differences {
        part += &paragraph("warn", &difference.to_string());
    }
    if comparison.differences.is_empty() {
        let words = [
            ("Better", Verdict::Better),
            ("Worse", Verdict::Worse),
            ("Within noise", Verdict::Noise),
        ];
        let words = words.map(|(word, verdict)| {
            let names = comparison.with(&verdict);
            let names = if names.is_empty() {
                "nothing".into()
            } else {
                names.join("; ")
            };
            format!("{word}: {names}.")
        });
        part += &paragraph("", &words.join(" "));
    }
    for note in &comparison.notes {
        part += &paragraph("", note);
    }
    part += &tables::comparison(comparison);
    part + &paragraph(
        "soft",
        &format!(
            "The {} % interval says where a change may lie, given how much the seconds of each run differ. \
             A change counts if the interval leaves out zero and the change is at least {} %. What differs \
             from run to run, and not within one, it cannot show: repeat both runs before relying on a small change.",
            LEVEL * 100.0,
            SMALLEST * 100.0
        ),
    )
}

fn latency_and_service(result: &LoadResult) -> &'static str {
    if result.plan.rate.is_some() {
        "Latency counts from the moment a request was meant to start, service time from the moment it was \
         really sent: what latency has more is time a request waited because earlier ones were not answered yet."
    } else {
        "Latency counts from the moment a request did start, service time from the moment it was really sent. \
         In a closed loop nothing starts before an answer makes room, so the requests that would have come during \
         a stall are missing from both: only an open loop (with a rate) shows what visitors would have waited."
    }
}

fn about(result: &LoadResult) -> String {
    let (plan, machine) = (&result.plan, &result.machine);
    let memory = Unit::Bytes.text(machine.memory as f64);
    let command: Vec<_> = result.command.iter().map(|word| quoted(word)).collect();
    let rows = [
        ("URL", plan.url.clone()),
        (
            "Load",
            match plan.rate {
                Some(rate) => format!("open loop, {} requests a second", number(rate)),
                None => "closed loop".into(),
            },
        ),
        (
            "Connections",
            format!(
                "{}, {} at once on each, {}",
                plan.connections,
                plan.streams,
                protocol(&plan.protocol)
            ),
        ),
        ("Request bodies", plan.body.clone()),
        (
            "Time",
            format!(
                "{} s measured, after {} s of warm-up that does not count",
                number(result.totals.seconds),
                number(plan.warmup_s)
            ),
        ),
        (
            "Machine",
            format!(
                "{}, {} cores, {memory}, {}",
                machine.processor, machine.cores, machine.system
            ),
        ),
        (
            "Commit",
            result.commit.clone().unwrap_or_else(|| "none".into()),
        ),
        ("Began", result.at.clone()),
    ];
    let mut part = format!("<pre><code>{}</code></pre>\n", escape(&command.join(" ")));
    part += "<dl class=\"about\">\n";
    for (name, value) in rows {
        part += &format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value));
    }
    part + "</dl>\n"
}

fn paragraph(class: &str, text: &str) -> String {
    let class = match class {
        "" => String::new(),
        class => format!(" class=\"{class}\""),
    };
    format!("<p{class}>{}</p>\n", escape(text))
}

/// `2026-11-23 14:05 UTC`; what is no time is left as it is.
fn moment(at: &str) -> String {
    let Ok(time) = at.parse::<Timestamp>() else {
        return at.into();
    };
    let time = time.to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn protocol(name: &str) -> &str {
    match name {
        "http1" => "HTTP/1.1",
        "http2" => "HTTP/2",
        "http3" => "HTTP/3",
        "websocket" => "WebSocket",
        other => other,
    }
}

/// A word of a command, as a shell would want it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

const CSS: &str = include_str!("page.css");

#[cfg(test)]
mod tests;
