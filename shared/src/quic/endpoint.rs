//! UDP sockets with QUIC on them: one that dials, one that listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;

use super::congestion::Closing;
use super::socket::Udp;
use super::steer::{self, ConnectionIds, Place};
use super::tuning::{self, Way, Window};
use super::{Connection, Lost, route};
use crate::wire::code::Close;

/// Where an agent dials from. One socket; it may carry several connections.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: quinn::Endpoint,
    window: Window,
}

impl Dialer {
    /// Binds a socket of the address family of `remote`.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Bind`].
    pub fn bind(remote: SocketAddr) -> Result<Self, EndpointError> {
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // The peer hears what our network takes, and looks for no more.
        let way = Way::to(remote, Window::ByPath, route::mtu(remote));
        Ok(Self {
            endpoint: endpoint(
                tuning::endpoint(way.datagram),
                None,
                socket(local, Sharing::No)?,
            )?,
            window: Window::ByPath,
        })
    }

    /// With another window than usual for the streams of connections that are dialled.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// Dials `remote`, which must prove to be `server_name` as `tls` wants it proved. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`DialError`].
    pub async fn dial(
        &self,
        remote: SocketAddr,
        server_name: &str,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Connection, DialError> {
        let crypto = QuicClientConfig::try_from(tls).map_err(|_| DialError::NoCipher)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        let closing = Closing::default();
        let way = Way::to(remote, self.window, route::mtu(remote));
        config.transport_config(tuning::agent(way, &closing));
        let connecting = self
            .endpoint
            .connect_with(config, remote, server_name)
            .map_err(|error| DialError::Start(error.to_string()))?;
        let connection = connecting
            .await
            .map_err(|error| DialError::Lost(error.into()))?;
        Ok(Connection::new(connection, way.window, closing))
    }

    /// Moves all connections to a fresh socket: they migrate.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Bind`]; then the old socket stays.
    pub fn rebind(&self) -> Result<(), EndpointError> {
        let mut local = self.endpoint.local_addr().map_err(EndpointError::Start)?;
        local.set_port(0);
        let socket = Udp::new(socket(local, Sharing::No)?);
        self.endpoint
            .rebind_abstract(socket.map_err(EndpointError::Start)?)
            .map_err(EndpointError::Start)
    }

    /// The address of the socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.endpoint.local_addr().ok()
    }

    /// Waits until all closed connections have said so to their peers. Safe to drop.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// Where a relay listens for agents.
#[derive(Clone, Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    config: quinn::ServerConfig,
    window: Window,
    closing: Closing,
}

impl Listener {
    /// Binds `local`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`EndpointError`].
    pub fn bind(local: SocketAddr, tls: rustls::ServerConfig) -> Result<Self, EndpointError> {
        let config = server(tls)?;
        let socket = socket(local, Sharing::No)?;
        Bound::new(socket, tuning::endpoint(tuning::MAX_DATAGRAM), config).listen()
    }

