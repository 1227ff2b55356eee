//! A visitor's connection from accept to HTTP: what it opens with, which shard serves it, TLS, and
//! which HTTP version it is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::name::Host;
use adit_shared::wire;
use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::server::{Accepted, Acceptor};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tracing::Span;
use tracing::field::display;

use super::serve::Service;
use super::sniff::Start;
use super::tcp::Role;
use super::tls::challenge;
use super::{carrier, http1, http2, proxied, redirect};
use crate::addresses::{Asker, Bound, Connected};
use crate::forward::Visitor;
use crate::metrics::Metrics;

/// A connection that was let in. It counts as one until it is dropped, wherever it is served.
#[derive(Debug)]
pub(super) struct Admitted {
    remote: SocketAddr,
    /// When it must have said what it wants.
    deadline: Instant,
    metrics: Arc<Metrics>,
    address: Option<Connected>,
    _permit: OwnedSemaphorePermit,
}

impl Admitted {
    pub(super) fn new(
        remote: SocketAddr,
        permit: OwnedSemaphorePermit,
        address: Connected,
        service: &Service,
    ) -> Self {
        let metrics = service.metrics.clone();
        metrics.visitors.inc();
        Self {
            remote,
            deadline: Instant::now() + service.patience.handshake,
            metrics,
            address: Some(address),
            _permit: permit,
        }
    }

    /// The proxy that it is from passes it on from there, unless it speaks for itself.
    ///
    /// # Errors
    ///
    /// The [`Bound`] that the visitor's address has met. Proxies themselves have none.
    fn comes_from(&mut self, source: Option<SocketAddr>, service: &Service) -> Result<(), Bound> {
        if let Some(source) = source {
            self.remote = source;
            self.address = Some(service.addresses.connect(source.ip())?);
        }
        Span::current().record("remote", display(self.remote));
        Ok(())
    }

    /// What requests on it are counted on.
    pub(super) fn asker(&self) -> Asker {
        let address = self.address.as_ref();
        address.map(Connected::asker).unwrap_or_default()
    }

    fn moved(mut self, service: &Service) -> Self {
        service.metrics.visitors.inc();
        self.metrics.visitors.dec();
        self.metrics = service.metrics.clone();
        self
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.metrics.visitors.dec();
    }
}

/// Serves a connection that was just accepted, here or on the shard that it is for.
pub(super) async fn serve(
    mut stream: TcpStream,
    role: Role,
    mut admitted: Admitted,
    service: Arc<Service>,
) {
    // Small responses must not wait for an acknowledgement of the one before.
    drop(stream.set_nodelay(true));
    // A visitor that vanished without a word is noticed though nothing is sent to it.
    drop(SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE));
    show_progress(&stream);
    let deadline = admitted.deadline;
    if service.proxies.contain(admitted.remote.ip()) {
        match timeout_at(deadline, proxied::source(&mut stream)).await {
            Ok(Ok(source)) => {
                if let Err(bound) = admitted.comes_from(source, &service) {
                    return service.refuse_visitor(bound.name());
                }
            }
            Ok(Err(error)) => return service.not_proxied(&error),
            Err(_) => return service.not_proxied(&"no PROXY header in time"),
        }
    }
    let opening = match role {
        Role::Redirect { https } => {
            Box::pin(redirect::serve(stream, https, service)).await;
            return drop(admitted);
        }
        Role::Plain => timeout_at(deadline, plain(stream, service.neighbours.exist())).await,
        Role::Tls(config) => timeout_at(deadline, tls(stream, config)).await,
    };
    let (stream, opening) = match opening {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => {
            return tracing::debug!(side = "visitor", %error, "connection did not begin");
        }
        Err(_) => {
            service.metrics.limited("handshake-timeout");
            return tracing::debug!(side = "visitor", "connection did not begin in time");
        }
    };
    let mut opened = Opened {
        stream,
        opening,
        admitted,
    };
    if service.neighbours.exist()
        && let Some(host) = opened.opening.host()
        && let Some(shard) = service.neighbours.owner(&host, &service.forward.routes)
    {
        match service.neighbours.hand_over(opened, shard) {
            Some(back) => opened = back,
            None => return,
        }
    }
    opened.serve(service).await;
}

