//! Congestion control over simulated paths: what it gets out of them, and what it leaves to others.

mod sim;

use std::time::Duration;

use adit_shared::quic::Congestion::{self, Bbr, Cubic};

use self::sim::{Flow, Path, Plan, jain, run};

/// As in the programs (`tuning`).
const START: u64 = 32 * 1200;

const RTT: Duration = Duration::from_millis(40);
const MEGABIT: f64 = 1e6 / 8.0;

/// One sender alone for ten seconds, with a small message each ten milliseconds.
fn alone(kind: Congestion, path: Path) -> Flow {
    let plan = Plan {
        path,
        length: Duration::from_secs(10),
        messages: Some(Duration::from_millis(10)),
        seed: 7,
    };
    let senders = [(kind.controllers(START), Duration::ZERO)];
    run(&plan, &senders).remove(0)
}

/// What it got from its first second on, as a share of a path of 200 Mbit/s.
fn share(flow: &Flow) -> f64 {
    let rate = flow.goodput(Duration::from_secs(1), Duration::from_secs(10));
    rate / (200.0 * MEGABIT)
}

/// 200 Mbit/s with a queue of `queue` times what is under way, and this much loss each way.
fn path(queue: f64, loss: f64) -> Path {
    let mut path = Path::new(200.0, RTT, queue);
    path.loss = loss;
    path
}

#[test]
fn loss_leaves_most_of_the_path() {
    let clean = alone(Bbr, path(1.0, 0.0));
    for (loss, least) in [(0.001, 0.9), (0.01, 0.85), (0.05, 0.8)] {
        let flow = alone(Bbr, path(1.0, loss));
        assert!(share(&flow) > least, "{loss}: {}", share(&flow));
        // The download does not make small messages wait: those that are lost wait one more round
        // trip, whatever is beside them.
        let most = clean.p50() + RTT.mul_f64(1.5);
        assert!(flow.p99() < most, "{loss}: {:?}", flow.p99());
    }
    // So the simulation loses what makes others give up.
    let cubic = alone(Cubic, path(1.0, 0.01));
    assert!(share(&cubic) < 0.1, "{}", share(&cubic));
}

#[test]
fn a_clean_path_is_used_as_well_as_by_cubic_with_a_shorter_queue() {
    for queue in [0.1, 1.0, 4.0] {
        let path = path(queue, 0.0);
        let (bbr, cubic) = (alone(Bbr, path.clone()), alone(Cubic, path));
        let (ours, theirs) = (share(&bbr), share(&cubic));
        assert!(ours > theirs * 0.99, "{queue}: {ours} of {theirs}");
        let late = |flow: &Flow| flow.p99().as_secs_f64();
        assert!(late(&bbr) < late(&cubic) * 1.05, "{queue}: {:?}", bbr.p99());
    }
    let narrow = Path::new(5.0, RTT, 4.0);
    let (bbr, cubic) = (alone(Bbr, narrow.clone()), alone(Cubic, narrow));
    assert!(share(&bbr) > share(&cubic) * 0.97, "{}", share(&bbr));
    assert!(bbr.p99() * 2 < cubic.p99(), "{:?}", bbr.p99());
}

/// With a pipe's worth in flight there was nothing to send with between two bursts: a tenth was left unused.
#[test]
fn a_path_that_hands_packets_on_in_bursts_is_used_nearly_as_well_as_by_cubic() {
    for millis in [2, 5, 10] {
        let mut path = path(1.0, 0.0);
        path.burst = Some(Duration::from_millis(millis));
        let (ours, theirs) = (share(&alone(Bbr, path.clone())), share(&alone(Cubic, path)));
        assert!(ours > theirs * 0.95, "{millis} ms: {ours} of {theirs}");
    }
}

#[test]
fn a_long_fat_path_fills_as_fast_as_with_cubic() {
    let path = Path::new(500.0, Duration::from_millis(80), 1.0);
    let filled = |kind| {
        let flow = alone(kind, path.clone());
        flow.goodput(Duration::ZERO, Duration::from_secs(2)) / MEGABIT
    };
    let (bbr, cubic) = (filled(Bbr), filled(Cubic));
    assert!(bbr > cubic * 0.97, "{bbr} of {cubic}");
}

#[test]
fn reordered_packets_are_no_congestion() {
    let mut path = path(1.0, 0.0);
    path.reorder = 0.01;
    let flow = alone(Bbr, path);
    assert!(share(&flow) > 0.85, "{}", share(&flow));
}

#[test]
fn what_a_path_takes_is_found_again_when_it_changes() {
    let mut path = Path::new(200.0, RTT, 1.0);
    path.rates = [200.0, 20.0, 200.0]
        .iter()
        .zip([0, 6, 14])
        .map(|(rate, from)| (Duration::from_secs(from), rate * MEGABIT))
        .collect();
    let plan = Plan {
        path,
        length: Duration::from_secs(24),
        messages: None,
        seed: 7,
    };
    let flow = run(&plan, &[(Bbr.controllers(START), Duration::ZERO)]).remove(0);
    let rate =
        |from, to| flow.goodput(Duration::from_secs(from), Duration::from_secs(to)) / MEGABIT;
    assert!(rate(2, 6) > 170.0, "{}", rate(2, 6));
    assert!(rate(8, 14) > 16.0, "{}", rate(8, 14));
    assert!(rate(20, 24) > 150.0, "{}", rate(20, 24));
    let waits = flow.states[135].1;
    assert!(
        waits < RTT * 2,
        "the queue of the faster path still stands: {waits:?}"
    );
}

#[test]
fn after_a_cut_it_is_as_fast_as_before() {
    let mut path = Path::new(200.0, RTT, 1.0);
    path.cut = Some((Duration::from_secs(2), Duration::from_secs(3)));
    let flow = alone(Bbr, path);
    let tick = Duration::from_millis(100);
    let back = (31..100).find(|at| flow.received[*at] > flow.received[*at - 1]);
    let back = tick * back.expect("nothing came after the cut") as u32;
    // The library asks again at intervals that double: within the cut's length.
    assert!(back < Duration::from_millis(4500), "{back:?}");
    let second = flow.goodput(back + tick * 5, back + tick * 15) / MEGABIT;
    assert!(second > 170.0, "{second}");
}

#[test]
fn two_flows_share_a_bottleneck() {
    let share = |kinds: [Congestion; 2], queue| {
        let plan = Plan {
            path: Path::new(50.0, RTT, queue),
            length: Duration::from_secs(40),
            messages: None,
            seed: 7,
        };
        let later = Duration::from_secs(2);
        let senders = [
            (kinds[0].controllers(START), Duration::ZERO),
            (kinds[1].controllers(START), later),
        ];
        let flows = run(&plan, &senders);
        let rate = |flow: &Flow| flow.goodput(Duration::from_secs(10), plan.length) / MEGABIT;
        [rate(&flows[0]), rate(&flows[1])]
    };
    for (queue, least) in [(0.5, 0.9), (1.0, 0.9), (4.0, 0.65)] {
        let beside = share([Bbr, Cubic], queue);
        assert!(jain(&beside) > least, "{queue}: bbr, cubic {beside:?}");
        let both = share([Bbr, Bbr], queue);
        assert!(jain(&both) > 0.95, "{queue}: bbr, bbr {both:?}");
    }
}

#[test]
fn a_run_comes_out_the_same_again() {
    let once = alone(Bbr, path(1.0, 0.01));
    let again = alone(Bbr, path(1.0, 0.01));
    let (first, second) = (share(&once), share(&again));
    assert!((first - second).abs() < 0.02, "{first}, {second}");
}
