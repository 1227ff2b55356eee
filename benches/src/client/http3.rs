//! HTTP/3.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use adit_shared::task::Tasks;
use bytes::{Buf as _, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{ConnectionError, StreamError};
use h3::quic::{RecvStream, SendStream};
use h3_quinn::OpenStreams;
use http::{Method, Response, Version};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, TransportConfig, VarInt};
use tracing::Span;

use super::Recipe;
use super::dial::Dialer;
use super::shared::{Shared, both, whole};
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::sizes::Body;

/// One stream at a time of a connection that may be shared.
#[derive(Clone)]
pub(crate) struct Http3 {
    sockets: Arc<Sockets>,
    recipe: Arc<Recipe>,
    tasks: Tasks,
    shared: Arc<Shared<Link>>,
    held: Option<Link>,
    /// The number of the connection that is, or was, held.
    number: u64,
}

/// A connection.
#[derive(Clone)]
struct Link {
    connection: quinn::Connection,
    sender: SendRequest<OpenStreams, Bytes>,
}

impl Http3 {
    /// The first lane of a connection; its clones are the others.
    pub(crate) fn new(sockets: Arc<Sockets>, recipe: Arc<Recipe>, tasks: Tasks) -> Self {
        Self {
            sockets,
            recipe,
            tasks,
            shared: Arc::new(Shared::new()),
            held: None,
            number: 0,
        }
    }

    /// Opens the connection, or waits for another lane that does. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        let is_open = |link: &Link| link.connection.close_reason().is_none();
        if self.held.as_ref().is_some_and(is_open) {
            return Ok(());
        }
        let open = self.sockets.open(&self.tasks);
        let (number, link) = self.shared.get(self.number, open).await?;
        self.number = number;
        self.held = Some(link);
        Ok(())
    }

    /// Sends a request and takes its answer. Dropping it resets the stream.
    pub(crate) async fn exchange(&mut self, body: &Body, tally: &Tally) -> Result<Answer, Failure> {
        if self.recipe.close {
            self.held = None;
        }
        self.connect().await?;
        let request = self.recipe.request(Version::HTTP_3, body);
        let link = self.held.as_mut().ok_or(Failure::Connect)?;
        let mut sent = link.sender.send_request(request.clone()).await;
        if matches!(sent, Err(StreamError::RemoteClosing { .. })) {
            // The server said before that it takes no more on this connection.
            self.held = None;
            self.connect().await?;
            let link = self.held.as_mut().ok_or(Failure::Connect)?;
            sent = link.sender.send_request(request).await;
        }
        let (sending, receiving) = sent.map_err(|error| failure(&error))?.split();
        let is_head = self.recipe.method == Method::HEAD;
        let receive = receive(receiving, is_head, tally);
        let response = both(send(sending, body, tally), receive).await?;
        if self.recipe.close {
            self.shared.close(self.number).await;
            if let Some(link) = self.held.take() {
                link.connection.close(NO_ERROR, b"");
            }
        }
        Ok(Answer::new(&response))
    }
}

impl std::fmt::Debug for Http3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http3").finish_non_exhaustive()
    }
}

/// Sends a body as the server takes it. Should that fail, the answer says why.
async fn send<S: SendStream<Bytes>>(
    mut stream: RequestStream<S, Bytes>,
    body: &Body,
    tally: &Tally,
) {
    let mut at = 0;
    while at < body.len() {
        let piece = body.piece(at);
        let len = piece.len() as u64;
        if stream.send_data(piece).await.is_err() {
            return;
        }
        at += len;
        tally.sent(len);
    }
    drop(stream.finish().await);
}

