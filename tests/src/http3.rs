//! Visitors over HTTP/3: the h3 crate's client, and QUIC streams of any bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use adit_shared::quic::HTTP3;
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::task::Tasks;
use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::StreamError;
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Method, Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use tracing::Span;

use crate::visit::Answer;
use crate::{World, soon};

impl World {
    /// HTTP/3, asking for `server_name`.
    pub async fn h3(&self, server_name: &str) -> H3 {
        H3::on(
            self.quic_as_visitor(server_name, TransportConfig::default())
                .await,
        )
        .await
    }

    /// A bare connection as a visitor makes it, asking for `server_name`.
    pub async fn quic_as_visitor(&self, server_name: &str, with: TransportConfig) -> Quic {
        Quic::dial(self.quic, &self.ca(), server_name, with).await
    }
}

/// A bare connection.
#[derive(Clone, Debug)]
pub struct Quic {
    /// To the relay.
    pub connection: Connection,
    _endpoint: Endpoint,
}

impl Quic {
    /// A connection to `relay` as a visitor makes it, asking for `server_name`.
    pub async fn dial(
        relay: SocketAddr,
        ca: &Path,
        server_name: &str,
        with: TransportConfig,
    ) -> Self {
        let trust = Trust::Roots(read_certificates(ca).unwrap());
        let tls = tls::client(&trust, &[HTTP3]).unwrap();
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        config.transport_config(Arc::new(with));
        let home: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
        let endpoint = Endpoint::client(home).unwrap();
        let connecting = endpoint.connect_with(config, relay, server_name);
        let connection = soon("a connection", connecting.unwrap()).await.unwrap();
        Self {
            connection,
            _endpoint: endpoint,
        }
    }

    /// Opens a stream and writes these bytes; the end too, if it is wanted.
    pub async fn open(&self, bytes: &[u8], finish: bool) -> (SendStream, RecvStream) {
        let opened = soon("a stream", self.connection.open_bi()).await;
        let (mut send, recv) = opened.unwrap();
        // The relay may have heard enough already.
        drop(send.write_all(bytes).await);
        if finish {
            drop(send.finish());
        }
        (send, recv)
    }

    /// Opens a stream of one direction and writes these bytes.
    pub async fn open_one_way(&self, bytes: &[u8]) -> SendStream {
        let opened = soon("a stream", self.connection.open_uni()).await;
        let mut send = opened.unwrap();
        drop(send.write_all(bytes).await);
        send
    }

    /// Waits for the end of the connection, and says the code that the relay closed it with.
    pub async fn closed(&self) -> u64 {
        match soon("the end", self.connection.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("not closed by the relay: {other}"),
        }
    }
}

/// A connection of the h3 crate's client.
#[derive(Debug)]
pub struct H3 {
    /// Underneath.
    pub quic: Quic,
    sender: Sender,
    tasks: Tasks,
}

/// The way to send requests.
#[derive(Clone)]
pub struct Sender(pub SendRequest<OpenStreams, Bytes>);

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

/// A request whose answer is awaited.
pub type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

impl H3 {
    /// Speaks HTTP/3 on a connection.
    pub async fn on(quic: Quic) -> Self {
        let connection = h3_quinn::Connection::new(quic.connection.clone());
        let begun = h3::client::new(connection);
        let (mut driver, sender) = soon("HTTP/3", begun).await.unwrap();
        let tasks = Tasks::default();
        tasks.spawn(Span::none(), async move {
            drop(driver.wait_idle().await);
        });
        Self {
            quic,
            sender: Sender(sender),
            tasks,
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    ///
    /// How the stream failed.
    pub async fn begin(&self, request: Request<()>) -> Result<Stream, StreamError> {
        let Sender(mut sender) = self.sender.clone();
        soon("a stream", sender.send_request(request)).await
    }

    /// Sends a request without body and reads the response.
    ///
    /// # Errors
    ///
    /// How the stream failed.
    pub async fn get(&self, url: &str) -> Result<(Answer, Option<HeaderMap>), StreamError> {
        let request = Request::builder().method(Method::GET).uri(url);
        self.send(request.body(()).unwrap(), Bytes::new()).await
    }

    /// Sends a request and reads the response with its trailers.
    ///
    /// # Errors
    ///
    /// How the stream failed.
    pub async fn send(
        &self,
        request: Request<()>,
        body: Bytes,
    ) -> Result<(Answer, Option<HeaderMap>), StreamError> {
        let mut stream = self.begin(request).await?;
        soon("an answer over HTTP/3", async {
            if !body.is_empty() {
                stream.send_data(body).await?;
            }
            stream.finish().await?;
            let response = stream.recv_response().await?;
            let body = rest(&mut stream).await?;
            let trailers = stream.recv_trailers().await?;
            Ok((answer(response, body), trailers))
        })
        .await
    }
}

fn answer(response: Response<()>, body: Vec<u8>) -> Answer {
    let (parts, ()) = response.into_parts();
    Answer {
        status: parts.status,
        fields: parts.headers,
        body: body.into(),
    }
}

/// Reads what is left of a body.
///
/// # Errors
///
/// How the stream failed.
pub async fn rest(stream: &mut Stream) -> Result<Vec<u8>, StreamError> {
    let mut body = Vec::new();
    while let Some(data) = stream.recv_data().await? {
        let mut data = data;
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    Ok(body)
}

impl Drop for H3 {
    fn drop(&mut self) {
        self.tasks.abort();
        self.quic.connection.close(VarInt::from_u32(0x100), b"");
    }
}
