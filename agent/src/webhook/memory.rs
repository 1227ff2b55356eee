//! The events that have come, by their ids, and what was answered to them.
//!
//! Bounded in number and in bytes: the oldest event is forgotten first, and answers before events. What is kept
//! on disk ([`past`](super::past)) is there from the start, without answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_shared::wire::head;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::past::{Event, Past};

/// What tells an event from all others.
///
/// A hash of its id and of whose it is: the same in each run of the agent, and nothing that could be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// The event that `provider` calls `id`, of a tunnel with this label. What was verified is apart from the
    /// rest: what anybody can send must not be taken for it.
    pub fn of(tunnel: &str, provider: &str, genuine: bool, id: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in [tunnel, provider, id] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&[u8::from(genuine)]);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(key)
    }
}

/// The events that have come.
#[derive(Debug, Default)]
pub struct Memory {
    events: HashMap<Key, Known>,
    /// In the order in which they came first.
    order: VecDeque<(Instant, Key)>,
    /// Those with an answer, in the order of these.
    answered: VecDeque<Key>,
    /// Bytes of all answers.
    bytes: usize,
    /// Where they are kept across restarts.
    past: Option<Past>,
}

#[derive(Debug)]
struct Known {
    /// When it came first.
    first: SystemTime,
    /// For how long it is remembered after that.
    window: Duration,
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
    /// The events that `past` knows, the oldest first, which also learns of what comes.
    pub fn of(past: Past, events: &[Event]) -> Self {
        let (now, at) = (Instant::now(), SystemTime::now());
        let mut memory = Self::default();
        let known = events.len().min(MAX_EVENTS);
        for event in &events[events.len() - known..] {
            let age = at.duration_since(event.first).unwrap_or_default();
            // A system that started after that cannot tell how long ago it was.
            let since = now.checked_sub(age).unwrap_or(now);
            let known = Known {
                first: event.first,
                window: event.window,
                count: event.count,
                open: 0,
                answer: None,
            };
            memory.events.insert(event.key, known);
            memory.order.push_back((since, event.key));
        }
        memory.past = Some(past);
        memory
    }

    /// An event has come; to be followed by one [`end`](Self::end). It is forgotten `window` after it came
    /// first.
    pub fn begin(&mut self, key: &Key, window: Duration, now: Instant) -> Attempt {
        while let Some((since, oldest)) = self.order.front() {
            let is_old = now.duration_since(*since) >= window;
            if !is_old && (self.order.len() < MAX_EVENTS || self.events.contains_key(key)) {
                break;
            }
            let oldest = *oldest;
            self.order.pop_front();
            self.forget_answer(&oldest);
            self.events.remove(&oldest);
        }
        let order = &mut self.order;
        let known = self.events.entry(*key).or_insert_with(|| {
            order.push_back((now, *key));
            Known {
                first: SystemTime::now(),
                window,
                count: 0,
                open: 0,
                answer: None,
            }
        });
        let open = known.open > 0;
        known.count = known.count.saturating_add(1);
        known.open += 1;
        if let Some(past) = &self.past {
            past.keep(Event {
                key: *key,
                first: known.first,
                count: known.count,
                window,
            });
        }
        Attempt {
            count: known.count,
            open,
            answer: known.answer.clone(),
        }
    }

    /// An event that has come was served, with an answer that is worth keeping or without.
    pub fn end(&mut self, key: &Key, answer: Option<First>) {
        let Some(known) = self.events.get_mut(key) else {
            return;
        };
        known.open = known.open.saturating_sub(1);
        let is_first = known.answer.is_none();
        if let Some(answer) = answer.filter(|one| is_first && one.size() <= MAX_ANSWERS) {
            self.bytes += answer.size();
            self.answered.push_back(*key);
            known.answer = Some(Arc::new(answer));
        }
        while self.bytes > MAX_ANSWERS {
            let Some(oldest) = self.answered.front().copied() else {
                break;
            };
            self.forget_answer(&oldest);
        }
    }

    /// An event that has come never reached the origin: as if it had not come. To be followed by
    /// [`end`](Self::end) all the same.
    pub fn take_back(&mut self, key: &Key) {
        let Some(known) = self.events.get_mut(key) else {
            return;
        };
        known.count = known.count.saturating_sub(1);
        if let Some(past) = &self.past {
            past.keep(Event {
                key: *key,
                first: known.first,
                count: known.count,
                window: known.window,
            });
        }
    }

    fn forget_answer(&mut self, key: &Key) {
        let known = self.events.get_mut(key);
        if let Some(answer) = known.and_then(|known| known.answer.take()) {
            self.bytes -= answer.size();
            self.answered.retain(|one| one != key);
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
        Key::of("web", "github", true, &id.to_string())
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
    fn what_never_reached_the_origin_is_no_attempt() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        for count in [1, 1, 1] {
            assert_eq!(memory.begin(&key(1), WINDOW, start).count, count);
            memory.take_back(&key(1));
            memory.end(&key(1), None);
        }
        memory.begin(&key(1), WINDOW, start);
        memory.end(&key(1), None);
        assert_eq!(memory.begin(&key(1), WINDOW, start).count, 2);
        memory.take_back(&key(2));
    }

    #[test]
    fn events_are_told_apart_by_all_that_they_are() {
        let one = Key::of("web", "github", true, "1");
        assert_eq!(one, Key::of("web", "github", true, "1"));
        for other in [
            Key::of("api", "github", true, "1"),
            Key::of("web", "stripe", true, "1"),
            Key::of("web", "github", false, "1"),
            Key::of("web", "github", true, "2"),
            Key::of("webg", "ithub", true, "1"),
        ] {
            assert_ne!(one, other);
        }
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
