//! How much a task does before others have their turn: the runtime's budget of a task, spent by what was moved.
//!
//! By itself a call on a socket spends a unit of it, however many bytes it moves, and a QUIC stream spends nothing.
//! So a task that is fed as fast as it works would have the thread for a window's worth of bytes, or of frames that
//! have nothing in them, and a hundred such tasks would keep everybody else waiting for a hundred windows.

use std::task::{Context, Poll, Waker};

use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// Begins the next piece of work; pending when the turn is over.
pub fn poll_begin(cx: &mut Context<'_>) -> Poll<()> {
    poll_proceed(cx).map(|spent| spent.made_progress())
}

/// So many bytes were moved. What the turn has no room for is forgiven: the next piece of work has to wait.
pub fn spend(bytes: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..bytes / UNIT {
        if !has_budget_remaining() || poll_begin(&mut cx).is_pending() {
            return;
        }
    }
}

/// Bytes for a unit: a turn has 128 of them.
const UNIT: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// How often `work` can be done in one turn.
    async fn in_one_turn(work: impl Fn()) -> usize {
        tokio::task::yield_now().await;
        poll_fn(|cx| {
            let mut done = 0;
            while poll_begin(cx).is_ready() && done < 10_000 {
                work();
                done += 1;
            }
            Poll::Ready(done)
        })
        .await
    }

    #[tokio::test]
    async fn a_turn_is_128_pieces_or_about_as_many_kib() {
        assert_eq!(in_one_turn(|| ()).await, 128);
        assert_eq!(in_one_turn(|| spend(1023)).await, 128);
        assert_eq!(in_one_turn(|| spend(7 << 10)).await, 16);
        assert_eq!(in_one_turn(|| spend(1 << 20)).await, 1);
    }
}
