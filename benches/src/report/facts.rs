//! The headline of a report, and what puts it in doubt.

use crate::{
    plot::escape,
    result::LoadResult,
    unit::{Unit, number},
};

use super::paragraph;

/// What most people want to know, in one row.
pub(super) fn headline(result: &LoadResult) -> String {
    let totals = &result.totals;
    let rate = per_second(result, totals.ok);
    let latency = result.latency;
    let time = |micros: u64| match latency.count {
        0 => "–".into(),
        _ => Unit::Micros.text(micros as f64),
    };
    let (errors, share) = errors(result);
    let mut facts = vec![
        (
            "Answers",
            Unit::PerSecond.text(rate),
            format!("{} in all", number(totals.ok as f64)),
        ),
        ("Median latency", time(latency.p50_us), "p50".into()),
        ("99 % are within", time(latency.p99_us), "p99".into()),
        ("Longest", time(latency.max_us), "of all".into()),
        (
            "Errors",
            Unit::Share.text(share),
            format!("{} in all", number(errors as f64)),
        ),
    ];
    let bytes = totals.received + totals.sent;
    if bytes > 0 {
        facts.push((
            "Body bytes",
            Unit::BytesPerSecond.text(per_second(result, bytes)),
            format!("{} in all", Unit::Bytes.text(bytes as f64)),
        ));
    }
    let mut part = String::from("<dl class=\"facts\">\n");
    for (name, value, note) in facts {
        let (value, note) = (escape(&value), escape(&note));
        part += &format!("<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>\n");
    }
    part + "</dl>\n"
}

/// What a reader must know before believing the headline.
pub(super) fn warnings(result: &LoadResult) -> String {
    let totals = &result.totals;
    let mut part = String::new();
    if totals.ok == 0 {
        part += &paragraph("warn", "Nothing was answered as it should be.");
    }
    if totals.unsent > 0 {
        let unsent = number(totals.unsent as f64);
        part += &paragraph(
            "warn",
            &format!(
                "{unsent} requests were due and could not be sent before the end: the target did not keep up \
                 with this rate, and the latencies would have grown further."
            ),
        );
    }
    let (errors, _) = errors(result);
    if let Some(asked) = result.plan.rate
        && per_second(result, totals.ok + errors) < 0.98 * asked
    {
        let did = Unit::PerSecond.text(per_second(result, totals.ok + errors));
        let asked = Unit::PerSecond.text(asked);
        part += &paragraph("warn", &format!("The load fell short: {did} of {asked}."));
    }
    let count = result.latency.count;
    if (1..10_000).contains(&count) {
        let text = format!(
            "Only {} latencies: beyond p99 there are few.",
            number(count as f64)
        );
        part += &paragraph("warn", &text);
    }
    part
}

/// How many requests failed, and their share.
pub(super) fn errors(result: &LoadResult) -> (u64, f64) {
    let errors: u64 = result.totals.errors.values().sum();
    let all = errors + result.totals.ok;
    (errors, errors as f64 / all.max(1) as f64)
}

/// On average over the measured time.
pub(super) fn per_second(result: &LoadResult, count: u64) -> f64 {
    if result.totals.seconds > 0.0 {
        count as f64 / result.totals.seconds
    } else {
        0.0
    }
}
