//! Visitors that speak HTTP/1.1: a server of our own, since every request passes here, and a library's is
//! laxer and costs twice as much.
//!
//! - [`head`] and [`target`]: requests as text;
//! - `reader`, `incoming`: the reading half of a connection, and bodies from it;
//! - `outgoing`: responses as text;
//! - `patience`: how long is waited;
//! - `connection`: both halves together.
//!
//! A connection is one task and serves one request at a time. What could be read in two ways is refused
//! (RFC 9112), and nothing behind it is read. A response that is cut ends its connection: there is no other
//! way to say so.

mod connection;
pub mod head;
mod incoming;
mod outgoing;
mod patience;
mod reader;
pub mod target;

use std::mem::MaybeUninit;
use std::pin::pin;
use std::time::Duration;

use adit_shared::http1::section;
use adit_shared::pump::{SocketSink, SocketSource, pump};
use adit_shared::wire::arrival::Version;
use bytes::{Buf as _, BytesMut};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use self::connection::{Came, Connection};
pub use self::head::BadRequest;
use self::head::{Framing, Head, Manners, Room};
use self::incoming::Incoming;
use self::outgoing::{Cut, Fate, Outgoing, put_head};
use self::patience::Patience;
use self::reader::Rest;
use super::answer::Form;
use super::serve::{Body, Reply, Service};
use crate::forward::{Failure, ForwardError, Inbound, Next, Prepared, Raw, Visitor};

/// What a connection runs on.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Lets the connection end in a way that cannot pass for a proper end, when it is dropped.
    fn reset(&self);
}

impl Transport for TcpStream {
    fn reset(&self) {
        // It fails only when the connection has ended.
        drop(self.set_zero_linger());
    }
}

impl Transport for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// Serves one connection, of which `early` was read already, until it ends, or until the service's tasks
/// are stopped and the request in flight has ended. A connection that has asked for nothing yet by then may
/// do so once: its visitor may just have been let in. Dropping it closes the connection, and cancels its exchange.
pub async fn serve<T: Transport>(io: T, early: BytesMut, service: &Service, visitor: &Visitor) {
    let mut connection = Connection::new(io, early, service.patience.download);
    let mut patience = Patience::new(service.patience.head);
    let mut stop = Some(pin!(service.tasks.stopped()));
    let alternative = service.alternative(visitor);
    let mut is_first = true;
    let mut seen = 0;
    // A head that has begun must come soon, and the first one; the next ones may take their time.
    let mut is_due = true;
    loop {
        let request = match take(&mut connection, &mut seen, service, visitor) {
            Ok(Some(request)) => request,
            Ok(None) => {
                let has_begun = connection.read().is_some_and(|read| !read.is_empty());
                if has_begun && !is_due {
                    patience.begin(service.patience.head);
                    is_due = true;
                }
                match connection.fill(&mut patience, stop.as_mut()).await {
                    Came::Bytes => continue,
                    Came::Stop if is_first => {
                        stop = None;
                        patience.begin(FIRST);
                        is_due = false;
                        continue;
                    }
                    Came::Late if has_begun => {
                        return Box::pin(refuse(connection, BadRequest::Late, service)).await;
                    }
                    Came::Late if is_first && stop.is_some() => {
                        return service.metrics.limited("head-timeout");
                    }
                    // One that asks nothing more has ended as it should.
                    Came::Late | Came::Stop | Came::End => return,
                }
            }
            Err(error) => return Box::pin(refuse(connection, error, service)).await,
        };
        // Boxed, so that a connection that waits keeps no memory for it.
        match Box::pin(exchange(&mut connection, request, service, alternative)).await {
            End::Again => {}
            End::Close => return Box::pin(connection.close()).await,
            End::Cut { error, reset } => {
                tracing::debug!(side = "visitor", %error, "connection cut");
                let is_slow = matches!(error, Cut::Slow);
                if is_slow {
                    service.metrics.limited("download-timeout");
                }
                // The system would go on with what it has of a slow one.
                if reset || is_slow {
                    Box::pin(connection.reset()).await;
                }
                return;
            }
            End::Switch(raw) => return Box::pin(switch(connection, *raw)).await,
        }
        patience.begin(service.patience.idle);
        (is_first, is_due) = (false, false);
    }
}

