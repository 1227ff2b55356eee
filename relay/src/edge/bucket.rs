//! What a visitor may do so often, and a little more each second.

use tokio::time::Instant;

/// How many there may be, and how fast they come back.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    most: u32,
    a_second: u32,
    /// When it was last filled up.
    since: Option<Instant>,
}

impl Bucket {
    /// For requests that are given up: each takes 2, and each request puts 1 back. A page that is left resets
    /// what it still waits for, which is a hundred at most.
    pub(super) const fn of_resets() -> Self {
        Self::new(RESETS, RESETS_A_SECOND)
    }

    /// For frames that ask for nothing: SETTINGS, PING, PRIORITY and what nobody knows. Some clients measure the
    /// way with a PING for each round trip in which data comes.
    pub(super) const fn of_controls() -> Self {
        Self::new(CONTROLS, CONTROLS_A_SECOND)
    }

    const fn new(most: u32, a_second: u32) -> Self {
        Self {
            left: most,
            most,
            a_second,
            since: None,
        }
    }

    pub(super) fn put(&mut self, some: u32) {
        self.left = self.most.min(self.left + some);
    }

    /// The clock is looked at only when nothing is left.
    pub(super) fn take(&mut self, some: u32) -> Option<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.left < some {
            let earned = since.elapsed().as_secs_f64() * f64::from(self.a_second);
            if earned >= f64::from(some) {
                self.put(earned as u32);
                self.since = Some(Instant::now());
            }
        }
        self.left = self.left.checked_sub(some)?;
        Some(())
    }
}

const RESETS: u32 = 400;
const RESETS_A_SECOND: u32 = 20;
pub(super) const CONTROLS: u32 = 2_000;
const CONTROLS_A_SECOND: u32 = 1_000;
