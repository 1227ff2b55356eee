//! Dialling a relay that was there a moment ago and will be again.
//!
//! A packet to a relay that is just being restarted is lost without a word, and the QUIC library waits a
//! second before it sends the next, then two. So a fresh attempt begins every few tenths of a second, or more
//! rarely when it is away for long (`rest`), beside those that got no answer yet, and the first to succeed wins. A relay that is there but busy refuses at
//! once, which ends this: then there is nothing to hurry.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use adit_shared::quic::tuning::Window;
use adit_shared::task::Tasks;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::timeout;

use super::dial::{DialError, Dialled, dial};
use super::peer::Peer;
use super::rest::Rest;

/// Dials until an attempt succeeds, one fails otherwise than by silence, or some seconds have passed. Safe to
/// drop.
///
/// # Errors
///
/// [`DialError`] of the attempt that ended it, or that nobody answers.
pub(super) async fn redial(
    peer: &Peer,
    window: Window,
    tasks: &Tasks,
    rest: &mut Rest,
) -> Result<Dialled, DialError> {
    let silent = || Err(DialError::Unanswered(peer.to_string()));
    let begin = || dial(peer, window, HEAD_START, tasks);
    let steps = stream::unfold(rest, |rest| async {
        rest.step().await;
        Some(((), rest))
    });
    timeout(PATIENCE, race(begin, steps))
        .await
        .unwrap_or_else(|_| silent())
}

/// How the first of attempts ends that `begin` begins one after the other, each after one of `steps`.
async fn race<T, F: Future<Output = T>>(begin: impl Fn() -> F, steps: impl Stream<Item = ()>) -> T {
    let mut steps = pin!(steps);
    let mut alive: VecDeque<Pin<Box<F>>> = VecDeque::new();
    loop {
        // The oldest has waited for several round trips.
        if alive.len() == ABREAST {
            alive.pop_front();
        }
        alive.push_back(Box::pin(begin()));
        let ended = poll_fn(|cx| {
            let poll = |attempt: &mut Pin<Box<F>>| match attempt.as_mut().poll(cx) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => None,
            };
            let ended = alive.iter_mut().find_map(poll);
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            biased;
            ended = ended => return ended,
            _ = steps.next() => {}
        }
    }
}

/// How much earlier than TCP an attempt tries UDP: two steps, so that a relay which came back in the
/// meantime is reached over UDP by a later attempt.
const HEAD_START: Duration = Duration::from_millis(800);
/// How many attempts there are at once: each gets three steps of 200 ms at least, which is more than two round trips
/// of a satellite.
const ABREAST: usize = 4;
/// How long it goes on.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const STEP: Duration = Duration::from_millis(400);

    fn steps() -> impl Stream<Item = ()> {
        stream::repeat(()).then(|()| tokio::time::sleep(STEP))
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_begins_within_a_step_of_the_moment_when_it_can_succeed() {
        for back in [0, 50, 900, 4000] {
            let (since, back) = (Instant::now(), Duration::from_millis(back));
            let begin = || async {
                if since.elapsed() < back {
                    return pending().await;
                }
                Ok::<_, ()>(())
            };
            assert_eq!(race(begin, steps()).await, Ok(()));
            assert!(since.elapsed() <= back + STEP, "{:?}", since.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_waited_for_and_a_refusal_ends_it() {
        let begun = Cell::new(0);
        let begin = || async {
            begun.set(begun.get() + 1);
            tokio::time::sleep(STEP).await;
            Ok::<_, ()>(())
        };
        race(begin, steps()).await.unwrap();
        assert!(begun.get() <= 3, "{}", begun.get());
        let refused = || async { Err::<(), _>("busy") };
        assert_eq!(race(refused, steps()).await, Err("busy"));
    }
}
