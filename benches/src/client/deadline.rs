//! A limit for each of many requests, one after the other, that costs next to nothing while it holds.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::failure::Failure;

/// Setting a timer for each request would cost as much as the rest of the bookkeeping. This one is
/// set again only when it rings.
#[derive(Debug)]
pub(crate) struct Deadline {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
        }
    }

    /// `work`, or [`Failure::Timeout`] when more than the limit has passed since `since`, which may
    /// advance. Drops the work then.
    pub(crate) async fn within<T>(
        &mut self,
        since: impl Fn() -> Instant,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            while self.sleep.as_mut().poll(cx).is_ready() {
                let due = since() + self.limit;
                if Instant::now() >= due {
                    return Poll::Ready(Err(Failure::Timeout));
                }
                // It rang for a request before this one.
                self.sleep.as_mut().reset(due.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_work_has_the_whole_limit() {
        let limit = Duration::from_millis(20);
        let mut deadline = Deadline::new(limit);
        for _ in 0..3 {
            let began = Instant::now();
            let never = std::future::pending::<Result<(), Failure>>();
            let end = deadline.within(|| began, never).await;
            assert_eq!(end, Err(Failure::Timeout));
            assert!(began.elapsed() >= limit);
            let at_once = std::future::ready(Ok(7));
            assert_eq!(deadline.within(Instant::now, at_once).await, Ok(7));
        }
    }
}
