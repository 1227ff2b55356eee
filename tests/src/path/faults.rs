//! How bad a way can be.

use std::fmt;
use std::time::Duration;

/// How bad a way is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// How long every datagram takes, one way.
    pub delay: Duration,
    /// The share of datagrams that get lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams that take twice the delay and another millisecond.
    pub reorder: f64,
    /// The share of datagrams that come twice, the second a millisecond late.
    pub duplicate: f64,
    /// Whether nothing at all gets through.
    pub cut: bool,
    /// Whether nothing gets through towards the relay.
    pub cut_to_relay: bool,
    /// Whether nothing gets through towards the agent.
    pub cut_to_agent: bool,
    /// How much gets through each way; all that comes when there is none.
    pub rate: Option<Rate>,
    /// The largest datagram that gets through; any size when there is none.
    pub max_datagram: Option<usize>,
    /// After how long a silence of the agent its address changes, as behind a NAT; never when there
    /// is none.
    pub forgets: Option<Duration>,
}

impl Faults {
    /// A way that is only long: half of `round_trip` each way.
    pub fn far(round_trip: Duration) -> Self {
        Self {
            delay: round_trip / 2,
            ..Self::default()
        }
    }

    /// The same, and nothing gets through.
    #[must_use]
    pub fn but_cut(self) -> Self {
        Self { cut: true, ..self }
    }

    /// This and `other` at once, on a way of this delay and rate.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let either = |one: f64, other: f64| 1.0 - (1.0 - one) * (1.0 - other);
        Self {
            loss: either(self.loss, other.loss),
            reorder: either(self.reorder, other.reorder),
            duplicate: either(self.duplicate, other.duplicate),
            cut: self.cut || other.cut,
            cut_to_relay: self.cut_to_relay || other.cut_to_relay,
            cut_to_agent: self.cut_to_agent || other.cut_to_agent,
            max_datagram: match (self.max_datagram, other.max_datagram) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            ..self
        }
    }

    /// Whether a message that needs an answer cannot have one.
    pub fn is_dark(&self) -> bool {
        self.cut || self.cut_to_relay || self.cut_to_agent
    }
}

/// Only what is bad about it.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} one way", self.delay)?;
        let shares = [
            ("lost", self.loss),
            ("late", self.reorder),
            ("twice", self.duplicate),
        ];
        for (what, share) in shares.iter().filter(|(_, share)| *share > 0.0) {
            write!(f, ", {:.1} % {what}", share * 100.0)?;
        }
        let cuts = [
            ("cut", self.cut),
            ("cut towards the relay", self.cut_to_relay),
            ("cut towards the agent", self.cut_to_agent),
        ];
        for (what, _) in cuts.iter().filter(|(_, cut)| *cut) {
            write!(f, ", {what}")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {} bit/s", rate.bits)?;
        }
        if let Some(size) = self.max_datagram {
            write!(f, ", {size} bytes at most")?;
        }
        Ok(())
    }
}

/// The bottleneck of a way.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Bits a second, headers not counted.
    pub bits: u64,
    /// Bytes that may wait for their turn; what comes on top is lost.
    pub queue: u64,
}

impl Rate {
    /// A bottleneck of `bits` a second, before which the way's own product of rate and round trip
    /// may wait.
    pub fn with_usual_queue(bits: u64, round_trip: Duration) -> Self {
        let queue = u128::from(bits) * round_trip.as_nanos() / 8_000_000_000;
        Self {
            bits,
            queue: queue as u64,
        }
    }

    pub(super) fn takes(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 8_000_000_000 / self.bits)
    }
}
