//! Requests to a host with an inbox: their bodies are read first, so that what cannot be served now, or
//! takes too long, can be kept.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::body::recv::declared_length;
use adit_shared::wire::code::Reset;
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head;
use adit_shared::wire::inbox::Causes;
use bytes::Bytes;
use http_body::Body as HttpBody;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::paced::Paced;
use super::pending::{Begun, Next, Pending};
use super::{Failure, Forward, ForwardError, NO_BODY, Outbound, Prepared};
use crate::exchange::ExchangeError;
use crate::queue::collect::{Collected, Whole};
use crate::queue::database::{self, State};
use crate::queue::letter::{Id, Letter};
use crate::queue::{Inboxes, Refusal, Tray, deliver};

/// A request that is kept unless it is served.
#[derive(Debug)]
pub(super) struct Keep {
    tray: Arc<Tray>,
    letter: Letter,
    sender: Option<IpAddr>,
    since: Instant,
    /// Its share of the memory for inboxes.
    _room: OwnedSemaphorePermit,
}

/// What a visitor is told whose request was kept.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// The number of the request.
    pub id: Id,
    /// The status that the agent has chosen.
    pub status: u16,
}

impl Forward {
    /// As [`send`](Self::send), for a host that has an inbox.
    pub(super) async fn send_or_keep<B>(
        &self,
        prepared: Prepared,
        body: B,
    ) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let Prepared {
            outbound,
            mut access,
        } = prepared;
        match self.begin_or_keep(outbound, body).await {
            Ok((begun, keep)) => {
                let mut pending = Pending::new(begun, access);
                pending.keep = keep.map(Box::new);
                Ok(pending)
            }
            Err(error) => Err(Box::new(access.fail(error))),
        }
    }

    async fn begin_or_keep<B>(
        &self,
        outbound: Box<Outbound>,
        body: B,
    ) -> Result<(Begun, Option<Keep>), ForwardError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let head = &outbound.head;
        let tray = self.inboxes.tray(&outbound.route.host);
        let tray = tray.filter(|tray| tray.wants(&head.method, head.target.path()));
        let Some(tray) = tray.filter(|_| head.protocol.is_none()) else {
            return Ok((self.send_first(outbound, body).await?, None));
        };
        let since = Instant::now();
        let received = database::now();
        let declared = if head.end {
            Some(0)
        } else {
            declared_length(&head.fields)
        };
        let (body, watched) = Paced::new(body, self.body.least, self.body.bytes, &self.metrics);
        let collected = self.inboxes.collect(body, declared).await;
        let collected = collected.map_err(|error| {
            let fault = watched.and_then(|mut fault| fault.try_recv().ok());
            tracing::debug!(id = %outbound.id, %error, "request body ended too early");
            fault.map_or_else(
                || ForwardError::from(ExchangeError::Reset(Reset::VisitorReset)),
                ForwardError::from,
            )
        })?;
        let whole = match collected {
            Collected::Whole(whole) => whole,
            // What cannot be kept may still be served.
            Collected::Passes(rest, _) if outbound.route.now().is_some() => {
                return Ok((self.send_first(outbound, rest).await?, None));
            }
            Collected::Passes(_, refusal) => return Err(refusal.into()),
        };
        if declared.is_some_and(|length| length != whole.data.len() as u64) {
            return Err(ExchangeError::Reset(Reset::VisitorReset).into());
        }
        self.serve_or_keep(outbound, tray, whole, received, since)
            .await
    }

    async fn serve_or_keep(
        &self,
        mut outbound: Box<Outbound>,
        tray: Arc<Tray>,
        whole: Whole,
        received: i64,
        since: Instant,
    ) -> Result<(Begun, Option<Keep>), ForwardError> {
        let letter = Letter {
            head: outbound.head.clone(),
            body: whole.data,
            trailers: whole.trailers,
            received,
        };
        let keep = Keep {
            tray,
            letter,
            sender: outbound.sender,
            since,
            _room: whole.room,
        };
        // What came before it goes first.
        let is_next = outbound.route.now().is_some() && keep.tray.is_soon_empty().await;
        let Some(serving) = outbound.route.now().filter(|_| is_next) else {
            return Err(keep.keep(&self.inboxes, 0).await);
        };
        // The body is there.
        outbound.expects = false;
        outbound.is_last = true;
        let begun = if keep.letter.head.end {
            self.begin(outbound, NO_BODY, None, serving).await
        } else {
            let contents = Some(keep.letter.contents());
            self.begin(outbound, contents, None, serving).await
        };
        match begun {
            Ok(begun) => Ok((begun, Some(keep))),
            Err(error) => Err(keep.instead_of(error, &self.inboxes).await),
        }
    }

    /// As [`next`](Self::next), for a request that can be kept.
    pub(super) async fn next_or_keep(&self, mut pending: Pending) -> Result<Next, Box<Failure>> {
        let Some(keep) = pending.keep.take() else {
            return Box::pin(self.next(pending)).await;
        };
        let answer = match keep.patience() {
            None => pending.head().await,
            Some(left) => match timeout(left, pending.head()).await {
                Ok(answer) => answer,
                Err(_) => return Err(self.answer_early(pending, *keep).await),
            },
        };
        match answer {
            Ok(head) if is_interim(head.status) => {
                pending.keep = Some(keep);
                pending.with(head, &self.domain)
            }
            Ok(head) if head.status.is_server_error() && keep.wants(Causes::SERVER_ERROR) => {
                tracing::debug!(
                    status = head.status.as_u16(),
                    "kept, since the origin failed"
                );
                Err(pending.fail(keep.keep(&self.inboxes, 1).await))
            }
            Ok(head) => pending.with(head, &self.domain),
            Err(error) => {
                let error = keep.instead_of(error, &self.inboxes).await;
                Err(pending.fail(error))
            }
        }
    }

    /// Keeps a request that the origin works on for longer than its sender waits. What the origin says at
    /// last decides whether it is delivered once more.
    async fn answer_early(&self, mut pending: Pending, keep: Keep) -> Box<Failure> {
        let put = self
            .inboxes
            .put(&keep.tray, &keep.letter, keep.sender, State::AtOrigin, 1);
        let id = match put.await {
            Ok(id) => id,
            Err(refusal) => return pending.fail(refusal.into()),
        };
        if let Some(counts) = self.inboxes.counts() {
            counts.late.inc();
        }
        let receipt = keep.receipt(id);
        let failure = pending.early(ForwardError::Kept(receipt));
        let inboxes = self.inboxes.clone();
        self.tasks.spawn(tracing::Span::current(), async move {
            let host = &keep.tray.host;
            let head = loop {
                match pending.head().await {
                    Ok(head) if is_interim(head.status) => {}
                    head => break head,
                }
            };
            let took = keep.since.elapsed();
            match head {
                Ok(head) if deliver::is_taken(head.status) => {
                    tracing::info!(%host, %id, status = head.status.as_u16(), ?took, "late answer");
                    inboxes.delivered(host, id).await;
                    pending.finish(&head).await;
                }
                Ok(head) => {
                    let status = head.status.as_u16();
                    tracing::info!(%host, %id, status, ?took, "late answer, not taken");
                    let why = format!("the origin answered {status}");
                    inboxes.failed(host, id, 1, why).await;
                    pending.finish(&head).await;
                }
                Err(error) => {
                    tracing::info!(%host, %id, %error, ?took, "no late answer");
                    inboxes.waits(host, id, 1, Some(error.to_string())).await;
                }
            }
        });
        failure
    }
}

