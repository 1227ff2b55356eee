//! UDP sockets with QUIC on them: one that dials, one that listens.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;

use super::carrier::{Carriers, Hub, Line};
use super::congestion::Congestion;
use super::gate::Gate;
use super::keys::Keys;
use super::socket::Udp;
use super::steer::{self, ConnectionIds, Place};
use super::tuning::{self, Way, Window};
use super::visitor::{self, HTTP3};
use super::{Connection, Lost, route};
use crate::wire::code::Close;

/// Where an agent dials from. One socket; it may carry several connections.
#[derive(Clone, Debug)]
pub struct Dialer {
    endpoint: quinn::Endpoint,
    window: Window,
    congestion: Congestion,
    keep_alive: Option<Duration>,
    /// The first socket, if it is one of UDP.
    udp: Option<Arc<Udp>>,
    /// What UDP sockets are bound to.
    home: SocketAddr,
    /// Whether it goes through a carrier.
    is_carried: Arc<AtomicBool>,
    /// The one that those of its connections come from.
    gate: Gate,
}

impl Dialer {
    /// Binds a socket of the address family of `remote`.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Bind`].
    pub fn bind(remote: SocketAddr) -> Result<Self, EndpointError> {
        let socket = Udp::new(socket(home(remote), Sharing::No)?).map_err(EndpointError::Start)?;
        Ok(Self {
            udp: Some(socket.clone()),
            ..Self::on(socket, remote, false)?
        })
    }

    /// Goes through a carrier to `remote`.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Start`].
    pub fn over(line: &Line, remote: SocketAddr) -> Result<Self, EndpointError> {
        Self::on(line.socket(), remote, true)
    }

    fn on(
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        remote: SocketAddr,
        is_carried: bool,
    ) -> Result<Self, EndpointError> {
        // The peer hears what our network takes, and looks for no more.
        let way = Way::to(remote, Window::ByPath, route::mtu(remote));
        Ok(Self {
            endpoint: endpoint(tuning::endpoint(way.datagram), None, socket)?,
            window: Window::ByPath,
            congestion: Congestion::default(),
            keep_alive: Some(tuning::KEEP_ALIVE),
            udp: None,
            home: home(remote),
            is_carried: Arc::new(AtomicBool::new(is_carried)),
            gate: Gate::default(),
        })
    }

    /// Gives up an attempt without a word. The library would say that it is given up, and a relay that
    /// has just come back would take that for the begin of a connection, and keep it until it idles out.
    pub fn abandon(&self) {
        if let Some(socket) = &self.udp {
            socket.mute();
        }
    }

    /// With another window than usual for the streams of connections that are dialled.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// Connections that are dialled are silent while nobody uses them: they end after
    /// [`IDLE`](tuning::IDLE), and NATs on the way may forget them sooner.
    #[must_use]
    pub fn silent(self) -> Self {
        Self {
            keep_alive: None,
            ..self
        }
    }

    /// With this congestion control for what is sent on connections that are dialled.
    #[must_use]
    pub fn with_congestion(self, congestion: Congestion) -> Self {
        Self { congestion, ..self }
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
        let gate = self.gate.sibling();
        let way = Way::to(remote, self.window, route::mtu(remote));
        config.transport_config(tuning::agent(way, self.congestion, &gate, self.keep_alive));
        let connecting = self
            .endpoint
            .connect_with(config, remote, server_name)
            .map_err(|error| DialError::Start(error.to_string()))?;
        let connection = connecting
            .await
            .map_err(|error| DialError::Lost(error.into()))?;
        Ok(Connection::new(connection, way.window, gate, None))
    }

    /// Moves all connections to a fresh UDP socket in the same network: they migrate.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Bind`]; then the old socket stays.
    pub fn rebind(&self) -> Result<(), EndpointError> {
        let socket = Udp::new(socket(self.home, Sharing::No)?).map_err(EndpointError::Start)?;
        self.go(socket, false)
    }

    /// As [`rebind`](Self::rebind), when this machine has come to another network: what was known of the
    /// way is forgotten, so that neither the one before slows the next, nor the other way round.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Bind`]; then the old socket stays.
    pub fn rebind_elsewhere(&self) -> Result<(), EndpointError> {
        self.rebind()?;
        self.gate.begin_anew();
        Ok(())
    }

    /// Moves all connections to a carrier: they migrate.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Start`]; then the old socket stays.
    pub fn move_to(&self, line: &Line) -> Result<(), EndpointError> {
        self.go(line.socket(), true)
    }

    fn go(
        &self,
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        is_carried: bool,
    ) -> Result<(), EndpointError> {
        let moved = self.endpoint.rebind_abstract(socket);
        moved.map_err(EndpointError::Start)?;
        if self.is_carried.swap(is_carried, Ordering::Relaxed) != is_carried {
            self.gate.begin_anew();
        }
        Ok(())
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
    congestion: Congestion,
    gate: Gate,
    carriers: Carriers,
    requests: u32,
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
        Bound::new(0, socket, tuning::endpoint(tuning::MAX_DATAGRAM), config).listen()
    }

