//! TCP listeners for visitors: accept, TLS, and which HTTP version it is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adit_shared::name::Host;
use bytes::{Buf as _, BytesMut};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::info_span;

use super::serve::Service;
use super::{http1, http2, redirect};
use crate::forward::Visitor;

/// What a listener does with its connections.
#[derive(Clone)]
pub enum Role {
    /// Serves requests without TLS.
    Plain,
    /// Sends visitors to HTTPS at this port.
    Redirect {
        /// The port of the HTTPS listener.
        https: u16,
    },
    /// Serves requests over TLS.
    Tls(Arc<ServerConfig>),
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Redirect { .. } => "Redirect",
            Self::Tls(_) => "Tls",
        })
    }
}

/// Bounds of visitors' connections, over all listeners.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One permit for each open connection.
    pub connections: Arc<Semaphore>,
    /// How long a TLS handshake or a request head may take, and how long a connection may idle.
    pub head_timeout: Duration,
}

/// Binds a listener; port 0 takes a free one, and `[::]` serves IPv4 too.
///
/// # Errors
///
/// Whatever the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Not every system can; then the socket serves IPv6 alone.
        drop(socket.set_only_v6(false));
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the service's tasks are stopped.
pub async fn listen(listener: TcpListener, role: Role, service: Service, limits: Limits) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = service.tasks.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Most likely out of file descriptors: room comes when connections end.
                tracing::warn!(%error, "cannot accept visitors");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let Ok(permit) = limits.connections.clone().try_acquire_owned() else {
            service.metrics.visitors_refused.inc();
            continue;
        };
        let span = info_span!("visitor", %remote);
        let (role, head_timeout) = (role.clone(), limits.head_timeout);
        let tasks = service.tasks.clone();
        let service = service.clone();
        tasks.spawn(span, async move {
            service.metrics.visitors.inc();
            let gauge = service.metrics.visitors.clone();
            connection(stream, remote, role, service, head_timeout).await;
            gauge.dec();
            drop(permit);
        });
    }
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    role: Role,
    service: Service,
    head_timeout: Duration,
) {
    // Small responses must not wait for an acknowledgement of the one before.
    drop(stream.set_nodelay(true));
    // A visitor that vanished without a word is noticed though nothing is sent to it.
    drop(SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE));
    show_progress(&stream);
    let visitor = Visitor {
        remote,
        https: false,
        server_name: None,
    };
    match role {
        Role::Redirect { https } => {
            redirect::serve(stream, https, service, head_timeout).await;
        }
        Role::Plain => match timeout(head_timeout, Sniffed::read(stream)).await {
            Ok(Ok(io)) if io.is_http2() => http2::serve(io, service, visitor, head_timeout).await,
            Ok(Ok(io)) => http1::serve(io, service, visitor, head_timeout).await,
            Ok(Err(_)) | Err(_) => {}
        },
        Role::Tls(config) => {
            let accept = TlsAcceptor::from(config).accept(stream);
            let stream = match timeout(head_timeout, accept).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    return tracing::debug!(side = "visitor", %error, "tls handshake failed");
                }
                Err(_) => return tracing::debug!(side = "visitor", "tls handshake timed out"),
            };
            let (_, tls) = stream.get_ref();
            let server_name = tls.server_name().and_then(|name| name.parse::<Host>().ok());
            let visitor = Visitor {
                remote,
                https: true,
                server_name,
            };
            if tls.alpn_protocol() == Some(b"h2") {
                http2::serve(stream, service, visitor, head_timeout).await;
            } else {
                http1::serve(stream, service, visitor, head_timeout).await;
            }
        }
    }
}

/// A connection whose first bytes were looked at.
#[derive(Debug)]
struct Sniffed<T> {
    start: BytesMut,
    io: T,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Sniffed<T> {
    /// Reads until it is clear whether the connection begins with the preface of HTTP/2
    /// (RFC 9113 section 3.4).
    async fn read(mut io: T) -> io::Result<Self> {
        let mut start = BytesMut::with_capacity(PREFACE.len());
        while start.len() < PREFACE.len() && PREFACE.starts_with(&start) {
            if io.read_buf(&mut start).await? == 0 {
                break;
            }
        }
        Ok(Self { start, io })
    }

    fn is_http2(&self) -> bool {
        self.start.starts_with(PREFACE)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sniffed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let take = self.start.len().min(buf.remaining());
        buf.put_slice(&self.start[..take]);
        self.start.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Sniffed<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Lets the kernel take only so much that it has not sent: so it holds less for a visitor that
/// stopped reading, and one that reads slowly does not look stopped between two large gulps.
fn show_progress(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    drop(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT));
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Errors of accept that say something about one visitor, not about this machine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset
    )
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After a minute of silence, then every quarter of one.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15));
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Bytes that may wait in the kernel to be sent to a visitor. It asks for more at half of this, so
/// whoever takes that much in a second is never held up.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 << 10;
/// How long accepting pauses when the system has no room.
const RETRY: Duration = Duration::from_millis(100);
