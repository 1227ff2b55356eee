//! Agents that wait until there is room for their handshake: when thousands come at once, as after a
//! restart, that costs less than to refuse them and to have them come again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Who waits, the longest first.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    queue: VecDeque<(Instant, T)>,
    most: usize,
}

impl<T> Waiting<T> {
    /// Room for `most`.
    pub(super) fn new(most: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            most,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Lets one wait from `now` on.
    ///
    /// # Errors
    ///
    /// Gives it back when there is no room.
    pub(super) fn add(&mut self, one: T, now: Instant) -> Result<(), T> {
        if self.queue.len() >= self.most {
            return Err(one);
        }
        self.queue.push_back((now, one));
        Ok(())
    }

    /// Whose turn it is; those that have waited for so long that they have given up are `gone`.
    pub(super) fn next(&mut self, now: Instant, mut gone: impl FnMut(T)) -> Option<T> {
        while let Some((since, one)) = self.queue.pop_front() {
            if now.saturating_duration_since(since) < PATIENCE {
                return Some(one);
            }
            gone(one);
        }
        None
    }
}

/// Of an agent with one attempt, less what the handshake takes.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_turns_and_those_that_gave_up_are_passed_over() {
        let now = Instant::now();
        let mut waiting = Waiting::new(2);
        waiting.add("early", now).unwrap();
        let later = now + Duration::from_secs(2);
        waiting.add("late", later).unwrap();
        assert_eq!(waiting.add("too many", later), Err("too many"));
        let mut gone = Vec::new();
        let next = waiting.next(now + PATIENCE, |one| gone.push(one));
        assert_eq!((next, gone), (Some("late"), vec!["early"]));
        assert!(waiting.is_empty());
    }
}
