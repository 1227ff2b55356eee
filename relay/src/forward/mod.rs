//! One request, from top to bottom: whose is it, what does the origin get to see, open an exchange,
//! send the request, take the answer. Failures are values; what a visitor sees of them is decided
//! in `edge::answer`.

mod again;
pub mod allowance;
pub mod body;
pub mod cookies;
mod error;
pub mod headers;
mod inbox;
pub mod introduction;
mod kept;
pub mod notice;
mod paced;
pub mod pending;
mod prepare;
mod share;
mod trailers;
pub mod upload;
mod visitor;
pub mod webhook;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use adit_shared::body::recv::declared_length;
use adit_shared::name::{Host, RequestId};
use adit_shared::pace::Least;
use adit_shared::stream::SendHalf;
use adit_shared::task::Tasks;
use adit_shared::wire::arrival::Arrival;
use adit_shared::wire::head;
use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use ipnet::IpNet;
use tokio::sync::Semaphore;

use self::again::Again;
use self::allowance::Allowance;
pub use self::error::ForwardError;
pub use self::inbox::Receipt;
use self::kept::Kept;
pub use self::kept::ROOM;
use self::notice::Notice;
pub use self::paced::Fault;
use self::paced::Paced;
use self::pending::Begun;
pub use self::pending::{Next, Pending, Raw};
use self::prepare::Outbound;
pub use self::prepare::{HeadLimit, Inbound, Prepared};
use self::trailers::Trimmed;
use self::upload::Upload;
pub use self::visitor::Visitor;
use self::webhook::Webhooks;
use crate::exchange::{self, Exchange, ExchangeError};
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::mirror::copy::{Copying, Noted};
use crate::queue::Inboxes;
use crate::route::{Routes, Serving};

/// What forwarding needs to know.
#[derive(Debug)]
pub struct Forward {
    /// Who serves what.
    pub routes: Routes,
    /// Where uploads run.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Names are labels in front of it.
    pub domain: Host,
    /// What browsers see first, if anything.
    pub notice: Option<Arc<Notice>>,
    /// Visitors whose own `X-Forwarded-*` and `Forwarded` are kept.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest head that is taken from a visitor.
    pub head: HeadLimit,
    /// What a request's body is held to.
    pub body: BodyLimit,
    /// Requests in flight on all shards.
    pub allowance: Arc<Allowance>,
    /// Requests in flight of one tunnel.
    pub per_tunnel: usize,
    /// One permit for each byte of requests that is kept to be sent once more.
    pub kept: Arc<Semaphore>,
    /// What is kept for agents that are away.
    pub inboxes: Inboxes,
    /// Who gets copies.
    pub mirrors: Mirrors,
    /// Which webhooks must be genuine, if any.
    pub webhooks: Option<Arc<Webhooks>>,
}

/// Bounds of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// Its bytes.
    pub bytes: u64,
    /// How fast it must come.
    pub least: Least,
}