    /// With another window than usual for the streams of connections that are accepted.
    #[must_use]
    pub fn with_window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// With this congestion control for what is sent on connections that are accepted.
    #[must_use]
    pub fn with_congestion(self, congestion: Congestion) -> Self {
        Self { congestion, ..self }
    }

    /// Visitors may have so many requests open at once, each on its connection.
    #[must_use]
    pub fn with_requests(self, requests: u32) -> Self {
        Self { requests, ..self }
    }

    /// The next peer that begins a handshake; `None` after [`close`](Self::close). Safe to drop.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.endpoint.accept().await?;
        Some(Incoming {
            incoming,
            config: self.config.clone(),
            window: self.window,
            congestion: self.congestion,
            gate: self.gate.sibling(),
            carriers: self.carriers.clone(),
            requests: self.requests,
        })
    }

    /// The address of the socket.
    pub fn local(&self) -> Option<SocketAddr> {
        self.endpoint.local_addr().ok()
    }

    /// Through which peers come whose networks let no UDP through.
    pub fn carriers(&self) -> &Carriers {
        &self.carriers
    }

    /// Refuses new connections from now on; those that exist go on.
    pub fn refuse_new(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Ends all connections.
    pub fn close(&self, code: Close, reason: &str) {
        self.gate.close_endpoint();
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
    shard: u16,
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
            Self::new(number, socket, endpoint, config.clone())
        });
        Ok(bound.collect())
    }

    /// With keys that outlive this program, instead of fresh ones.
    #[must_use]
    pub fn with_keys(mut self, keys: &Keys) -> Self {
        self.endpoint.reset_key(keys.reset.clone());
        self.config.token_key(keys.token.clone());
        self
    }

    fn new(
        shard: u16,
        socket: UdpSocket,
        endpoint: quinn::EndpointConfig,
        config: quinn::ServerConfig,
    ) -> Self {
        Self {
            shard,
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
        let carriers = Carriers::new(self.shard);
        let udp = Udp::new(self.socket).map_err(EndpointError::Start)?;
        let socket = Hub::new(udp, carriers.clone());
        let endpoint = endpoint(self.endpoint, Some(self.config.clone()), socket)?;
        Ok(Listener {
            endpoint,
            carriers,
            config: self.config,
            window: Window::ByPath,
            congestion: Congestion::default(),
            gate: Gate::default(),
            requests: visitor::REQUESTS,
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
    congestion: Congestion,
    gate: Gate,
    carriers: Carriers,
    requests: u32,
}

impl Incoming {
    /// Where it says it is; for one behind a carrier, the other end of its TCP connection.
    pub fn remote(&self) -> SocketAddr {
        let address = self.incoming.remote_address();
        self.carriers.peer(address).unwrap_or(address)
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

    /// Finishes the handshake. Who agrees on [`HTTP3`] gets the bounds of a visitor, anybody else those of
    /// an agent that has not said who it is. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Lost`] when the handshake fails.
    pub async fn accept(self) -> Result<Accepted, Lost> {
        let remote = self.remote();
        let mut config = self.config;
        let way = Way::to(remote, self.window, route::mtu(remote));
        config.transport_config(tuning::relay(way, self.congestion, &self.gate));
        let mut connecting = self.incoming.accept_with(Arc::new(config))?;
        let data = connecting.handshake_data().await?;
        let data = data.downcast::<HandshakeData>().ok();
        let (protocol, server_name) = data.map_or_else(Default::default, |data| {
            (data.protocol.unwrap_or_default(), data.server_name)
        });
        // Told before the handshake has ended, visitors know it when they begin to ask.
        let (quic, finished) = connecting
            .into_0rtt()
            .map_err(|_| Lost::Transport("the handshake is not ours to answer".into()))?;
        if protocol == HTTP3 {
            visitor::limit(&quic, self.requests);
        }
        finished.await;
        if let Some(error) = quic.close_reason() {
            return Err(error.into());
        }
        let carriers = Some(self.carriers);
        Ok(Accepted {
            connection: Connection::new(quic, way.window, self.gate, carriers),
            protocol,
            server_name,
        })
    }
}

/// A connection that a peer has made.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub connection: Connection,
    /// What both ends speak (ALPN).
    pub protocol: Vec<u8>,
    /// The name that the peer asked for.
    pub server_name: Option<String>,
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
    socket: Arc<dyn quinn::AsyncUdpSocket>,
) -> Result<quinn::Endpoint, EndpointError> {
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)
        .map_err(EndpointError::Start)
}

/// Where the system chooses the address to send from.
fn home(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
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
pub(super) fn enlarge_buffers(socket: &Socket) {
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
