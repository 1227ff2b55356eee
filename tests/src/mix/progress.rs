//! When an exchange that goes on has got on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// When something came of an exchange.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Vec<Instant>>>);

impl Progress {
    /// Something came.
    pub fn mark(&self) {
        self.0.lock().unwrap().push(Instant::now());
    }

    /// Whether anything has come.
    pub fn has_begun(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }

    /// How long after `moment` something came; `None` while nothing has.
    pub fn after(&self, moment: Instant) -> Option<Duration> {
        let marks = self.0.lock().unwrap();
        let next = marks.partition_point(|mark| *mark <= moment);
        Some(*marks.get(next)? - moment)
    }

    /// The longest time without anything.
    pub fn longest_pause(&self) -> Duration {
        let marks = self.0.lock().unwrap();
        let pauses = marks.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or_default()
    }
}
