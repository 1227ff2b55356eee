//! What readers that stopped reading hold, and a bound on it.
//!
//! A body that was handed on and not asked for more since is held up by its reader, and may fill
//! the window of its stream meanwhile. One that was asked and has nothing waits for its writer, and
//! holds nothing: an idle event stream is never counted. What has been held up for [`GRACE`] is
//! added up, per [`Account`] (one connection) and over all of them; above either budget the
//! exchange that has been held up longest is cut, until the sum is within the budget again. So the
//! bound is the budget and what came to a halt within the last `GRACE` and [`TICK`].
//!
//! Nothing here happens per piece of data but one store to memory of the exchange's own; the sums
//! are made by [`Stalls::sweep`], a few times a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::AbortHandle;

/// All accounts of one program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stalls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: Budget,
    accounts: Mutex<Vec<Weak<Account>>>,
    last: Mutex<Sweep>,
}

/// How many bytes may be held for readers that stopped reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// By one account.
    pub each: u64,
    /// By all of them.
    pub all: u64,
}

/// What a [sweep](Stalls::sweep) found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sweep {
    /// Exchanges that are held up.
    pub stalled: usize,
    /// Bytes that they may hold.
    pub held: u64,
    /// Exchanges that were cut.
    pub cut: usize,
}

impl Stalls {
    /// No account yet.
    pub fn new(budget: Budget) -> Self {
        Self(Arc::new(Inner {
            budget,
            accounts: Mutex::default(),
            last: Mutex::default(),
        }))
    }

    /// An account for a connection whose streams hold `window` bytes each at most.
    pub fn account(&self, window: u32) -> Arc<Account> {
        let account = Arc::new(Account {
            window,
            watched: Mutex::default(),
        });
        lock(&self.0.accounts).push(Arc::downgrade(&account));
        account
    }

    /// Adds up what is held, and cuts what is above the budgets. To be called every [`TICK`].
    pub fn sweep(&self, now: Instant) -> Sweep {
        let mut sweep = Sweep::default();
        let mut left = Vec::new();
        for account in self.accounts() {
            let mut held = account.held_up(now);
            let sum = held.iter().map(|stall| stall.bytes).sum();
            sweep.stalled += held.len();
            let (sum, cut) = cut_longest(&mut held, sum, self.0.budget.each, Over::Account);
            sweep.held += sum;
            sweep.cut += cut;
            left.append(&mut held);
        }
        let (sum, cut) = cut_longest(&mut left, sweep.held, self.0.budget.all, Over::All);
        sweep.held = sum;
        sweep.cut += cut;
        sweep.stalled -= sweep.cut;
        *lock(&self.0.last) = sweep;
        sweep
    }

    /// What the last sweep found.
    pub fn found(&self) -> Sweep {
        *lock(&self.0.last)
    }

    fn accounts(&self) -> Vec<Arc<Account>> {
        let mut accounts = Vec::new();
        lock(&self.0.accounts).retain(|account| {
            let account = account.upgrade();
            let is_open = account.is_some();
            accounts.extend(account);
            is_open
        });
        accounts
    }
}

/// Cuts what has been held up longest until `sum` is within `budget`. What is left stays in
/// `stalls`; says what its sum is, and how many were cut.
fn cut_longest(stalls: &mut Vec<Stall>, mut sum: u64, budget: u64, over: Over) -> (u64, usize) {
    if sum <= budget {
        return (sum, 0);
    }
    stalls.sort_unstable_by_key(|stall| stall.since);
    let longest = stalls.iter().take_while(|stall| {
        let is_over = sum > budget;
        if is_over {
            sum -= stall.bytes;
            stall.cell.cut(over);
        }
        is_over
    });
    let cut = longest.count();
    stalls.drain(..cut);
    (sum, cut)
}

/// The exchanges of one connection.
#[derive(Debug)]
pub struct Account {
    window: u32,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    exchanges: HashMap<u64, Watch>,
    next: u64,
}

#[derive(Debug)]
struct Watch {
    cell: Arc<Cell>,
    /// What the cell said when it was first seen to say so, and when that was.
    state: u64,
    since: Instant,
}

/// What one exchange says of itself.
#[derive(Debug)]
struct Cell {
    /// Above: how many pieces were handed on. Below, 32 bits: how many bytes may be held since then.
    state: AtomicU64,
    over: OnceLock<Over>,
    cut: AbortHandle,
}

impl Cell {
    fn cut(&self, over: Over) {
        // The first reason is the one that counts.
        let _ = self.over.set(over);
        self.cut.abort();
    }
}

