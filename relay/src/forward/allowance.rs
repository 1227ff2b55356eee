//! How many requests may be in flight on all shards together.
//!
//! Each shard keeps a few of them at hand, so that requests write nothing that shards share. So at the bound
//! a shard may refuse while others have some to spare, and there are never more than the bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one shard may take. [`Allowance::apart`] makes that of another.
#[derive(Debug)]
pub struct Allowance {
    /// What no shard has.
    left: Arc<AtomicUsize>,
    /// What this shard has at hand.
    here: AtomicUsize,
}

impl Allowance {
    /// Of `most` in all.
    pub fn new(most: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(most)),
            here: AtomicUsize::new(0),
        }
    }

    /// That of another shard.
    pub fn apart(&self) -> Self {
        Self {
            left: self.left.clone(),
            here: AtomicUsize::new(0),
        }
    }

    /// Takes one, to be [given back](Self::give); false when there is none.
    pub fn take(&self) -> bool {
        let one_less = |here: usize| here.checked_sub(1);
        if update(&self.here, one_less).is_ok() {
            return true;
        }
        let fewer = |left: usize| (left > 0).then(|| left.saturating_sub(BATCH));
        match update(&self.left, fewer) {
            Ok(left) => {
                self.here.fetch_add(left.min(BATCH) - 1, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives one back that was taken.
    pub fn give(&self) {
        let here = self.here.fetch_add(1, Ordering::Relaxed) + 1;
        let fewer = |here: usize| here.checked_sub(BATCH);
        if here >= 2 * BATCH && update(&self.here, fewer).is_ok() {
            self.left.fetch_add(BATCH, Ordering::Relaxed);
        }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.left.fetch_add(*self.here.get_mut(), Ordering::Relaxed);
    }
}

fn update(of: &AtomicUsize, how: impl Fn(usize) -> Option<usize>) -> Result<usize, usize> {
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, how)
}

/// How many a shard takes at a time.
const BATCH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_together_have_no_more_than_there_are() {
        let one = Allowance::new(100);
        let other = one.apart();
        let take = |from: &Allowance| (0..1000).take_while(|_| from.take()).count();
        assert_eq!(take(&one), 100);
        assert!(!other.take());
        (0..100).for_each(|_| one.give());
        let there = take(&other);
        // What one keeps at hand is all that is missing.
        assert!((100 - 2 * BATCH..=100).contains(&there), "{there}");
        assert_eq!(there + take(&one), 100);
    }

    #[test]
    fn what_a_shard_has_at_hand_comes_back_with_its_end() {
        let one = Allowance::new(10);
        let other = one.apart();
        assert!(other.take());
        other.give();
        assert!(!one.take());
        drop(other);
        assert_eq!((0..100).take_while(|_| one.take()).count(), 10);
    }
}
