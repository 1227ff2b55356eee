//! One end of a connection, as the QUIC library implements it without sockets and clocks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_shared::quic::tls::{self, Pin, Trust};
use bytes::{Bytes, BytesMut};
use quinn::congestion::ControllerFactory;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{MtuDiscoveryConfig, TransportConfig, VarInt};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, ServerConfig, StreamEvent, StreamId, Transmit, WriteError,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::random::Random;

/// As in the programs (`tuning`).
const STREAM_WINDOW: u32 = 6 << 20;
const SEND_WINDOW: u64 = 16 << 20;
/// Datagrams that leave with one system call.
const BATCH: usize = 10;

/// What one side does with its connection.
#[derive(Debug)]
pub struct Peer {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    remote: SocketAddr,
    start: Instant,
    bulk: Option<StreamId>,
    is_writing: bool,
    /// Ordered bytes of the bulk stream that were read.
    pub received: u64,
    /// Small messages: when each was written, here; or when all of it was read, there.
    pub messages: HashMap<StreamId, Duration>,
}

/// A certificate and how to trust it; the same for all.
pub fn identity() -> (Arc<SingleCertAndKey>, Pin) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(vec!["sim".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pin = Pin::of(certificate.der()).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = CertifiedKey::from_der(vec![certificate.der().clone()], key, &tls::provider());
    (Arc::new(SingleCertAndKey::from(key.unwrap())), pin)
}

impl Peer {
    /// The side that sends, which also dials.
    pub fn sender(
        control: Arc<dyn ControllerFactory + Send + Sync>,
        mtu: u16,
        pin: Pin,
        remote: SocketAddr,
        start: Instant,
        now: Duration,
        random: &mut Random,
    ) -> Self {
        let mut endpoint = Endpoint::new(endpoint(mtu, random), None, true, None);
        let crypto = tls::client(&Trust::Pin(pin), &[b"sim"]).unwrap();
        let crypto = QuicClientConfig::try_from(crypto).unwrap();
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport(control, mtu));
        let connection = endpoint
            .connect(start + now, config, remote, "sim")
            .unwrap();
        Self::new(endpoint, Some(connection), remote, start)
    }

    /// The side that receives.
    pub fn receiver(
        control: Arc<dyn ControllerFactory + Send + Sync>,
        mtu: u16,
        certificate: Arc<SingleCertAndKey>,
        remote: SocketAddr,
        start: Instant,
        random: &mut Random,
    ) -> Self {
        let crypto = tls::server(certificate, &[b"sim"]).unwrap();
        let crypto = QuicServerConfig::try_from(crypto).unwrap();
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(transport(control, mtu));
        let endpoint = endpoint(mtu, random);
        let endpoint = Endpoint::new(endpoint, Some(Arc::new(config)), true, None);
        Self::new(endpoint, None, remote, start)
    }

    fn new(
        endpoint: Endpoint,
        connection: Option<(ConnectionHandle, Connection)>,
        remote: SocketAddr,
        start: Instant,
    ) -> Self {
        Self {
            endpoint,
            connection,
            remote,
            start,
            bulk: None,
            is_writing: false,
            received: 0,
            messages: HashMap::new(),
        }
    }

    /// A datagram arrived.
    pub fn receive(
        &mut self,
        now: Duration,
        ecn: Option<quinn_proto::EcnCodepoint>,
        data: BytesMut,
    ) {
        let mut answer = Vec::new();
        let now = self.start + now;
        let event = self
            .endpoint
            .handle(now, self.remote, None, ecn, data, &mut answer);
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.connection = Some(accepted.map_err(|error| error.cause).unwrap());
            }
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    /// The time that [`deadline`](Self::deadline) named has come.
    pub fn wake(&mut self, now: Duration) {
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_timeout(self.start + now);
        }
    }

    /// When it wants to be woken.
    pub fn deadline(&mut self) -> Option<Duration> {
        let (_, connection) = self.connection.as_mut()?;
        let at = connection.poll_timeout()?;
        Some(at.saturating_duration_since(self.start))
    }

    /// Writes one small message on a stream of its own.
    pub fn say(&mut self, now: Duration, size: usize) {
        let Some((_, connection)) = &mut self.connection else {
            return;
        };
        if let Some(id) = connection.streams().open(Dir::Uni) {
            let mut stream = connection.send_stream(id);
            assert_eq!(
                stream.write(&vec![7; size]).unwrap_or(0),
                size,
                "no room for a message"
            );
            stream.finish().unwrap();
            self.messages.insert(id, now);
        }
    }

    /// Does what there is to do, and hands out what is to be sent.
    pub fn drive(&mut self, now: Duration, mut send: impl FnMut(&Transmit, &[u8])) {
        let at = self.start + now;
        loop {
            self.events(now);
            if self.is_writing {
                self.write();
            }
            let Some((handle, connection)) = &mut self.connection else {
                return;
            };
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            let mut buffer = Vec::new();
            let Some(transmit) = connection.poll_transmit(at, BATCH, &mut buffer) else {
                return;
            };
            send(&transmit, &buffer[..transmit.size]);
        }
    }

    /// What the congestion control allows to be in flight, the smoothed round-trip time, and how
    /// many packets were lost.
    pub fn state(&self) -> (u64, Duration, u64) {
        self.connection
            .as_ref()
            .map_or((0, Duration::ZERO, 0), |(_, connection)| {
                let stats = connection.stats();
                (stats.path.cwnd, stats.path.rtt, stats.path.lost_packets)
            })
    }

    fn events(&mut self, now: Duration) {
        let Some((_, connection)) = &mut self.connection else {
            return;
        };
        let mut readable = Vec::new();
        while let Some(event) = connection.poll() {
            match event {
                Event::Connected if connection.side().is_client() => {
                    self.bulk = connection.streams().open(Dir::Uni);
                    self.is_writing = true;
                }
                Event::Stream(StreamEvent::Opened { dir }) => {
                    while let Some(id) = connection.streams().accept(dir) {
                        self.bulk.get_or_insert(id);
                        readable.push(id);
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                Event::Stream(StreamEvent::Writable { .. }) => self.is_writing = true,
                Event::ConnectionLost { reason } => panic!("lost at {now:?}: {reason}"),
                _ => {}
            }
        }
        for id in readable {
            self.read(id, now);
        }
    }

    fn read(&mut self, id: StreamId, now: Duration) {
        let Some((_, connection)) = &mut self.connection else {
            return;
        };
        let mut stream = connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            return;
        };
        loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) if Some(id) == self.bulk => {
                    self.received += chunk.bytes.len() as u64;
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.messages.insert(id, now);
                    break;
                }
                Err(_) => break,
            }
        }
        let _ = chunks.finalize();
    }

    fn write(&mut self) {
        static PIECE: [u8; 64 << 10] = [1; 64 << 10];
        let (Some((_, connection)), Some(id)) = (&mut self.connection, self.bulk) else {
            return;
        };
        loop {
            let piece = Bytes::from_static(&PIECE);
            match connection.send_stream(id).write_chunks(&mut [piece]) {
                Ok(_) => {}
                Err(WriteError::Blocked) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.is_writing = false;
    }
}

fn endpoint(mtu: u16, random: &mut Random) -> Arc<EndpointConfig> {
    let mut config = EndpointConfig::default();
    config.rng_seed(Some(random.seed()));
    config.max_udp_payload_size(mtu).unwrap();
    Arc::new(config)
}

fn transport(control: Arc<dyn ControllerFactory + Send + Sync>, mtu: u16) -> Arc<TransportConfig> {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(1024))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::MAX)
        .send_window(SEND_WINDOW)
        .congestion_controller_factory(control)
        .mtu_discovery_config(Some(discovery));
    Arc::new(config)
}
