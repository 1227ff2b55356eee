//! Runs made up from seeded noise.

use super::{bootstrap::Random, *};
use crate::result::{FORMAT, Machine, Percentiles, Plan, Second, Totals};

/// A run whose seconds vary by `noise`, each leaning on the one before by `memory`.
pub(crate) fn run(seed: u64, seconds: usize, rate: f64, noise: f64, memory: f64) -> LoadResult {
    let mut random = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let mut timeline = Vec::new();
    let (mut speed, mut tail) = (0.0, 0.0);
    let fresh = (1.0 - memory * memory).sqrt();
    for index in 0..seconds {
        speed = memory * speed + fresh * normal(&mut random);
        tail = memory * tail + fresh * normal(&mut random);
        let ok = (rate * (1.0 + noise * speed)).max(0.0) as u64;
        timeline.push(Second {
            at_s: index as f64,
            ok,
            p50_us: (1e8 / rate * (1.0 - noise * speed)) as u64,
            p99_us: (4e8 / rate * (3.0 * noise * tail).exp()) as u64,
            max_us: (9e8 / rate) as u64,
            ..Second::default()
        });
    }
    LoadResult {
        format: FORMAT.into(),
        at: "2026-01-02T03:04:05Z".into(),
        command: ["loadtest", "http://127.0.0.1:1"].map(String::from).into(),
        commit: None,
        machine: Machine::default(),
        plan: Plan {
            url: "http://127.0.0.1:1".into(),
            protocol: "http1".into(),
            work: "request".into(),
            rate: None,
            connections: 64,
            streams: 1,
            duration_s: seconds as f64,
            warmup_s: 0.0,
            body: "none".into(),
        },
        totals: Totals {
            seconds: seconds as f64,
            ok: timeline.iter().map(|second| second.ok).sum(),
            ..Totals::default()
        },
        latency: Percentiles::default(),
        service: Percentiles::default(),
        distribution: Vec::new(),
        timeline,
        processes: Vec::new(),
    }
}

fn normal(random: &mut Random) -> f64 {
    let mut uniform = || (random.bits() >> 11) as f64 / (1u64 << 53) as f64;
    let (one, two) = (1.0 - uniform(), uniform());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
}

fn verdict<'a>(comparison: &'a Comparison, name: &str) -> &'a Verdict {
    let row = comparison.rows.iter().find(|row| row.name == name);
    &row.expect("the measure is there").verdict
}

const P50: &str = "latency p50, typical second";
const P99: &str = "latency p99, typical second";

/// The share of comparisons of a thing with itself that call some measure changed.
fn false_alarms(pairs: u64, seconds: usize, memory: f64) -> f64 {
    let noise = 0.05;
    let alarms = (0..pairs).filter(|pair| {
        let old = run(2 * pair, seconds, 10_000.0, noise, memory);
        let new = run(2 * pair + 1, seconds, 10_000.0, noise, memory);
        let comparison = compare(&new, &old);
        let changed = |row: &Row| matches!(row.verdict, Verdict::Better | Verdict::Worse);
        comparison.rows.iter().any(changed)
    });
    alarms.count() as f64 / pairs as f64
}

#[test]
fn a_thing_compared_with_itself_is_within_noise() {
    // With 400 pairs each: 0.8 %, 0.8 %, 2.5 % and, where half of each second carries over, 4.8 %.
    for (pairs, seconds, memory, most) in [
        (30, 10, 0.0, 0.05),
        (40, 20, 0.0, 0.05),
        (40, 20, 0.3, 0.06),
        (10, 60, 0.5, 0.10),
    ] {
        let rate = false_alarms(pairs, seconds, memory);
        assert!(rate <= most, "{seconds} s, memory {memory}: {rate}");
    }
}

#[test]
fn a_tenth_more_is_found_in_twenty_noisy_seconds() {
    let pairs = 40;
    let found = (0..pairs).filter(|pair| {
        let old = run(2 * pair, 20, 10_000.0, 0.05, 0.0);
        let new = run(2 * pair + 1, 20, 11_000.0, 0.05, 0.0);
        let (there, back) = (compare(&new, &old), compare(&old, &new));
        *verdict(&there, "answers") == Verdict::Better
            && *verdict(&there, P50) == Verdict::Better
            && *verdict(&back, "answers") == Verdict::Worse
    });
    let found = found.count();
    assert!(found >= 37, "{found} of {pairs}");
}

#[test]
fn the_same_files_give_the_same_answer() {
    let (old, new) = (run(1, 20, 1e4, 0.05, 0.0), run(2, 20, 1e4, 0.05, 0.0));
    let text = compare(&new, &old).to_string();
    assert_eq!(text, compare(&new, &old).to_string());
    let with_itself = compare(&old, &old);
    assert_eq!(*verdict(&with_itself, "answers"), Verdict::Noise);
    assert!(text.contains("within noise"), "{text}");
}

