//! Kept requests on their way to the agent: in the order in which they came, one after the other unless the
//! agent wants more at once.
//!
//! What could not begin at the origin holds the others up, so that their order stays. What the origin has
//! failed on steps aside, and is tried again when it is due.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use adit_shared::backoff::Backoff;
use adit_shared::body::send;
use adit_shared::task::Tasks;
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head;
use futures_util::StreamExt as _;
use futures_util::future::{join, poll_fn};
use futures_util::stream::FuturesOrdered;
use http::StatusCode;
use http_body::Body as _;
use tokio::time::{sleep, timeout};

use super::database::{self, Kept, State};
use super::letter::{Id, Letter};
use super::{Inboxes, Tray};
use crate::exchange::{self, Body, ExchangeError};
use crate::route::Route;
use crate::session::Session;

/// Brings one inbox to one session, for as long as that serves the host.
#[derive(Debug)]
pub struct Courier {
    /// Where the requests are.
    pub inboxes: Inboxes,
    /// The inbox.
    pub tray: Arc<Tray>,
    /// The host.
    pub route: Arc<Route>,
    /// Who serves it.
    pub session: Arc<Session>,
    /// The agent's number of the tunnel.
    pub tunnel: u64,
    /// When they are stopped, nothing more is begun.
    pub tasks: Tasks,
}

/// How a delivery ended.
#[derive(Debug)]
enum End {
    /// With a status of success.
    Delivered,
    /// Surely nothing of it reached the origin.
    Unbegun(String),
    /// The session was lost; the origin may have seen it.
    Lost(String),
    /// The origin has it, and did not take it.
    Failed(String),
    /// It can never be delivered.
    Useless(String),
}

/// What a round of deliveries found.
enum Round {
    /// There may be more.
    More,
    /// There is nothing until then, as far as is known.
    Empty(Option<i64>),
    /// The origin or the session takes nothing at the moment.
    Stuck,
}

impl Courier {
    /// Delivers until the session ends, serves the host no more, or the tasks are stopped.
    pub async fn run(self) {
        let done = async {
            tokio::select! {
                biased;
                () = self.tasks.stopped() => {}
                _ = self.session.closed() => {}
            }
        };
        let mut done = pin!(done);
        let _turn = tokio::select! {
            biased;
            () = &mut done => return,
            turn = self.tray.turn.lock() => turn,
        };
        let mut backoff = Backoff::new(FIRST_WAIT, LAST_WAIT);
        // The first of its delays is none.
        backoff.next_delay();
        loop {
            if self.tasks.is_stopped() || !self.route.is_served_by(self.session.id) {
                return;
            }
            let paused = self.tray.record().paused;
            let round = if paused {
                Round::Empty(None)
            } else {
                self.round(&mut backoff).await
            };
            let is_stuck = matches!(round, Round::Stuck);
            self.tray.is_stuck.store(is_stuck, Ordering::Relaxed);
            match round {
                Round::More => {}
                Round::Empty(due) => {
                    let wait = due.map_or(LONG, |due| {
                        let left = due.saturating_sub(database::now()).max(0).unsigned_abs();
                        Duration::from_millis(left + 1).min(LONG)
                    });
                    tokio::select! {
                        biased;
                        () = &mut done => return,
                        () = self.tray.changed.notified() => {}
                        () = sleep(wait) => {}
                    }
                }
                Round::Stuck => tokio::select! {
                    biased;
                    () = &mut done => return,
                    () = sleep(backoff.next_delay()) => {}
                },
            }
        }
    }

    /// Delivers what comes next.
    async fn round(&self, backoff: &mut Backoff) -> Round {
        if self.tray.count(State::Waiting) + self.tray.count(State::Aside) == 0 {
            return Round::Empty(None);
        }
        let Some(taken) = self.inboxes.take(&self.tray.host).await else {
            return Round::Stuck;
        };
        if taken.requests.is_empty() {
            return Round::Empty(taken.due);
        }
        let mut left: VecDeque<_> = taken.requests.into();
        let at_once = usize::try_from(self.tray.record().parallel).unwrap_or(1);
        let mut under_way = FuturesOrdered::new();
        let mut stuck = false;
        loop {
            while under_way.len() < at_once
                && !stuck
                && !self.tasks.is_stopped()
                && !self.tray.record().paused
                && let Some(kept) = left.pop_front()
            {
                under_way.push_back(self.one(kept));
            }
            let Some((id, attempts, end)) = under_way.next().await else {
                break;
            };
            stuck |= matches!(end, End::Unbegun(_) | End::Lost(_));
            if matches!(end, End::Delivered | End::Failed(_)) {
                backoff.reset();
                backoff.next_delay();
            }
            self.settle(id, attempts, end).await;
        }
        for kept in left {
            let unbegun = kept.attempts - 1;
            self.inboxes
                .waits(&self.tray.host, kept.id, unbegun, None)
                .await;
        }
        if stuck { Round::Stuck } else { Round::More }
    }