async fn receive<S: RecvStream>(
    mut stream: RequestStream<S, Bytes>,
    is_head: bool,
    tally: &Tally,
) -> Result<Response<()>, Failure> {
    let response = loop {
        let response = stream.recv_response().await;
        let response = response.map_err(|error| failure(&error))?;
        if !response.status().is_informational() {
            break response;
        }
    };
    let mut received = 0;
    while let Some(mut data) = stream.recv_data().await.map_err(|error| failure(&error))? {
        received += data.remaining() as u64;
        while data.has_remaining() {
            let len = data.chunk().len();
            tally.received(data.chunk());
            data.advance(len);
        }
    }
    if whole(&response, is_head, received) {
        Ok(response)
    } else {
        Err(Failure::Body)
    }
}

/// UDP sockets, one for each family of addresses: all connections share them.
#[derive(Debug)]
pub(crate) struct Sockets {
    dialer: Arc<Dialer>,
    four: OnceLock<Endpoint>,
    six: OnceLock<Endpoint>,
}

impl Sockets {
    pub(crate) fn new(dialer: Arc<Dialer>) -> Self {
        Self {
            dialer,
            four: OnceLock::new(),
            six: OnceLock::new(),
        }
    }

    async fn open(&self, tasks: &Tasks) -> Result<Link, Failure> {
        let mut last = Failure::Connect;
        for address in self.dialer.addresses() {
            match self.dial(*address, tasks).await {
                Ok(link) => return Ok(link),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn dial(&self, address: SocketAddr, tasks: &Tasks) -> Result<Link, Failure> {
        let (tls, name) = self.dialer.tls().ok_or(Failure::Tls)?;
        let crypto = QuicClientConfig::try_from(tls.clone()).map_err(|_| Failure::Tls)?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport()));
        let connecting = self
            .endpoint(address)?
            .connect_with(config, address, &name.to_str())
            .map_err(|_| Failure::Connect)?;
        let connection = connecting.await.map_err(|error| dialling(&error))?;
        let quic = h3_quinn::Connection::new(connection.clone());
        let (mut driver, sender) = h3::client::builder()
            .send_grease(false)
            .build(quic)
            .await
            .map_err(|_| Failure::Protocol)?;
        self.dialer.count();
        // How it ends is known to whoever uses it.
        tasks.spawn(Span::none(), async move { drop(driver.wait_idle().await) });
        Ok(Link { connection, sender })
    }

    fn endpoint(&self, address: SocketAddr) -> Result<&Endpoint, Failure> {
        let (kept, local): (_, SocketAddr) = match address {
            SocketAddr::V4(_) => (&self.four, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (&self.six, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        if let Some(endpoint) = kept.get() {
            return Ok(endpoint);
        }
        let endpoint = Endpoint::client(local).map_err(|_| Failure::Connect)?;
        Ok(kept.get_or_init(|| endpoint))
    }
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(None);
    config
}

fn dialling(error: &quinn::ConnectionError) -> Failure {
    match error {
        // Alerts of TLS (RFC 9001 section 4.8).
        quinn::ConnectionError::TransportError(error)
            if (0x100..0x200).contains(&u64::from(error.code)) =>
        {
            Failure::Tls
        }
        quinn::ConnectionError::ConnectionClosed(close)
            if (0x100..0x200).contains(&u64::from(close.error_code)) =>
        {
            Failure::Tls
        }
        _ => Failure::Connect,
    }
}

fn failure(error: &StreamError) -> Failure {
    match error {
        StreamError::StreamError { .. }
        | StreamError::HeaderTooBig { .. }
        | StreamError::ConnectionError {
            0: ConnectionError::Local { .. },
            ..
        } => Failure::Protocol,
        _ => Failure::Reset,
    }
}

/// `H3_NO_ERROR`.
const NO_ERROR: VarInt = VarInt::from_u32(0x100);
/// What one stream may send before it is read: enough for a fast path of some length.
const STREAM_WINDOW: u32 = 4 << 20;
/// Likewise, all streams together.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// What may be under way to the server.
const SEND_WINDOW: u64 = 16 << 20;
/// An open loop may be slower than a server's patience.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