#[test]
fn a_change_too_small_to_trust_is_noise() {
    let (old, new) = (run(1, 60, 1e4, 0.001, 0.0), run(2, 60, 1.02e4, 0.001, 0.0));
    let comparison = compare(&new, &old);
    let row = &comparison.rows[0];
    let (low, _) = row.change.and_then(|change| change.interval).unwrap();
    assert!(low > 0.01);
    assert_eq!(row.verdict, Verdict::Noise);
}

#[test]
fn other_plans_and_machines_get_no_verdict() {
    let old = run(1, 20, 1e4, 0.05, 0.0);
    let mut new = run(2, 20, 2e4, 0.05, 0.0);
    new.plan.connections = 8;
    new.machine.cores = 64;
    let comparison = compare(&new, &old);
    let fields = vec!["plan.connections", "machine.cores"];
    let refused = Verdict::Unknown(Reason::Different(fields));
    assert_eq!(*verdict(&comparison, "answers"), refused);
    assert!(comparison.with(&Verdict::Better).is_empty());
    let text = comparison.to_string();
    assert!(text.contains("plan.connections was 64 and is 8"), "{text}");
}

#[test]
fn another_url_is_noted_and_judged() {
    let old = run(1, 20, 1e4, 0.05, 0.0);
    let mut new = run(2, 20, 2e4, 0.05, 0.0);
    new.plan.url = "http://127.0.0.1:2".into();
    let comparison = compare(&new, &old);
    assert_eq!(*verdict(&comparison, "answers"), Verdict::Better);
    assert!(comparison.notes[0].contains("127.0.0.1:2"));
}

#[test]
fn one_second_says_nothing_about_noise() {
    let (old, new) = (run(1, 1, 1e4, 0.05, 0.0), run(2, 1, 2e4, 0.05, 0.0));
    let comparison = compare(&new, &old);
    let short = Verdict::Unknown(Reason::Short(1));
    assert_eq!(*verdict(&comparison, "answers"), short);
    assert_eq!(*verdict(&comparison, P99), short);
}

#[test]
fn a_run_without_an_answer_is_worse_and_has_no_latency() {
    let old = run(1, 20, 1e4, 0.05, 0.0);
    let mut none = run(2, 20, 0.0, 0.0, 0.0);
    for second in &mut none.timeline {
        *second = Second {
            at_s: second.at_s,
            errors: 500,
            ..Second::default()
        };
    }
    none.totals.errors.insert("connect".into(), 10_000);
    let worse = compare(&none, &old);
    assert_eq!(*verdict(&worse, "answers"), Verdict::Worse);
    assert_eq!(*verdict(&worse, "errors"), Verdict::Worse);
    assert_eq!(*verdict(&worse, P50), Verdict::Unknown(Reason::Nothing));
    assert!(worse.notes[0].contains("Most requests of the later run failed"));
    assert_eq!(*verdict(&compare(&old, &none), "answers"), Verdict::Better);
    let nothing = compare(&none, &none);
    assert_eq!(
        *verdict(&nothing, "answers"),
        Verdict::Unknown(Reason::Nothing)
    );
    let text = nothing.to_string() + &worse.to_string() + &compare(&old, &none).to_string();
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn errors_of_one_second_are_noise_and_errors_throughout_are_not() {
    let old = run(1, 20, 1e4, 0.05, 0.0);
    let (mut burst, mut steady) = (old.clone(), old.clone());
    burst.timeline[7].errors = 300;
    for second in &mut steady.timeline {
        second.errors = 15;
    }
    assert_eq!(*verdict(&compare(&burst, &old), "errors"), Verdict::Noise);
    assert_eq!(*verdict(&compare(&steady, &old), "errors"), Verdict::Worse);
}

#[test]
fn processor_time_is_compared_by_answer() {
    use crate::result::{Process, Sample};
    let watched = |mut run: LoadResult, cost: f64| {
        let samples = run.timeline.iter().map(|second| Sample {
            at_s: second.at_s + 1.002,
            cpu: cost * second.ok as f64,
            rss: 1 << 20,
        });
        let samples = samples.collect();
        run.processes.push(Process {
            name: "relay".into(),
            pid: 1,
            cpu_s: 1.0,
            rss_before: 0,
            rss_after: 0,
            rss_most: 1 << 20,
            samples,
        });
        run
    };
    // Twice the rate at the same cost of each answer: nothing changed.
    let old = watched(run(1, 20, 1e4, 0.05, 0.0), 20e-6);
    let same = watched(run(2, 20, 2e4, 0.05, 0.0), 20e-6);
    let dearer = watched(run(3, 20, 1e4, 0.05, 0.0), 25e-6);
    let name = "CPU per answer, relay";
    assert_eq!(*verdict(&compare(&same, &old), name), Verdict::Noise);
    assert_eq!(*verdict(&compare(&dearer, &old), name), Verdict::Worse);
}