/// A request that was read.
struct Request {
    /// What goes to the origin, or why nothing does.
    prepared: Result<Prepared, Reply>,
    form: Form,
    framing: Framing,
    manners: Manners,
    protocol: Option<HeaderValue>,
}

/// How a request ended.
enum End {
    /// Another one may follow.
    Again,
    /// It was the last.
    Close,
    /// Its response was cut.
    Cut {
        error: Cut,
        /// Without more it would look whole.
        reset: bool,
    },
    /// Raw bytes follow.
    Switch(Box<Raw>),
}

/// Takes the next request out of what was read; nothing when more is needed. `seen` is how much was looked
/// at before.
fn take<T: Transport>(
    connection: &mut Connection<T>,
    seen: &mut usize,
    service: &Service,
    visitor: &Visitor,
) -> Result<Option<Request>, BadRequest> {
    let Some(read) = connection.read() else {
        return Ok(None);
    };
    // Empty lines before a request are some old programs' (RFC 9112 section 2.2).
    while read.starts_with(b"\r\n") {
        read.advance(2);
        *seen = 0;
    }
    if read.is_empty() {
        return Ok(None);
    }
    let is_too_large = read.len() > service.forward.head.bytes + MARKS;
    // What was not whole is parsed again only when it is.
    if *seen > 0 && !is_too_large && section::end(read, seen).is_none() {
        return Ok(None);
    }
    let mut room: Room<'_> = [const { MaybeUninit::uninit() }; head::MAX_FIELDS];
    match head::parse(read, &mut room)? {
        Some((head, len)) => {
            let request = request(head, service, visitor);
            *seen = 0;
            read.advance(len);
            Ok(Some(request))
        }
        None if is_too_large => Err(BadRequest::TooLarge),
        None => {
            // The line end that may have come counts once more.
            *seen = read.len().saturating_sub(3).max(1);
            Ok(None)
        }
    }
}

fn request(head: Head<'_>, service: &Service, visitor: &Visitor) -> Request {
    let fields = head.fields.iter();
    let fields = fields.map(|field| (field.name.as_bytes(), field.value));
    let accept = fields
        .clone()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
    let form = Form::preferred(accept.map(|(_, value)| value));
    let inbound = Inbound {
        method: head.method,
        target: head.target.path,
        authority: head.target.authority,
        is_http1: true,
        version: Version::Http1,
        options: head.options,
        fields,
        protocol: head.protocol.clone(),
        expects: head.manners.expects,
        end: head.framing == Framing::Length(0),
        window: INTAKE,
    };
    let mut manners = head.manners;
    let prepared = service.forward.prepare(visitor, inbound);
    let prepared = prepared.map_err(|failure| {
        manners.keep_alive &= !failure.error.is_malformed();
        service.answer(&failure, form)
    });
    Request {
        prepared,
        form,
        framing: head.framing,
        manners,
        protocol: head.protocol,
    }
}

/// Forwards a request, and sends what comes back.
async fn exchange<T: Transport>(
    connection: &mut Connection<T>,
    request: Request,
    service: &Service,
    alternative: Option<&HeaderValue>,
) -> End {
    let Request {
        prepared,
        form,
        framing,
        manners,
        protocol,
    } = request;
    let rest = Rest::of(framing);
    let told = match prepared {
        Ok(prepared) => {
            let body = connection.lend(rest, manners.expects);
            let forward = Forwarding {
                connection: &mut *connection,
                service,
                form,
                is_11: manners.is_11,
            };
            forward.run(prepared, body, protocol).await
        }
        Err(reply) => {
            connection.ignore(rest, manners.expects);
            Ok(Told::Reply(reply))
        }
    };
    match told {
        Ok(Told::Reply(reply)) => send(connection, reply, manners, service, alternative).await,
        Ok(Told::Switch(raw)) => End::Switch(raw),
        Err(error) => End::Cut {
            error,
            reset: false,
        },
    }
}

/// What a visitor is told at last.
enum Told {
    Reply(Reply),
    /// A switch of protocols, which it was told.
    Switch(Box<Raw>),
}

/// A request on its way, and the visitor that waits for it.
struct Forwarding<'a, T> {
    connection: &'a mut Connection<T>,
    service: &'a Service,
    form: Form,
    is_11: bool,
}