impl Forward {
    /// Sends a request on its way. The answer comes from [`next`](Self::next).
    ///
    /// Safe to drop: the exchange is cancelled. So is dropping what it returns.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub async fn send<B>(&self, prepared: Prepared, body: B) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let (route, head) = (&prepared.outbound.route, &prepared.outbound.head);
        if let Some(webhooks) = &self.webhooks
            && let Some(table) = webhooks.about(&route.host, &self.domain, head.target.path())
        {
            return Box::pin(self.send_judged(prepared, body, webhooks, table)).await;
        }
        if route.has_mirrors()
            && let Some(copy) = self.mirrors.copy(route, head, &self.metrics)
        {
            return Box::pin(self.send_and_copy(prepared, body, copy)).await;
        }
        self.send_alone(prepared, body).await
    }

    /// As [`send`](Self::send), for a request that mirrors get too.
    async fn send_and_copy<B>(
        &self,
        prepared: Prepared,
        body: B,
        copy: Box<Copying>,
    ) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        if !prepared.outbound.head.end {
            let body = Noted::new(Trimmed(body), copy);
            return self.send_alone(prepared, body).await;
        }
        let sent = self.send_alone(prepared, body).await;
        if sent.is_ok() {
            copy.send();
        }
        sent
    }

    /// Sends a request to whoever serves its host, or keeps it.
    async fn send_alone<B>(&self, prepared: Prepared, body: B) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        if prepared.outbound.route.has_inbox() {
            return Box::pin(self.send_or_keep(prepared, body)).await;
        }
        let Prepared {
            outbound,
            mut access,
        } = prepared;
        match self.send_first(outbound, Trimmed(body)).await {
            Ok(begun) => Ok(Pending::new(begun, access)),
            Err(error) => Err(Box::new(access.fail(error))),
        }
    }

    /// Waits for the next head of the answer. A request whose session was lost may be sent once more
    /// meanwhile. Safe to drop: the exchange is cancelled.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the request's id.
    pub async fn next(&self, mut pending: Pending) -> Result<Next, Box<Failure>> {
        if pending.keep.is_some() {
            return Box::pin(self.next_or_keep(pending)).await;
        }
        loop {
            match pending.head().await {
                Ok(head) => return pending.with(head, &self.domain),
                Err(ForwardError::Exchange(error)) => {
                    match Box::pin(self.again(&mut pending, error)).await {
                        // Rare: not a part of the future of every request.
                        Ok(()) => {}
                        Err(error) => return Err(pending.fail(error)),
                    }
                }
                Err(error) => return Err(pending.fail(error)),
            }
        }
    }

    /// Sends the request to whoever serves the host now.
    async fn send_first<B>(
        &self,
        mut outbound: Box<Outbound>,
        body: B,
    ) -> Result<Begun, ForwardError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let weight = || outbound.weight();
        let serving = self.routes.serving(&outbound.route, weight).await?;
        let head = &outbound.head;
        if head.end || head.protocol.is_some() {
            return self.begin(outbound, NO_BODY, None, serving).await;
        }
        let least = if is_call(head) {
            Least::NOTHING
        } else {
            self.body.least
        };
        let (body, watched) = Paced::new(body, least, self.body.bytes, &self.metrics);
        outbound.watched = watched;
        let head = &outbound.head;
        // A visitor that waits to be asked for its body may never be.
        let declared = declared_length(&head.fields).filter(|_| !outbound.expects);
        match declared {
            None => self.begin(outbound, Some(body), None, serving).await,
            Some(length) => match Kept::new(body, length, &self.kept) {
                Ok(kept) => {
                    let body = Some(kept.again());
                    self.begin(outbound, body, Some(kept), serving).await
                }
                Err(body) => self.begin(outbound, Some(body), None, serving).await,
            },
        }
    }

    /// Opens an exchange with `serving`, or with who serves the host next if that is gone, and sends the
    /// request on it. `kept` is the body once more, if there is one that can be sent once more.
    async fn begin<B>(
        &self,
        mut outbound: Box<Outbound>,
        body: Option<B>,
        kept: Option<Kept>,
        mut serving: Serving,
    ) -> Result<Begun, ForwardError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Display + Send,
    {
        let mut lost = None;
        let (bytes, send, response) = loop {
            match self.open(&mut outbound, &serving).await {
                // No whole head was sent: whoever serves the host next may have it, and if that is lost as
                // well, the next after it, for as long as requests wait.
                Err(ExchangeError::Lost(_)) => {
                    let since = *lost.get_or_insert_with(Instant::now);
                    let (gone, weight) = (serving.session.id, outbound.weight());
                    let next = self.routes.next(&outbound.route, gone, weight, since);
                    serving = next.await?;
                }
                opened => break opened?,
            }
        };
        let mut begun = Begun {
            response,
            upload: None,
            send: None,
            method: outbound.head.method.clone(),
            again: None,
            fault: None,
        };
        let may_again = body.is_none() || kept.is_some();
        if let Some(body) = body {
            // What is left of the head leaves together with the first of the body.
            let (id, expects) = (outbound.id.clone(), outbound.expects);
            begun.fault = outbound.watched.take();
            let upload = upload::Start {
                id,
                head: bytes,
                send,
                wait: expects,
                // One that is all here, or kept, holds nothing else.
                window: begun.fault.is_some().then_some(outbound.window),
            };
            begun.upload = Some(upload.begin(self, body, begun.response.slot()));
        } else if outbound.head.protocol.is_some() {
            begun.send = Some(send);
        }
        if may_again && !outbound.is_last {
            let session = serving.session.id;
            begun.again = Some(Box::new(Again {
                outbound,
                kept,
                session,
            }));
        }
        Ok(begun)
    }

    /// Opens an exchange with `serving`. A head that does not wait for a body is sent; otherwise it is
    /// returned.
    async fn open(
        &self,
        outbound: &mut Outbound,
        serving: &Serving,
    ) -> Result<(BytesMut, SendHalf, exchange::Response), ExchangeError> {
        let exchange: Exchange = serving.session.open().await?;
        let head = &mut outbound.head;
        head.arrival = serving.session.tells().then(|| Arrival {
            version: outbound.version,
            waited: outbound.since.elapsed(),
        });
        head.tunnel = serving.tunnel;
        let mut bytes = exchange::encode(head)?;
        let (mut send, response) = exchange.split();
        if head.end || head.protocol.is_some() || outbound.expects {
            let mut whole = [bytes.split().freeze()];
            send.write(&mut whole).await?;
        }
        if head.end {
            send.finish();
        }
        Ok((bytes, send, response))
    }
}

/// Whether messages may come whenever they like: a call of gRPC, or a stream of Connect, is one request for as
/// long as it lasts.
fn is_call(head: &head::Request) -> bool {
    let types = head.fields.get("content-type");
    types.is_some_and(|value| {
        value.starts_with(b"application/grpc") || value.starts_with(b"application/connect+")
    })
}

/// For a request without a body.
const NO_BODY: Option<Kept> = None;

/// A request that got no response from the origin.
#[derive(Debug)]
pub struct Failure {
    /// The request's id.
    pub id: RequestId,
    /// Why.
    pub error: ForwardError,
    /// When the request came, for the log.
    pub since: Instant,
}
