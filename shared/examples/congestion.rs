//! Prints what each congestion control gets out of simulated paths, and what it leaves to others.
//!
//! `cargo run --release -p adit-shared --example congestion [PATH]`; with a part of a path's name,
//! only those.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the simulation is written for the tests"
)]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a table for people"
)]

#[path = "../tests/congestion/sim/mod.rs"]
mod sim;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::quic::Congestion;
use quinn::congestion::BbrConfig;

use self::sim::{Control, Path, Plan, jain, run};

/// As in the programs.
const START: u64 = 32 * 1200;

const KINDS: [&str; 3] = ["cubic", "library's bbr", "bbr"];

fn main() {
    let only = env::args().nth(1).unwrap_or_default();
    println!("| path | control | Mbit/s | 2nd half | small p50 ms | p99 ms | lost |");
    println!("|---|---|---|---|---|---|---|");
    for (name, path, seconds) in paths() {
        if name.contains(&only) {
            for kind in KINDS {
                alone(&name, kind, &path, Duration::from_secs(seconds));
            }
        }
    }
    if "fairness".contains(&only) {
        println!("\n| queue | controls | Mbit/s | Jain's index |\n|---|---|---|---|");
        for queue in [0.5, 1.0, 4.0] {
            for kinds in [["bbr", "cubic"], ["bbr", "bbr"], ["cubic", "cubic"]] {
                beside(kinds, queue);
            }
        }
    }
}

fn control(kind: &str) -> Control {
    match kind {
        "bbr" => Congestion::Bbr.controllers(START),
        "cubic" => Congestion::Cubic.controllers(START),
        _ => {
            let mut config = BbrConfig::default();
            config.initial_window(START);
            Arc::new(config)
        }
    }
}

/// Each path with its name and how many seconds are simulated.
fn paths() -> Vec<(String, Path, u64)> {
    let rtt = Duration::from_millis(40);
    let usual = Path::new(200.0, rtt, 1.0);
    let mut paths = Vec::new();
    for queue in [0.1, 1.0, 4.0] {
        let name = format!("200 Mbit/s, 40 ms, queue {queue}");
        paths.push((name, Path::new(200.0, rtt, queue), 10));
    }
    for percent in [0.1, 1.0, 5.0] {
        let mut path = usual.clone();
        path.loss = percent / 100.0;
        paths.push((format!("the same, {percent} % loss"), path, 10));
    }
    let mut path = usual.clone();
    path.reorder = 0.01;
    paths.push(("the same, 1 % reordered".to_owned(), path, 10));
    for millis in [2, 5, 10] {
        let mut path = usual.clone();
        path.burst = Some(Duration::from_millis(millis));
        paths.push((format!("the same, in bursts of {millis} ms"), path, 10));
    }
    for (megabits, millis, queue, seconds) in [
        (500.0, 80.0, 1.0, 10),
        (5.0, 40.0, 4.0, 20),
        (20.0, 200.0, 1.0, 30),
        (1000.0, 1.0, 4.0, 3),
    ] {
        let rtt = Duration::from_secs_f64(millis / 1e3);
        let name = format!("{megabits} Mbit/s, {millis} ms, queue {queue}");
        paths.push((name, Path::new(megabits, rtt, queue), seconds));
    }
    let mut path = Path::new(10_000.0, Duration::from_micros(50), 64.0);
    path.mtu = 6500;
    paths.push(("10 Gbit/s, 0.05 ms".to_owned(), path, 2));
    let mut path = Path::new(20.0, Duration::from_millis(50), 4.0);
    let rates = [50e6, 10e6, 25e6, 5e6].iter().cycle().zip(0..10);
    path.rates = rates
        .map(|(rate, at)| (Duration::from_secs(at * 3), rate / 8.0))
        .collect();
    paths.push(("50, 10, 25, 5 Mbit/s in turn".to_owned(), path, 30));
    let mut path = usual;
    path.cut = Some((Duration::from_secs(4), Duration::from_secs(9)));
    paths.push(("200 Mbit/s, cut for 5 s".to_owned(), path, 20));
    paths
}

fn alone(name: &str, kind: &str, path: &Path, length: Duration) {
    let plan = Plan {
        path: path.clone(),
        length,
        messages: Some(Duration::from_millis(10)),
        seed: 7,
    };
    let flow = run(&plan, &[(control(kind), Duration::ZERO)]).remove(0);
    let rate = |from| flow.goodput(from, length) * 8e-6;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {name} | {kind} | {:.1} | {:.1} | {:.0} | {:.0} | {} |",
        rate(Duration::ZERO),
        rate(length / 2),
        millis(flow.p50()),
        millis(flow.p99()),
        flow.lost
    );
}

fn beside(kinds: [&str; 2], queue: f64) {
    let plan = Plan {
        path: Path::new(50.0, Duration::from_millis(40), queue),
        length: Duration::from_secs(40),
        messages: None,
        seed: 7,
    };
    let later = Duration::from_secs(2);
    let senders = [
        (control(kinds[0]), Duration::ZERO),
        (control(kinds[1]), later),
    ];
    let flows = run(&plan, &senders);
    let settled = Duration::from_secs(10);
    let rates: Vec<_> = flows
        .iter()
        .map(|flow| flow.goodput(settled, plan.length) * 8e-6)
        .collect();
    println!(
        "| {queue} | {}, {} | {:.1}, {:.1} | {:.3} |",
        kinds[0],
        kinds[1],
        rates[0],
        rates[1],
        jain(&rates)
    );
}