    async fn settle(&self, id: Id, attempts: u32, end: End) {
        let host = &self.tray.host;
        match end {
            End::Delivered => {
                tracing::debug!(%host, %id, attempts, "inbox: delivered");
                self.inboxes.delivered(host, id).await;
            }
            End::Unbegun(why) => {
                tracing::debug!(%host, %id, why, "inbox: not begun");
                self.inboxes.waits(host, id, attempts - 1, Some(why)).await;
            }
            End::Lost(why) => {
                tracing::debug!(%host, %id, attempts, why, "inbox: lost under way");
                self.inboxes.waits(host, id, attempts, Some(why)).await;
            }
            End::Failed(why) => {
                tracing::debug!(%host, %id, attempts, why, "inbox: not taken");
                self.inboxes.failed(host, id, attempts, why).await;
            }
            End::Useless(why) => self.inboxes.failed(host, id, u32::MAX, why).await,
        }
    }

    async fn one(&self, kept: Kept) -> (Id, u32, End) {
        let (id, attempts) = (kept.id, kept.attempts);
        let end = match self.inboxes.unseal(&self.tray.host, &kept) {
            Ok(letter) => match timeout(AT_MOST, self.send(&letter, id, attempts)).await {
                Ok(end) => end,
                Err(_) => End::Failed("no answer within ten minutes".into()),
            },
            Err(why) => End::Useless(why),
        };
        (id, attempts, end)
    }

    async fn send(&self, letter: &Letter, id: Id, attempt: u32) -> End {
        let head = match letter.addressed(self.tunnel, id, attempt) {
            Ok(head) => head,
            Err(error) => return End::Useless(error.to_string()),
        };
        let exchange = match self.session.open().await {
            Ok(exchange) => exchange,
            Err(error) => return End::Unbegun(error.to_string()),
        };
        let bytes = match exchange::encode(&head) {
            Ok(bytes) => bytes,
            Err(error) => return End::Useless(error.to_string()),
        };
        let (mut to, mut response) = exchange.split();
        let upload = async {
            if letter.is_bodiless() {
                let written = to.write(&mut [bytes.freeze()]).await;
                to.finish();
                return written.map_err(|error| error.to_string());
            }
            let sent = send::send(bytes, pin!(letter.contents()), &mut to).await;
            sent.map(drop).map_err(|error| error.to_string())
        };
        let answer = async {
            loop {
                let head = response.head().await?;
                if !is_interim(head.status) {
                    return Ok(head);
                }
            }
        };
        // An origin may answer before it has read all.
        let (_, answer) = join(upload, answer).await;
        match answer {
            Ok(head) => {
                let end = judge(&head);
                finish(response.body(&head, None, &letter.head.method)).await;
                end
            }
            Err(error) => end_of(&error),
        }
    }
}

/// Whether a response says that the request was taken.
pub(crate) fn is_taken(status: StatusCode) -> bool {
    status.is_success()
}

fn judge(head: &head::Response) -> End {
    if is_taken(head.status) {
        End::Delivered
    } else {
        End::Failed(format!("the origin answered {}", head.status.as_u16()))
    }
}

fn end_of(error: &ExchangeError) -> End {
    let why = error.to_string();
    match error {
        ExchangeError::Overload | ExchangeError::Reset(Reset::OriginRefused | Reset::Overload) => {
            End::Unbegun(why)
        }
        ExchangeError::Lost(_) | ExchangeError::Reset(Reset::Cancelled | Reset::Internal) => {
            End::Lost(why)
        }
        ExchangeError::HeadTooLarge(_) => End::Useless(why),
        ExchangeError::Reset(_) | ExchangeError::Protocol(_) => End::Failed(why),
    }
}

/// Reads a response that nobody waits for to its end, if that is near: an origin should not see a client
/// that leaves.
pub(crate) async fn finish(mut body: Body) {
    let rest = async {
        let mut read = 0;
        while read < UNWANTED {
            let frame = poll_fn(|cx| Pin::new(&mut body.stream).poll_frame(cx)).await;
            match frame {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, bytes::Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    };
    drop(timeout(LINGER, rest).await);
}

/// How long one delivery may take: somebody may have stopped the origin in a debugger.
const AT_MOST: Duration = Duration::from_secs(600);
/// Bytes of a response that are read although nobody wants them, and how long that may take.
const UNWANTED: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(5);
/// Waits while an origin takes nothing.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(15);
/// After this, it is looked in any case.
const LONG: Duration = Duration::from_secs(60);