/// What was exceeded when an exchange was cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Over {
    /// The budget of its account.
    Account,
    /// The budget of all accounts.
    All,
    /// The exchanges that its account may have.
    Room,
}

/// One that is held up.
#[derive(Debug)]
struct Stall {
    since: Instant,
    bytes: u64,
    cell: Arc<Cell>,
}

impl Account {
    /// Watches an exchange whose body has `left` bytes to come, if that is known. Over budget,
    /// `cut` is used. Nothing for a body that could never hold much.
    pub fn watch(self: &Arc<Self>, left: Option<u64>, cut: &AbortHandle) -> Option<Reader> {
        self.watch_within(self.window, left, cut)
    }

    /// As [`watch`](Self::watch), for a body of which no more than `window` bytes can be held.
    pub fn watch_within(
        self: &Arc<Self>,
        window: u32,
        left: Option<u64>,
        cut: &AbortHandle,
    ) -> Option<Reader> {
        let cost = cost(window, left);
        if cost <= SMALL {
            return None;
        }
        // Until it is asked for the first time, a body is held up too.
        let cell = Arc::new(Cell {
            state: AtomicU64::new(cost),
            over: OnceLock::new(),
            cut: cut.clone(),
        });
        let mut watched = lock(&self.watched);
        let id = watched.next;
        watched.next += 1;
        let watch = Watch {
            cell: cell.clone(),
            state: 0,
            since: Instant::now(),
        };
        watched.exchanges.insert(id, watch);
        Some(Reader {
            account: self.clone(),
            id,
            cell,
            window,
            pieces: 0,
        })
    }

    /// Cuts the one that has been held up longest, if one is: there is room for no more exchanges, and
    /// that one only takes it away.
    pub fn make_room(&self) {
        let held = self.held_up(Instant::now());
        if let Some(longest) = held.iter().min_by_key(|stall| stall.since) {
            longest.cell.cut(Over::Room);
        }
    }

    /// What has been held up for a while.
    fn held_up(&self, now: Instant) -> Vec<Stall> {
        let mut stalls = Vec::new();
        for watch in lock(&self.watched).exchanges.values_mut() {
            let state = watch.cell.state.load(Ordering::Relaxed);
            if state != watch.state {
                (watch.state, watch.since) = (state, now);
            }
            let bytes = state & HELD;
            let is_over = watch.cell.over.get().is_some();
            if bytes > 0 && !is_over && now.duration_since(watch.since) >= GRACE {
                stalls.push(Stall {
                    since: watch.since,
                    bytes,
                    cell: watch.cell.clone(),
                });
            }
        }
        stalls
    }
}

/// What an exchange may hold.
fn cost(window: u32, left: Option<u64>) -> u64 {
    let window = u64::from(window);
    left.map_or(window, |left| left.min(window))
}

/// Tells how the reader of one exchange gets on; watched until it is dropped.
#[derive(Debug)]
pub struct Reader {
    account: Arc<Account>,
    id: u64,
    cell: Arc<Cell>,
    window: u32,
    pieces: u32,
}

impl Reader {
    /// A piece was handed on; `left` bytes are to come, if that is known.
    pub fn took(&mut self, left: Option<u64>) {
        self.pieces = self.pieces.wrapping_add(1);
        let state = u64::from(self.pieces) << 32 | cost(self.window, left);
        self.cell.state.store(state, Ordering::Relaxed);
    }

    /// The reader asks for more, and there is nothing.
    pub fn waits(&mut self) {
        let state = u64::from(self.pieces) << 32;
        self.cell.state.store(state, Ordering::Relaxed);
    }

    /// What was exceeded, if it was cut because of that.
    pub fn is_over(&self) -> Option<Over> {
        self.cell.over.get().copied()
    }

    /// Who says that when this is gone.
    pub fn witness(&self) -> Witness {
        Witness(self.cell.clone())
    }
}

/// Says why an exchange was cut, however long it is over.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Cell>);

impl Witness {
    /// See [`Reader::is_over`].
    pub fn is_over(&self) -> Option<Over> {
        self.0.over.get().copied()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.account.watched).exchanges.remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader that takes nothing for this long is held up: a moment's crowd on the way to it is over
/// by then.
pub const GRACE: Duration = Duration::from_secs(1);

/// How often a [sweep](Stalls::sweep) is due.
pub const TICK: Duration = Duration::from_millis(250);

/// A body that holds no more than this is not worth the watching: its connection costs more.
const SMALL: u64 = 16 << 10;

const HELD: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests;