impl<T: Transport> Forwarding<'_, T> {
    /// Tells the visitor what comes back before the response, and says what comes then.
    ///
    /// # Errors
    ///
    /// [`Cut`] when the visitor left.
    async fn run(
        self,
        prepared: Prepared,
        body: Incoming<T>,
        protocol: Option<HeaderValue>,
    ) -> Result<Told, Cut> {
        let connection = self.connection;
        let fail = |failure: &Failure| Told::Reply(self.service.answer(failure, self.form));
        let forward = &self.service.forward;
        // What is under way is pinned here, and not moved into what waits for it.
        let begun = {
            let begun = pin!(forward.send(prepared, body));
            connection.meanwhile(begun).await?
        };
        let mut pending = match begun {
            Ok(pending) => pending,
            Err(failure) => return Ok(fail(&failure)),
        };
        loop {
            let next = {
                let next = pin!(forward.next(pending));
                connection.meanwhile(next).await?
            };
            match next {
                Ok(Next::Interim(head, rest)) => {
                    pending = rest;
                    // HTTP/1.0 knows no interim responses, and 100 is sent when the body is asked for,
                    // which happens now.
                    if self.is_11 && head.status != StatusCode::CONTINUE {
                        put_head(&head, None, Fate::Usual, None, connection.out.small());
                        connection.flush().await?;
                    }
                }
                Ok(Next::Response(head, body)) => {
                    let body = Body::Forwarded(Box::new(body));
                    return Ok(Told::Reply(Reply { head, body }));
                }
                Ok(Next::Switch(head, raw)) => {
                    let fate = protocol.as_ref().map_or(Fate::Usual, Fate::Switch);
                    put_head(&head, None, fate, None, connection.out.small());
                    connection.flush().await?;
                    return Ok(Told::Switch(Box::new(raw)));
                }
                Err(failure) => {
                    if matches!(failure.error, ForwardError::Body(_)) {
                        connection.give_up();
                    }
                    return Ok(fail(&failure));
                }
            }
        }
    }
}

/// Sends a response, and finishes its request.
async fn send<T: Transport>(
    connection: &mut Connection<T>,
    reply: Reply,
    manners: Manners,
    service: &Service,
    alternative: Option<&HeaderValue>,
) -> End {
    let Reply { head, body } = reply;
    let framing = outgoing::Framing::of(manners, head.status, &body);
    let ends = framing == outgoing::Framing::Close || service.tasks.is_stopped();
    let goes_on = manners.keep_alive && !ends && connection.may_go_on();
    let fate = match (goes_on, manners.is_11) {
        (true, true) => Fate::Usual,
        (true, false) => Fate::KeepAlive,
        (false, _) => Fate::Close,
    };
    put_head(
        &head,
        Some(framing),
        fate,
        alternative,
        connection.out.small(),
    );
    drop(head);
    if let Err(error) = connection.send(Outgoing::new(body, framing)).await {
        let reset = framing == outgoing::Framing::Close;
        return End::Cut { error, reset };
    }
    if connection.finish(goes_on).await {
        End::Again
    } else {
        End::Close
    }
}

/// Answers what is no request, and closes.
async fn refuse<T: Transport>(mut connection: Connection<T>, error: BadRequest, service: &Service) {
    tracing::debug!(side = "visitor", %error, "request refused");
    let Reply { head, body } = service.refuse(&error);
    let framing = outgoing::Framing::of(Manners::UNKNOWN, head.status, &body);
    put_head(
        &head,
        Some(framing),
        Fate::Close,
        None,
        connection.out.small(),
    );
    if connection.send(Outgoing::new(body, framing)).await.is_ok() {
        connection.close().await;
    }
}

/// Carries raw bytes after a 101.
async fn switch<T: Transport>(connection: Connection<T>, raw: Raw) {
    let Some((reader, writer)) = connection.into_parts() else {
        return tracing::error!("a connection is lent at its switch");
    };
    let left = (
        SocketSource::new(reader.intake, reader.read),
        SocketSink::new(writer),
    );
    raw.carry(|right| pump(left, right)).await;
}

/// What of a body may be read before it is wanted, in bytes.
const INTAKE: u32 = 64 << 10;
/// How long a visitor that is connected when the relay is stopped has to begin its first request.
const FIRST: Duration = Duration::from_secs(1);
/// Bytes of a head that are none of a target, a name or a value.
const MARKS: usize = 8 << 10;
/// Bytes that are read though nobody wants them, so that a connection can be used again or ends well.
const UNWANTED: usize = 64 << 10;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);
