//! Webhooks that must be genuine: their bodies are read first, and what is not genuine reaches neither an agent nor
//! an inbox.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use adit_shared::body::ahead::Ahead;
use adit_shared::body::recv::declared_length;
use adit_shared::name::Host;
use adit_shared::webhook::fetch::{Fetch, Way};
use adit_shared::webhook::judge::{VERIFIED, is_ruled, judge, signer, url, wanted};
use adit_shared::webhook::{Message, Unverified};
use adit_shared::wire::code::Reset;
use adit_shared::wire::fields::FieldsMut;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::paced::{Fault, Paced};
use super::pending::Pending;
use super::{Failure, Forward, ForwardError, Outbound, Prepared};
use crate::config;
use crate::exchange::ExchangeError;

/// What must be genuine, and what it takes to find that out. Of all shards.
#[derive(Debug)]
pub struct Webhooks {
    tables: Vec<config::Webhooks>,
    /// One permit for each [`UNIT`] of bodies that are read.
    room: Arc<Semaphore>,
    fetch: Fetch,
}

impl Webhooks {
    /// Nothing when nothing must be genuine.
    pub fn new(tables: Vec<config::Webhooks>, way: Way) -> Option<Arc<Self>> {
        (!tables.is_empty()).then(|| {
            Arc::new(Self {
                tables,
                room: Arc::new(Semaphore::new(ROOM / UNIT)),
                fetch: Fetch::new(way),
            })
        })
    }

    /// The first table that is about `host` and `path`.
    pub(super) fn about(
        &self,
        host: &Host,
        domain: &Host,
        path: &str,
    ) -> Option<&config::Webhooks> {
        let host = host.as_str();
        let name = host.strip_suffix(domain.as_str());
        let name = name.and_then(|name| name.strip_suffix('.'));
        self.tables.iter().find(|table| {
            let is_host = table.hosts.matches(host);
            let is_meant = is_host || name.is_some_and(|name| table.hosts.matches(name));
            is_meant && is_ruled(&table.rules, path)
        })
    }
}

/// The body of a request that was looked at.
pub(super) type Read = UnsyncBoxBody<Bytes, Broken>;

impl Forward {
    /// As [`send`](Self::send), for a request that rules of `webhooks` are about: those of `table`. Safe to drop.
    pub(super) async fn send_judged<B>(
        &self,
        mut prepared: Prepared,
        body: B,
        webhooks: &Webhooks,
        table: &config::Webhooks,
    ) -> Result<Pending, Box<Failure>>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let judged = self.judged(&mut prepared.outbound, body, webhooks, table);
        let body = match judged.await {
            Ok(body) => body,
            Err(error) => return Err(Box::new(prepared.access.fail(error))),
        };
        let (route, head) = (&prepared.outbound.route, &prepared.outbound.head);
        if route.has_mirrors()
            && let Some(copy) = self.mirrors.copy(route, head, &self.metrics)
        {
            return self.send_and_copy(prepared, body, copy).await;
        }
        self.send_alone(prepared, body).await
    }

    /// Reads the body, as much as is looked at, and tells the origin whose it is. What is returned is the whole
    /// body once more.
    async fn judged<B>(
        &self,
        outbound: &mut Outbound,
        body: B,
        webhooks: &Webhooks,
        table: &config::Webhooks,
    ) -> Result<Read, ForwardError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Display + Send,
    {
        let head = &outbound.head;
        let has_body = !head.end && head.protocol.is_none();
        let declared = declared_length(&head.fields);
        let (ahead, room) = if has_body {
            let bytes = declared.map_or(table.limit, |all| all.min(table.limit as u64) as usize);
            let units = bytes.div_ceil(UNIT) as u32;
            let room = webhooks.room.clone().acquire_many_owned(units);
            let Ok(Ok(room)) = timeout(PATIENCE, room).await else {
                return Err(ForwardError::Crowded);
            };
            let (body, watched) = Paced::new(body, self.body.least, self.body.bytes, &self.metrics);
            // The visitor is asked for it.
            outbound.expects = false;
            let ahead = match timeout(PATIENCE, Ahead::read(body, table.limit)).await {
                Ok(Ok(ahead)) => ahead,
                Ok(Err(error)) => {
                    tracing::debug!(id = %outbound.id, %error, "request body ended too early");
                    let fault = watched.and_then(|mut fault| fault.try_recv().ok());
                    return Err(fault.map_or_else(
                        || ExchangeError::Reset(Reset::VisitorReset).into(),
                        ForwardError::from,
                    ));
                }
                Err(_) => return Err(Fault::Late.into()),
            };
            (ahead, Some(room))
        } else {
            (Ahead::none(), None)
        };
        let is_cut = |all| ahead.is_whole() && has_body && all != ahead.data().len() as u64;
        if declared.is_some_and(is_cut) {
            return Err(ExchangeError::Reset(Reset::VisitorReset).into());
        }
        self.look(outbound, ahead.data(), ahead.is_whole(), webhooks, table)
            .await?;
        let body = Held { ahead, _room: room };
        Ok(body
            .map_err(|error| Broken(error.to_string()))
            .boxed_unsync())
    }

    async fn look(
        &self,
        outbound: &mut Outbound,
        data: &[u8],
        whole: bool,
        webhooks: &Webhooks,
        table: &config::Webhooks,
    ) -> Result<(), ForwardError> {
        let head = &outbound.head;
        let (url, path) = (url(head), head.target.path());
        let data = if whole { data } else { b"" };
        let message = || Message::new(head.method.as_str(), &url, &head.fields, data);
        let wanted = wanted(&table.rules, path, &message());
        let certificate = match wanted {
            Some(url) => webhooks.fetch.certificate(&url).await,
            None => None,
        };
        let mut message = message();
        message.certificate = certificate;
        let judged = judge(&table.rules, path, &message, whole, SystemTime::now());
        if judged.refused {
            // What a provider asks without a signature before it sends events is answered here.
            if let Some(answer) = judged.challenge {
                return Err(ForwardError::Challenge(Box::new(answer)));
            }
            let why = judged.verdict.and_then(Result::err);
            return Err(why.unwrap_or(Unverified::Unsigned).into());
        }
        let Some(Ok(provider)) = judged.verdict else {
            return Ok(());
        };
        let (event, id) = (provider.event(&message), provider.id(&message));
        let value = signer(provider.name, event.as_deref(), id.as_deref());
        let mut fields = FieldsMut::from(&head.fields);
        fields.push(VERIFIED.as_bytes(), value.as_bytes())?;
        outbound.head.fields = fields.take();
        Ok(())
    }
}

/// A body, and its share of the room.
struct Held<B> {
    ahead: Ahead<B>,
    _room: Option<OwnedSemaphorePermit>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.ahead).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.ahead.size_hint()
    }
}

/// Why a body ended.
#[derive(Debug)]
pub(super) struct Broken(String);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes of webhooks that are read at a time, of all tunnels together.
const ROOM: usize = 64 << 20;
/// In bytes.
const UNIT: usize = 1 << 10;
/// How long a body may take, and how long it may wait for room.
const PATIENCE: Duration = Duration::from_secs(30);