    /// With another window than usual for the streams of connections that are accepted.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// The next peer that begins a handshake; `None` after [`close`](Self::close). Safe to drop.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.endpoint.accept().await?;
        Some(Incoming {
            incoming,
            config: self.config.clone(),
            window: self.window,
            closing: self.closing.sibling(),
        })
    }

    /// The address of the socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.endpoint.local_addr().ok()
    }

    /// Refuses new connections from now on; those that exist go on.
    pub fn refuse_new(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Ends all connections.
    pub fn close(&self, code: Close, reason: &str) {
        self.closing.endpoint();
        self.endpoint
            .close(quinn::VarInt::from_u32(code.number()), reason.as_bytes());
    }

    /// Waits until all closed connections have said so to their peers. Safe to drop.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// A listener's socket that no runtime drives yet.
#[derive(Debug)]
pub struct Bound {
    socket: UdpSocket,
    endpoint: quinn::EndpointConfig,
    config: quinn::ServerConfig,
}

impl Bound {
    /// Binds `shards` sockets on one address; port 0 takes a free one. A peer always comes to the
    /// same of them, wherever it moves. They must be closed together: the kernel numbers those
    /// that are left anew.
    ///
    /// # Errors
    ///
    /// [`EndpointError`], also when another program has the address; then none is bound.
    pub fn group(
        local: SocketAddr,
        shards: u16,
        tls: rustls::ServerConfig,
    ) -> Result<Vec<Self>, EndpointError> {
        // One for all: what one shard gave a peer to come back with is good at every other.
        let config = server(tls)?;
        // Bound without sharing, so that an address which anybody has is an error, another relay's
        // group included.
        let first = socket(local, Sharing::No)?;
        let local = first.local_addr().map_err(EndpointError::Start)?;
        let mut sockets = vec![first];
        if shards > 1 {
            steer::share(&SockRef::from(&sockets[0])).map_err(EndpointError::Steer)?;
            for _ in 1..shards {
                sockets.push(socket(local, Sharing::Yes)?);
            }
            steer::steer(&sockets[0], shards).map_err(EndpointError::Steer)?;
        }
        let bound = (0..shards).zip(sockets).map(|(number, socket)| {
            let place = Place { number, of: shards };
            let mut endpoint = tuning::endpoint(tuning::MAX_DATAGRAM);
            endpoint.cid_generator(move || Box::new(ConnectionIds(place)));
            Self::new(socket, endpoint, config.clone())
        });
        Ok(bound.collect())
    }

    fn new(
        socket: UdpSocket,
        endpoint: quinn::EndpointConfig,
        config: quinn::ServerConfig,
    ) -> Self {
        Self {
            socket,
            endpoint,
            config,
        }
    }

    /// Listens on the current runtime.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Start`].
    pub fn listen(self) -> Result<Listener, EndpointError> {
        let endpoint = endpoint(self.endpoint, Some(self.config.clone()), self.socket)?;
        Ok(Listener {
            endpoint,
            config: self.config,
            window: Window::ByPath,
            closing: Closing::default(),
        })
    }

    /// The address of the socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// A peer that began a handshake and has cost nothing yet. Dropping it refuses it.
#[derive(Debug)]
pub struct Incoming {
    incoming: quinn::Incoming,
    config: quinn::ServerConfig,
    window: Window,
    closing: Closing,
}

impl Incoming {
    /// Where it says it is.
    pub fn remote(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Whether it has proved that it receives at that address.
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Makes it prove its address first, at the cost of one round trip (RFC 9000 section 8.1.2).
    pub fn retry(self) {
        // A client that cannot be asked to retry is refused by the drop of what comes back.
        drop(self.incoming.retry());
    }

    /// Tells it to go away.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Finishes the handshake and says which protocol was agreed on. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the handshake fails.
    pub async fn accept(self) -> Result<(Connection, Vec<u8>), Lost> {
        let mut config = self.config;
        let remote = self.incoming.remote_address();
        let way = Way::to(remote, self.window, route::mtu(remote));
        config.transport_config(tuning::relay(way, &self.closing));
        let connection = self.incoming.accept_with(Arc::new(config))?.await?;
        let protocol = connection
            .handshake_data()
            .and_then(|data| data.downcast::<HandshakeData>().ok())
            .and_then(|data| data.protocol)
            .unwrap_or_default();
        let connection = Connection::new(connection, way.window, self.closing);
        Ok((connection, protocol))
    }
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The address cannot be bound.
    #[error("cannot bind udp {0}")]
    Bind(SocketAddr, #[source] io::Error),
    /// The socket cannot be used.
    #[error("cannot use the udp socket")]
    Start(#[source] io::Error),
    /// The system cannot lead packets to several sockets.
    #[error("cannot share one udp port among shards; one shard needs no sharing")]
    Steer(#[source] io::Error),
    /// The TLS settings lack the cipher that QUIC begins with.
    #[error("the TLS settings have no cipher suite that QUIC can use")]
    NoCipher,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum DialError {
    /// The attempt could not begin.
    #[error("cannot dial: {0}")]
    Start(String),
    /// The TLS settings lack the cipher that QUIC begins with.
    #[error("the TLS settings have no cipher suite that QUIC can use")]
    NoCipher,
    /// The handshake failed.
    #[error(transparent)]
    Lost(Lost),
}

fn server(tls: rustls::ServerConfig) -> Result<quinn::ServerConfig, EndpointError> {
    let tls = QuicServerConfig::try_from(tls).map_err(|_| EndpointError::NoCipher)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFERS);
    Ok(config)
}

fn endpoint(
    config: quinn::EndpointConfig,
    server: Option<quinn::ServerConfig>,
    socket: UdpSocket,
) -> Result<quinn::Endpoint, EndpointError> {
    let runtime = Arc::new(quinn::TokioRuntime);
    let socket = Udp::new(socket).map_err(EndpointError::Start)?;
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)
        .map_err(EndpointError::Start)
}

/// Whether other sockets may be bound to the same address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sharing {
    No,
    Yes,
}

fn socket(local: SocketAddr, sharing: Sharing) -> Result<UdpSocket, EndpointError> {
    let bound = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        if local.is_ipv6() && local.ip().is_unspecified() {
            // Not every system can; then the socket serves IPv6 alone.
            drop(socket.set_only_v6(false));
        }
        if sharing == Sharing::Yes {
            steer::share(&SockRef::from(&socket))?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        Ok(socket)
    };
    let socket = bound().map_err(|error| EndpointError::Bind(local, error))?;
    enlarge_buffers(&socket);
    Ok(socket.into())
}

/// Asks for large kernel buffers. What the system grants is worth a line only for people who look
/// into speed: tunnels work without.
fn enlarge_buffers(socket: &Socket) {
    drop(socket.set_recv_buffer_size(tuning::SOCKET_BUFFER));
    drop(socket.set_send_buffer_size(tuning::SOCKET_BUFFER));
    let granted = socket.recv_buffer_size().unwrap_or_default();
    if granted < tuning::SOCKET_BUFFER {
        tracing::debug!(
            granted,
            wanted = tuning::SOCKET_BUFFER,
            "udp receive buffer is small; raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}

/// Handshakes that may wait to be accepted.
const MAX_INCOMING: usize = 1024;
/// Bytes kept for one handshake that waits, and for all of them.
const INCOMING_BUFFER: u64 = 16 << 10;
const INCOMING_BUFFERS: u64 = 4 << 20;

/// The UDP receive buffer that the system grants, in bytes: for checks that tell people.
///
/// # Errors
///
/// Whatever the system says.
pub fn granted_receive_buffer() -> io::Result<usize> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    enlarge_buffers(&socket);
    socket.recv_buffer_size()
}