/// Lets the kernel take only so much that it has not sent: so it holds less for a visitor that
/// stopped reading, and one that reads slowly does not look stopped between two large gulps.
fn show_progress(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    drop(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

async fn plain(mut stream: TcpStream, with_host: bool) -> io::Result<(TcpStream, Opening)> {
    let mut start = Start::new(USUAL_HEAD);
    start.read(&mut stream).await?;
    let mut host = None;
    if with_host && !start.is_http2() {
        // One that takes longer may as well be served here.
        if let Ok(found) = timeout(PATIENCE, start.host(&mut stream)).await {
            host = found?;
        }
    }
    Ok((stream, Opening::Plain(start, host)))
}

async fn tls(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<(TcpStream, Opening)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let opening = Opening::Tls(Box::new(start.accepted), config);
    Ok((start.io, opening))
}

/// What a connection begins with.
enum Opening {
    /// No TLS, and for whom the first request is, if that is known.
    Plain(Start, Option<Host>),
    /// The hello of a TLS handshake, which is not answered yet.
    Tls(Box<Accepted>, Arc<ServerConfig>),
}

impl Opening {
    /// For whom it is.
    fn host(&self) -> Option<Host> {
        match self {
            Self::Plain(_, host) => host.clone(),
            Self::Tls(accepted, _) => accepted.client_hello().server_name()?.parse().ok(),
        }
    }
}

/// A connection that has said what it wants.
pub(super) struct Opened {
    stream: TcpStream,
    opening: Opening,
    admitted: Admitted,
}

impl Opened {
    pub(super) fn remote(&self) -> SocketAddr {
        self.admitted.remote
    }

    /// Serves it until it ends.
    pub(super) async fn serve(self, service: Arc<Service>) {
        let Self {
            stream,
            opening,
            mut admitted,
        } = self;
        let remote = admitted.remote;
        match opening {
            Opening::Plain(start, _) => {
                let visitor = Visitor::new(remote, false, None, admitted.asker());
                if start.is_http2() {
                    // Boxed, as other large ones here: most connections never need the room.
                    Box::pin(http2::serve(start.before(stream), service, visitor)).await;
                } else {
                    http1::serve(stream, start.into_bytes(), &service, &visitor).await;
                }
            }
            Opening::Tls(accepted, config) => {
                let accept = async {
                    challenge::wait(&accepted, service.issued.as_deref()).await;
                    StartHandshake::from_parts(*accepted, stream)
                        .into_stream(config)
                        .await
                };
                let stream = match timeout_at(admitted.deadline, accept).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        return tracing::debug!(side = "visitor", %error, "tls handshake failed");
                    }
                    Err(_) => {
                        service.metrics.limited("handshake-timeout");
                        return tracing::debug!(side = "visitor", "tls handshake timed out");
                    }
                };
                let (_, tls) = stream.get_ref();
                if tls.alpn_protocol() == Some(wire::CARRIER_ALPN) {
                    // An agent is no visitor; how many there may be is bounded otherwise.
                    let (deadline, address) = (admitted.deadline, admitted.address.take());
                    drop(admitted);
                    return Box::pin(carrier::serve(stream, deadline, address, service)).await;
                }
                if tls.alpn_protocol() == Some(challenge::PROTOCOL) {
                    // The handshake was all that the authority wanted.
                    return;
                }
                let server_name = tls.server_name().and_then(|name| name.parse().ok());
                let visitor = Visitor::new(remote, true, server_name, admitted.asker());
                if tls.alpn_protocol() == Some(b"h2") {
                    Box::pin(http2::serve(stream, service, visitor)).await;
                } else {
                    http1::serve(stream, BytesMut::new(), &service, &visitor).await;
                }
            }
        }
        drop(admitted);
    }

    /// Takes it off this shard's runtime.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn leave(self) -> io::Result<Handed> {
        Ok(Handed {
            stream: self.stream.into_std()?,
            opening: self.opening,
            admitted: self.admitted,
        })
    }
}

/// A connection on its way from one shard to another.
pub(super) struct Handed {
    stream: std::net::TcpStream,
    opening: Opening,
    admitted: Admitted,
}

impl Handed {
    /// Puts it on the current runtime, and counts it for its `service`.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub(super) fn arrive(self, service: &Service) -> io::Result<Opened> {
        Ok(Opened {
            stream: TcpStream::from_std(self.stream)?,
            opening: self.opening,
            admitted: self.admitted.moved(service),
        })
    }
}

/// Bytes that are read of a head at once.
const USUAL_HEAD: usize = 2 << 10;
/// How long the first head may take to say for whom it is, if its connection is to be handed over.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a minute of silence, then every quarter of one.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15));
/// Bytes that may wait in the kernel to be sent to a visitor. It asks for more at half of this, so
/// whoever takes that much in a second is never held up.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 << 10;