impl Keep {
    /// Keeps it, tried as often as this; says what the visitor is told.
    async fn keep(self, inboxes: &Inboxes, attempts: u32) -> ForwardError {
        let (tray, letter) = (&self.tray, &self.letter);
        let put = inboxes.put(tray, letter, self.sender, State::Waiting, attempts);
        match put.await {
            Ok(id) => ForwardError::Kept(self.receipt(id)),
            Err(refusal) => refusal.into(),
        }
    }

    /// Keeps it because it could not be served, unless its agent does not want that.
    async fn instead_of(self, error: ForwardError, inboxes: &Inboxes) -> ForwardError {
        match why(&error) {
            Some((cause, attempts)) if cause.is_none_or(|cause| self.wants(cause)) => {
                tracing::debug!(%error, "kept instead");
                self.keep(inboxes, attempts).await
            }
            _ => error,
        }
    }

    fn receipt(&self, id: Id) -> Receipt {
        Receipt {
            id,
            status: self.tray.record().status,
        }
    }

    fn wants(&self, cause: Causes) -> bool {
        self.tray.record().causes.has(cause)
    }

    /// How long the visitor waits for the origin, if there is a bound.
    fn patience(&self) -> Option<Duration> {
        let bound = Duration::from_millis(self.tray.record().ack_within);
        (!bound.is_zero()).then(|| bound.saturating_sub(self.since.elapsed()))
    }
}

/// For which cause a request that failed with `error` may be kept, none when its agent is away, and how often
/// it counts as tried then; nothing when the visitor is at fault.
fn why(error: &ForwardError) -> Option<(Option<Causes>, u32)> {
    match error {
        ForwardError::Away(_) => Some((None, 0)),
        ForwardError::Exchange(error) => match error {
            ExchangeError::Overload
            | ExchangeError::Reset(Reset::OriginRefused | Reset::Overload) => {
                Some((Some(Causes::REFUSED), 0))
            }
            ExchangeError::Reset(Reset::OriginTimeout) => Some((Some(Causes::TIMEOUT), 1)),
            ExchangeError::HeadTooLarge(_)
            | ExchangeError::Reset(Reset::VisitorReset | Reset::HeadTooLarge) => None,
            ExchangeError::Lost(_) | ExchangeError::Reset(_) | ExchangeError::Protocol(_) => {
                Some((Some(Causes::RESET), 1))
            }
        },
        _ => None,
    }
}

impl From<Refusal> for ForwardError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Pending {
    /// Reads the rest of a response that nobody waits for.
    async fn finish(self, head: &head::Response) {
        let (response, method) = self.into_rest();
        deliver::finish(response.body(head, None, &method)).await;
    }
}
