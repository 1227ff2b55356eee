//! Failures on purpose: what `--simulate` asks for is done to requests on their way to the origin.
//!
//! What becomes of the n-th request follows from the seed and n alone, so that a run can be had again, as far as
//! requests come in the same order.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adit_shared::wire::head;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use tokio::time::timeout;

use crate::config::Simulate;
use crate::origin::{Next, OriginError, Upstream};

/// What simulates.
#[derive(Debug)]
pub(super) struct Simulator {
    knobs: Simulate,
    requests: AtomicU64,
    outages: AtomicU64,
}

/// What becomes of one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// How long it waits.
    pub(super) wait: Duration,
    /// Whether its response is lost.
    pub(super) loses_response: bool,
    /// What is sent to the origin once more.
    pub(super) twin: Option<Twin>,
}

impl Simulator {
    pub(super) fn new(knobs: Simulate) -> Self {
        Self {
            knobs,
            requests: AtomicU64::new(0),
            outages: AtomicU64::new(0),
        }
    }

    /// What becomes of the next request.
    pub(super) fn next(&self) -> Fate {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let chance = |what| share(self.knobs.seed, what, number);
        let delay = self.knobs.delay;
        let wait = if self.knobs.reorder {
            let longest = if delay.is_zero() { APART } else { delay };
            longest.mul_f64(chance(REORDER))
        } else {
            delay
        };
        Fate {
            wait,
            loses_response: chance(DROP) < self.knobs.drop_response,
            twin: (chance(DUPLICATE) < self.knobs.duplicate).then(Twin::default),
        }
    }

    /// After how long there is an outage, and how long it lasts; the agent is there for once to twice as long.
    pub(super) fn outage(&self) -> Option<(Duration, Duration)> {
        let lasts = self.knobs.offline?;
        let number = self.outages.fetch_add(1, Ordering::Relaxed);
        let after = lasts.mul_f64(1.0 + share(self.knobs.seed, OUTAGE, number));
        Some((after, lasts))
    }
}

/// From 0 up to 1, without it, for the `number`-th of its kind (splitmix64).
fn share(seed: u64, what: u64, number: u64) -> f64 {
    let mut mixed = seed;
    for more in [what, number] {
        mixed = mixed.wrapping_add(more).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// A request as it went to the origin, for it to go there once more. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Twin(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    head: Option<Box<head::Request>>,
    data: BytesMut,
    /// It came to its end, and was not too large.
    is_whole: bool,
    is_large: bool,
}

impl Twin {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, head: &head::Request, has_body: bool) {
        let mut seen = self.seen();
        seen.head = Some(Box::new(head.clone()));
        seen.is_whole = !has_body;
    }

    fn note(&self, frame: Option<&Frame<Bytes>>, is_end: bool) {
        let mut seen = self.seen();
        if let Some(data) = frame.and_then(Frame::data_ref) {
            seen.is_large |= seen.data.len() + data.len() > LARGEST;
            if !seen.is_large {
                seen.data.extend_from_slice(data);
            }
        }
        seen.is_whole = is_end && !seen.is_large;
    }

    /// Sends it, if it is known whole, and reads what the origin says to it.
    pub(super) async fn send(self, upstream: &Upstream) {
        let (head, data) = {
            let mut seen = self.seen();
            if !seen.is_whole {
                return;
            }
            (seen.head.take(), seen.data.split().freeze())
        };
        let Some(head) = head else { return };
        let sent = async {
            // An empty one in chunks is a body too.
            let body = (!head.end).then(|| Full::new(data));
            let mut pending = upstream.request(head, body).await?;
            loop {
                if let Next::Response(mut response) = pending.next().await? {
                    // Read, and not kept: it may be of any size.
                    while let Some(frame) = response.body.frame().await {
                        drop(frame?);
                    }
                    return Ok::<_, OriginError>(());
                }
            }
        };
        match timeout(AT_MOST, sent).await {
            Ok(Ok(())) => tracing::debug!("simulated: sent twice"),
            Ok(Err(error)) => tracing::debug!(%error, "simulated: cannot be sent twice"),
            Err(_) => tracing::debug!("simulated: no answer to what was sent twice"),
        }
    }
}

/// A body that is noted while it goes to the origin.
pub(super) struct Noted<B> {
    pub(super) body: B,
    pub(super) twin: Option<Twin>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Noted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(twin) = &self.twin
            && !matches!(frame, Some(Err(_)))
        {
            let is_end = frame.is_none() || self.body.is_end_stream();
            let frame = frame.as_ref().and_then(|frame| frame.as_ref().ok());
            twin.note(frame, is_end);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is drawn for.
const DUPLICATE: u64 = 1;
const REORDER: u64 = 2;
const DROP: u64 = 3;
const OUTAGE: u64 = 4;
/// How far apart requests may come in another order, where no delay says so.
const APART: Duration = Duration::from_secs(1);
/// The largest body that is sent twice, in bytes.
const LARGEST: usize = 1 << 20;
/// How long the second of two may take.
const AT_MOST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_follows_from_the_seed_alone() {
        let knobs = |seed| Simulate {
            duplicate: 0.3,
            drop_response: 0.1,
            reorder: true,
            seed,
            ..Simulate::default()
        };
        let run = |seed| -> Vec<_> {
            let simulator = Simulator::new(knobs(seed));
            let fates = (0..2000).map(|_| simulator.next());
            fates
                .map(|fate| (fate.wait, fate.loses_response, fate.twin.is_some()))
                .collect()
        };
        let (one, again, other) = (run(7), run(7), run(8));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let twins = one.iter().filter(|(_, _, twin)| *twin).count();
        let lost = one.iter().filter(|(_, lost, _)| *lost).count();
        assert!((540..660).contains(&twins), "{twins}");
        assert!((160..240).contains(&lost), "{lost}");
        assert!(one.iter().all(|(wait, _, _)| *wait < APART));
        assert!(one.windows(2).any(|pair| pair[0].0 > pair[1].0));
    }
}
