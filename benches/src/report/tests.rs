//! Pages about runs good and bad: whole, escaped, and without a figure that is none.

use super::*;
use crate::{
    compare::tests::run,
    result::{Percentiles, Point, Process, Sample, Second, Totals},
};

/// A run with everything a result can hold.
pub(crate) fn full(seed: u64, rate: f64) -> LoadResult {
    let mut run = run(seed, 30, rate, 0.05, 0.3);
    run.plan.rate = Some(rate);
    run.plan.url = "https://brave-otter.relay.example.com/".into();
    run.plan.warmup_s = 5.0;
    run.command = [
        "loadtest",
        &run.plan.url,
        "--rate",
        "2000",
        "--duration",
        "30s",
        "-H",
        "accept: text/html",
    ]
    .map(String::from)
    .into();
    run.commit = Some("0123abc".into());
    run.machine = crate::result::Machine {
        system: "Linux 6.18".into(),
        processor: "Example Processor 9000".into(),
        cores: 2,
        memory: 25 << 30,
    };
    let count = run.totals.ok;
    let base = 1e8 / rate;
    let at = |share: f64| (base * (1.0 - share).powf(-0.55)) as u64;
    run.latency = Percentiles {
        count,
        min_us: at(0.0) / 2,
        mean_us: 1.3 * base,
        deviation_us: 2.1 * base,
        p50_us: at(0.5),
        p75_us: at(0.75),
        p90_us: at(0.9),
        p95_us: at(0.95),
        p99_us: at(0.99),
        p999_us: at(0.999),
        p9999_us: at(0.9999),
        max_us: at(0.99999),
    };
    run.service = Percentiles {
        p99_us: at(0.98),
        p999_us: at(0.997),
        p9999_us: at(0.999),
        max_us: at(0.9995),
        ..run.latency
    };
    let shares = (0..120).map(|step| 1.0 - 10f64.powf(-f64::from(step) / 24.0));
    run.distribution = shares
        .map(|share| Point {
            percentile: 100.0 * share,
            value_us: at(share),
        })
        .collect();
    run.distribution.push(Point {
        percentile: 100.0,
        value_us: run.latency.max_us,
    });
    run.timeline[12].errors = 7;
    run.timeline[12].max_us *= 20;
    run.totals.errors.insert("timeout".into(), 7);
    run.totals.statuses.insert("200".into(), count);
    run.totals.received = count * 1024;
    run.totals.connects = 64;
    for (name, cost, rss) in [("relay", 11e-6, 14), ("agent", 13e-6, 11)] {
        let samples = run.timeline.iter().map(|second| Sample {
            at_s: second.at_s + 1.0,
            cpu: cost * second.ok as f64,
            rss: (rss << 20) + (second.at_s as u64) * 40_000,
        });
        run.processes.push(Process {
            name: name.into(),
            pid: 4711,
            cpu_s: cost * count as f64,
            rss_before: rss << 20,
            rss_after: (rss << 20) + 1_200_000,
            rss_most: (rss << 20) + 1_300_000,
            samples: samples.collect(),
        });
    }
    run
}

/// Fails unless every element is closed in its order, and no figure is none.
fn check(page: &str) {
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {piece:.40}");
        } else if !(tag.ends_with('/') || tag.starts_with('!') || name == "meta") {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert_eq!(open, [""; 0]);
    assert!(!page.contains("NaN") && !page.contains(">inf"), "{page}");
    for address in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(address), "{address}");
    }
}

#[test]
fn a_page_is_whole() {
    let (now, before) = (full(1, 2200.0), full(2, 2000.0));
    let alone = html(&now, None);
    check(&alone);
    assert_eq!(alone.matches("<svg ").count(), 6);
    assert!(alone.contains("2026-01-02 03:04 UTC"));
    assert!(alone.contains("&#39;accept: text/html&#39;"));
    let beside = html(&now, Some(&before));
    check(&beside);
    assert_eq!(beside.matches("<svg ").count(), 10);
    assert!(beside.contains("No verdict: plan.rate was 2000 and is 2200."));
}

#[test]
fn a_page_about_nothing_is_whole_too() {
    let mut none = full(1, 2000.0);
    let failed = Second {
        errors: 3,
        ..Second::default()
    };
    none.timeline = vec![failed];
    none.totals = Totals {
        seconds: 1.0,
        unsent: 12,
        ..Totals::default()
    };
    none.totals.errors.insert("connect".into(), 3);
    none.latency = Percentiles::default();
    none.service = Percentiles::default();
    none.distribution.clear();
    let page = html(&none, None);
    check(&page);
    assert!(page.contains("Nothing was answered"));
    assert!(page.contains("12 requests were due"));
    check(&html(&none, Some(&full(2, 2000.0))));
    check(&html(&full(2, 2000.0), Some(&none)));

    none.totals = Totals::default();
    none.timeline.clear();
    none.processes[0].samples.clear();
    none.processes[1].samples.truncate(1);
    none.processes[1].samples[0].cpu = f64::NAN;
    check(&html(&none, None));
    check(&html(&none, Some(&none)));
}

#[test]
fn hostile_text_stays_text() {
    let mut run = full(1, 2000.0);
    let hostile = "http://h/?\"'><script>alert(1)</script>&\u{0}";
    run.plan.url = hostile.into();
    run.command.push(hostile.into());
    run.commit = Some(hostile.into());
    run.plan.body = hostile.into();
    run.plan.protocol = hostile.into();
    run.machine.processor = hostile.into();
    run.at = hostile.into();
    run.processes[0].name = hostile.into();
    run.totals.errors.insert(hostile.into(), 1);
    run.totals.statuses.insert(hostile.into(), 1);
    let page = html(&run, Some(&full(2, 2000.0)));
    check(&page);
    check(&html(&run, Some(&run)));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;\u{fffd}"));
}
