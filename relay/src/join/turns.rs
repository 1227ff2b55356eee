//! How fast the messages of one agent are read. Each is work for the relay: a claim is a write to the disk, a ping
//! an answer. Those that come faster wait in the window of the control stream, and then at the agent.

use adit_shared::control::{ControlError, Receiver};
use adit_shared::wire::control::Message;
use tokio::time::{Duration, Instant, sleep};

use crate::addresses::rate::Rate;
use crate::metrics::Metrics;

/// The turns of one agent.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    /// Messages a second, 0 for no bound.
    a_second: usize,
    rate: Rate,
    start: Instant,
    /// What was read before its turn.
    held: Option<Message>,
    metrics: &'a Metrics,
}

impl<'a> Turns<'a> {
    /// So many messages a second, and ten seconds' worth of them at once.
    pub(super) fn new(a_second: usize, metrics: &'a Metrics) -> Self {
        Self {
            a_second,
            rate: Rate::default(),
            start: Instant::now(),
            held: None,
            metrics,
        }
    }

    /// The next message, when it is its turn. Safe to drop.
    ///
    /// # Errors
    ///
    /// As [`Receiver::next`].
    pub(super) async fn next(
        &mut self,
        receiver: &mut Receiver,
    ) -> Result<Option<Message>, ControlError> {
        if self.held.is_none() {
            self.held = receiver.next().await?;
            if self.held.is_none() || self.is_free() {
                return Ok(self.held.take());
            }
            self.metrics.limited("messages-per-agent");
        }
        while !self.is_free() {
            let most = u32::try_from(self.a_second).unwrap_or(u32::MAX);
            sleep(Duration::from_secs(1) / most).await;
        }
        Ok(self.held.take())
    }

    fn is_free(&self) -> bool {
        let now = self.start.elapsed().as_nanos() as u64;
        let burst = self.a_second.saturating_mul(BURST);
        self.rate.allows(now, self.a_second, burst)
    }
}

/// Seconds' worth that may come at once: an agent that comes back claims all that it serves.
const BURST: usize = 10;
