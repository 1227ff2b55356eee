//! The events that have come, by their ids, and what was answered to them.
//!
//! Bounded in number and in bytes: the oldest event is forgotten first, and answers before events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::wire::head;
use bytes::Bytes;

/// What tells an event from all others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// Our number of the tunnel.
    pub tunnel: u64,
    /// The name of the provider.
    pub provider: &'static str,
    /// Whether it was verified: what anybody can send must not be taken for it.
    pub genuine: bool,
    /// What the provider calls the event.
    pub id: String,
}

/// The events that have come.
#[derive(Debug, Default)]
pub struct Memory {
    events: HashMap<Arc<Key>, Known>,
    /// In the order in which they came first.
    order: VecDeque<(Instant, Arc<Key>)>,
    /// Those with an answer, in the order of these.
    answered: VecDeque<Arc<Key>>,
    /// Bytes of all answers.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Known {
    count: u32,
    /// How many of these are being served.
    open: u32,
    answer: Option<Arc<First>>,
}

/// What was answered to an event when it came first.
#[derive(Debug)]
pub struct First {
    /// The head.
    pub head: head::Response,
    /// The body.
    pub body: Bytes,
}

/// An event that has come now.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// How often, now included.
    pub count: u32,
    /// Whether it is being served already.
    pub open: bool,
    /// What was answered before.
    pub answer: Option<Arc<First>>,
}

impl Memory {
    /// An event has come; to be followed by one [`end`](Self::end). It is forgotten `window` after it came
    /// first.
    pub fn begin(&mut self, key: &Key, window: Duration, now: Instant) -> Attempt {
        while let Some((since, oldest)) = self.order.front() {
            let is_old = now.duration_since(*since) >= window;
            if !is_old && (self.order.len() < MAX_EVENTS || self.events.contains_key(key)) {
                break;
            }
            let oldest = oldest.clone();
            self.order.pop_front();
            self.forget_answer(&oldest);
            self.events.remove(&oldest);
        }
        if !self.events.contains_key(key) {
            let key = Arc::new(key.clone());
            self.order.push_back((now, key.clone()));
            self.events.insert(key, Known::default());
        }
        let Some(known) = self.events.get_mut(key) else {
            return Attempt {
                count: 1,
                open: false,
                answer: None,
            };
        };
        let open = known.open > 0;
        known.count = known.count.saturating_add(1);
        known.open += 1;
        Attempt {
            count: known.count,
            open,
            answer: known.answer.clone(),
        }
    }

    /// An event that has come was served, with an answer that is worth keeping or without.
    pub fn end(&mut self, key: &Key, answer: Option<First>) {
        let Some((kept, known)) = self.events.get_key_value(key) else {
            return;
        };
        let (kept, is_first) = (kept.clone(), known.answer.is_none());
        let answer = answer.filter(|answer| is_first && answer.size() <= MAX_ANSWERS);
        if let Some(answer) = answer {
            self.bytes += answer.size();
            self.answered.push_back(kept);
            if let Some(known) = self.events.get_mut(key) {
                known.answer = Some(Arc::new(answer));
            }
        }
        if let Some(known) = self.events.get_mut(key) {
            known.open = known.open.saturating_sub(1);
        }
        while self.bytes > MAX_ANSWERS {
            let Some(oldest) = self.answered.front().cloned() else {
                break;
            };
            self.forget_answer(&oldest);
        }
    }

    fn forget_answer(&mut self, key: &Key) {
        let known = self.events.get_mut(key);
        if let Some(answer) = known.and_then(|known| known.answer.take()) {
            self.bytes -= answer.size();
            self.answered.retain(|one| **one != *key);
        }
    }
}

impl First {
    fn size(&self) -> usize {
        let fields = self.head.fields.iter();
        let fields = fields.map(|(name, value)| name.len() + value.len());
        self.body.len() + fields.sum::<usize>()
    }
}

/// Events that are remembered, of all tunnels together.
pub const MAX_EVENTS: usize = 10_000;
/// The largest body of an answer that is kept, in bytes.
pub const MAX_ANSWER: usize = 64 << 10;
/// Bytes of all answers that are kept.
pub const MAX_ANSWERS: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use adit_shared::wire::fields::Fields;
    use http::StatusCode;

    fn key(id: usize) -> Key {
        Key {
            tunnel: 0,
            provider: "github",
            genuine: true,
            id: id.to_string(),
        }
    }

    fn answer(bytes: usize) -> Option<First> {
        Some(First {
            head: head::Response {
                status: StatusCode::OK,
                fields: Fields::new(),
                end: false,
            },
            body: Bytes::from_static(&[b'x'; MAX_ANSWER]).slice(..bytes),
        })
    }

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn attempts_are_counted_within_the_window() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        let first = memory.begin(&key(1), WINDOW, start);
        assert_eq!((first.count, first.open), (1, false));
        let second = memory.begin(&key(1), WINDOW, start);
        assert_eq!((second.count, second.open), (2, true));
        memory.end(&key(1), None);
        memory.end(&key(1), answer(3));
        memory.begin(&key(2), WINDOW, start);
        let third = memory.begin(&key(1), WINDOW, start + WINDOW / 2);
        assert_eq!((third.count, third.open), (3, false));
        assert_eq!(third.answer.unwrap().body.len(), 3);
        let late = memory.begin(&key(1), WINDOW, start + WINDOW);
        assert_eq!((late.count, late.answer.is_none()), (1, true));
        assert_eq!((memory.bytes, memory.answered.len()), (0, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for id in 0..MAX_EVENTS + 5 {
            memory.begin(&key(id), WINDOW, now);
            memory.end(&key(id), answer(MAX_ANSWER));
        }
        assert_eq!(memory.events.len(), MAX_EVENTS);
        assert_eq!(memory.order.len(), MAX_EVENTS);
        assert!(memory.bytes <= MAX_ANSWERS);
        assert_eq!(memory.answered.len(), MAX_ANSWERS / MAX_ANSWER);
        let newest = memory.begin(&key(MAX_EVENTS + 4), WINDOW, now);
        assert!(newest.answer.is_some());
        let older = memory.begin(&key(MAX_EVENTS / 2), WINDOW, now);
        assert_eq!((older.count, older.answer.is_none()), (2, true));
        assert_eq!(memory.begin(&key(0), WINDOW, now).count, 1, "forgotten");
    }
}
