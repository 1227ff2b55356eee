//! The last exchanges, and the order of their changes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::exchange::Exchange;
use super::limits::Budget;

/// Exchanges by id, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    exchanges: VecDeque<Arc<Exchange>>,
    last_id: u64,
    revision: u64,
    /// The change at which all was forgotten.
    cleared: u64,
}

/// What is let go; dropped outside of the lock.
type Gone = Vec<Arc<Exchange>>;

impl Ring {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn push(&mut self, exchange: Arc<Exchange>) {
        self.last_id = self.last_id.max(exchange.id);
        self.changed(&exchange);
        self.exchanges.push_back(exchange);
    }

    pub(super) fn changed(&mut self, exchange: &Exchange) {
        self.touch();
        exchange.set_revision(self.revision);
    }

    /// Something changed that is no exchange.
    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Exchange>> {
        let at = self
            .exchanges
            .binary_search_by_key(&id, |one| one.id)
            .ok()?;
        self.exchanges.get(at).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Exchange>> {
        self.exchanges.iter().cloned().collect()
    }

    pub(super) fn since(&self, since: u64) -> (Vec<Arc<Exchange>>, u64, bool) {
        let is_cleared = since < self.cleared;
        let since = if is_cleared { 0 } else { since };
        let new = self.exchanges.iter().filter(|one| one.revision() > since);
        let mut new: Vec<_> = new.cloned().collect();
        new.sort_by_key(|one| one.revision());
        (new, self.revision, is_cleared)
    }

    /// Lets the oldest go until there are at most `count`, within the budget.
    pub(super) fn shrink(&mut self, count: usize, budget: &Budget) -> Gone {
        let mut gone = Gone::new();
        while self.exchanges.len() > count.max(1) {
            gone.extend(self.exchanges.remove(self.least()));
        }
        gone.append(&mut self.evict(0, budget));
        gone
    }

    /// Lets the oldest that have ended go until there is room for `bytes`, or none is left.
    pub(super) fn evict(&mut self, bytes: usize, budget: &Budget) -> Gone {
        let (mut gone, mut freed) = (Gone::new(), 0);
        while budget.is_short_of(bytes.saturating_sub(freed)) && self.exchanges.len() > 1 {
            let at = self.least();
            if !self.exchanges[at].is_ended() {
                break;
            }
            let Some(one) = self.exchanges.remove(at) else {
                break;
            };
            freed += one.held();
            gone.push(one);
            if freed >= bytes && !budget.is_short_of(0) {
                break;
            }
        }
        gone
    }

    /// Which is missed least: the oldest, but what is marked or has not ended only after the others.
    fn least(&self) -> usize {
        let plain = |one: &Arc<Exchange>| one.is_ended() && !one.is_marked();
        let of = |wanted: &dyn Fn(&Arc<Exchange>) -> bool| self.exchanges.iter().position(wanted);
        of(&plain)
            .or_else(|| of(&|one| one.is_ended()))
            .unwrap_or_default()
    }

    pub(super) fn clear(&mut self) -> Gone {
        self.touch();
        self.cleared = self.revision;
        let (gone, left) = self.exchanges.drain(..).partition(|one| one.is_ended());
        self.exchanges = left;
        for one in &self.exchanges.clone() {
            self.changed(one);
        }
        gone.into()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Exchange>> {
        let at = self
            .exchanges
            .binary_search_by_key(&id, |one| one.id)
            .ok()?;
        let gone = self.exchanges.remove(at);
        // Whoever follows begins anew without it.
        self.touch();
        self.cleared = self.revision;
        for one in &self.exchanges.clone() {
            self.changed(one);
        }
        gone
    }
}
