//! Copies on their way to one agent.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::body::send;
use adit_shared::task::Tasks;
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head;
use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Copied;
use crate::exchange::{self, ExchangeError};
use crate::metrics::Metrics;
use crate::queue::deliver::finish;
use crate::session::Session;

/// Brings copies to one session.
pub(super) struct Courier {
    pub(super) session: Arc<Session>,
    pub(super) tunnel: u64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: Tasks,
}

impl Courier {
    /// Sends what comes from `todo` until its other end or the session ends, or the tasks are stopped. A few at
    /// once, so that one that stands at a breakpoint does not stop the others.
    pub(super) async fn run(self, mut todo: mpsc::Receiver<Arc<Copied>>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let has_room = under_way.len() < AT_ONCE;
            tokio::select! {
                biased;
                () = self.tasks.stopped() => break,
                _ = self.session.closed() => break,
                copied = todo.recv(), if has_room => match copied {
                    Some(copied) => under_way.push(self.one(copied)),
                    None => break,
                },
                Some(()) = under_way.next() => {}
            }
        }
        // What is not delivered now never is.
        let left = under_way.len() + todo.len();
        self.metrics.mirror_dropped.add(left as u64);
    }

    async fn one(&self, copied: Arc<Copied>) {
        let sent = timeout(AT_MOST, self.send(&copied)).await;
        match sent {
            Ok(Ok(())) => self.metrics.mirrored.inc(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a copy was not delivered");
                self.metrics.mirror_dropped.inc();
            }
            Err(_) => self.metrics.mirror_dropped.inc(),
        }
    }

    /// Sends a copy, and forgets the answer.
    async fn send(&self, copied: &Copied) -> Result<(), ExchangeError> {
        let letter = &copied.letter;
        let head = head::Request {
            tunnel: self.tunnel,
            arrival: None,
            ..letter.head.clone()
        };
        let bytes = exchange::encode(&head)?;
        let (mut to, mut response) = self.session.open().await?.split();
        let upload = async {
            if head.end {
                let written = to.write(&mut [bytes.freeze()]).await;
                to.finish();
                return written.is_ok();
            }
            send::send(bytes, pin!(letter.contents()), &mut to)
                .await
                .is_ok()
        };
        let answer = async {
            loop {
                let head = response.head().await?;
                if !is_interim(head.status) {
                    return Ok::<_, ExchangeError>(head);
                }
            }
        };
        // An origin may answer before it has read all.
        let (_, answer) = join(upload, answer).await;
        let answer = answer?;
        finish(response.body(&answer, None, &head.method)).await;
        Ok(())
    }
}

/// Copies under way to one mirror.
const AT_ONCE: usize = 16;
/// How long one may take: somebody may look at it in a debugger.
const AT_MOST: Duration = Duration::from_secs(60);
