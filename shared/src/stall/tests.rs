use super::*;

const MIB: u64 = 1 << 20;

/// An exchange and whether it was cut.
struct Exchange {
    reader: Reader,
    cut: AbortHandle,
}

fn exchange(account: &Arc<Account>, left: Option<u64>) -> Exchange {
    let (cut, _) = AbortHandle::new_pair();
    let reader = account.watch(left, &cut).unwrap();
    Exchange { reader, cut }
}

fn stalls(each: u64, all: u64) -> Stalls {
    Stalls::new(Budget { each, all })
}

/// Sweeps as often as is due from `from` on for `seconds`; what the last one found.
fn sweep(stalls: &Stalls, now: &mut Instant, seconds: u32) -> Sweep {
    let mut last = Sweep::default();
    for _ in 0..seconds * 4 {
        *now += TICK;
        last = stalls.sweep(*now);
    }
    last
}

#[test]
fn a_reader_that_stops_is_counted_after_a_while_until_it_goes_on_or_leaves() {
    let (stalls, mut now) = (stalls(8 * MIB, 8 * MIB), Instant::now());
    let account = stalls.account(1 << 20);
    let mut one = exchange(&account, None);
    one.reader.took(None);
    assert_eq!(sweep(&stalls, &mut now, 1).held, 0);
    assert_eq!(sweep(&stalls, &mut now, 1).held, MIB);
    one.reader.took(None);
    assert_eq!(sweep(&stalls, &mut now, 1).held, 0);
    assert_eq!(sweep(&stalls, &mut now, 1).held, MIB);
    drop(one);
    assert_eq!(sweep(&stalls, &mut now, 1), Sweep::default());
}

#[test]
fn a_reader_that_waits_for_more_is_never_counted() {
    let (stalls, mut now) = (stalls(0, 0), Instant::now());
    let account = stalls.account(1 << 20);
    let mut one = exchange(&account, None);
    one.reader.took(None);
    one.reader.waits();
    assert_eq!(sweep(&stalls, &mut now, 9), Sweep::default());
    assert!(!one.cut.is_aborted());
}

#[test]
fn a_body_that_is_never_asked_for_is_counted() {
    let (stalls, mut now) = (stalls(8 * MIB, 8 * MIB), Instant::now());
    let account = stalls.account(1 << 20);
    let _one = exchange(&account, None);
    assert_eq!(sweep(&stalls, &mut now, 2).held, MIB);
}

#[test]
fn a_body_holds_no_more_than_is_left_of_it() {
    let (stalls, mut now) = (stalls(8 * MIB, 8 * MIB), Instant::now());
    let account = stalls.account(1 << 20);
    let mut one = exchange(&account, Some(100_000));
    one.reader.took(Some(70_000));
    assert_eq!(sweep(&stalls, &mut now, 2).held, 70_000);
    let (cut, _) = AbortHandle::new_pair();
    assert!(account.watch(Some(SMALL), &cut).is_none());
}

#[test]
fn the_longest_stalled_are_cut_until_the_rest_is_within_the_budget() {
    let (stalls, mut now) = (stalls(2 * MIB, 99 * MIB), Instant::now());
    let account = stalls.account(1 << 20);
    let mut all: Vec<_> = (0..4).map(|_| exchange(&account, None)).collect();
    // The third stopped first, then the first; the others later, together.
    for stopped in [2, 0] {
        for (at, one) in all.iter_mut().enumerate() {
            if at != stopped && !(stopped == 0 && at == 2) {
                one.reader.took(None);
            }
        }
        stalls.sweep(now);
        now += TICK;
    }
    for at in [1, 3] {
        all[at].reader.took(None);
    }
    let found = sweep(&stalls, &mut now, 2);
    assert_eq!((found.stalled, found.held), (2, 2 * MIB));
    let cut: Vec<_> = all.iter().map(|one| one.cut.is_aborted()).collect();
    assert_eq!(cut, [true, false, true, false]);
    let over: Vec<_> = all
        .iter()
        .map(|one| one.reader.is_over().is_some())
        .collect();
    assert_eq!(over, cut);
}

#[test]
fn the_budget_of_all_is_kept_over_accounts() {
    let (stalls, mut now) = (stalls(2 * MIB, 3 * MIB), Instant::now());
    let (first, second) = (stalls.account(1 << 20), stalls.account(1 << 20));
    let old: Vec<_> = (0..2).map(|_| exchange(&first, None)).collect();
    assert_eq!(sweep(&stalls, &mut now, 2).held, 2 * MIB);
    let young: Vec<_> = (0..2).map(|_| exchange(&second, None)).collect();
    assert_eq!(sweep(&stalls, &mut now, 2).held, 3 * MIB);
    let cut = |of: &[Exchange]| of.iter().filter(|one| one.cut.is_aborted()).count();
    assert_eq!((cut(&old), cut(&young)), (1, 0));
    drop((first, old));
    assert_eq!(sweep(&stalls, &mut now, 2).held, 2 * MIB);
}

/// Visitors slower than their agent hold a window each, for as long as they go on. However many there are, none of
/// them has stopped.
#[test]
fn readers_that_go_on_are_never_cut_however_much_they_hold_together() {
    let (stalls, mut now) = (stalls(8 * MIB, 8 * MIB), Instant::now());
    let account = stalls.account(6 << 20);
    let mut all = Vec::new();
    for _ in 0..64 {
        all.push(exchange(&account, None));
        for one in &mut all {
            one.reader.took(None);
        }
        now += TICK;
        stalls.sweep(now);
    }
    assert!(all.iter().all(|one| !one.cut.is_aborted()));
}
