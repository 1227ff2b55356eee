//! Visitors: raw bytes, HTTP/1.1, HTTP/2.

use std::sync::Arc;

use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::task::Tasks;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::Span;

use crate::{World, soon};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub fields: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an answer of the relay's own.
    pub fn error(&self) -> Option<&str> {
        self.fields.get("adit-error")?.to_str().ok()
    }
}

impl World {
    /// A request without body over HTTP/1.1, on a connection of its own.
    pub async fn get(&self, name: &str, target: &str) -> Answer {
        let host = self.host(name);
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        self.say(request.as_bytes()).await
    }

    /// A request with body over HTTP/1.1, on a connection of its own.
    pub async fn post(&self, name: &str, target: &str, body: &[u8]) -> Answer {
        let host = self.host(name);
        let len = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len}\r\n\
             connection: close\r\n\r\n"
        );
        self.say(&[head.as_bytes(), body].concat()).await
    }

    /// Sends these bytes and reads a response until the relay closes.
    pub async fn say(&self, bytes: &[u8]) -> Answer {
        parse(&self.raw(bytes).await)
    }

    /// Sends these bytes and reads everything until the relay closes.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.dial().await;
        soon("an answer", async {
            drop(stream.write_all(bytes).await);
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer).await);
            answer
        })
        .await
    }

    /// What the relay's operators read at `path`.
    pub async fn admin_text(&self, path: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(
            "an answer for operators",
            stream.read_to_string(&mut answer),
        )
        .await
        .unwrap();
        answer
    }

    /// A connection to the relay's listener without TLS.
    pub async fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A connection over TLS for HTTP/1.1, asking for `server_name`.
    pub async fn dial_tls(&self, server_name: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        self.tls_on(stream, server_name, b"http/1.1").await
    }

    /// TLS on a connection to the relay's listener for it, asking for `server_name` and `protocol`.
    pub async fn tls_on(
        &self,
        stream: TcpStream,
        server_name: &str,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        let trust = Trust::Roots(read_certificates(&self.ca()).unwrap());
        let config = Arc::new(tls::client(&trust, &[protocol]).unwrap());
        let name = server_name.to_owned().try_into().unwrap();
        let connector = TlsConnector::from(config);
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    }

    /// HTTP/2 to the relay's listener without TLS.
    pub async fn h2c(&self) -> H2 {
        H2::on(self.dial().await).await
    }

    /// HTTP/2 over TLS, asking for `server_name`.
    pub async fn h2(&self, server_name: &str) -> H2 {
        let stream = TcpStream::connect(self.https).await.unwrap();
        H2::on(self.tls_on(stream, server_name, b"h2").await).await
    }

    /// HTTP/1.1 over TLS: sends these bytes and reads everything until the relay closes.
    pub async fn raw_tls(&self, server_name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.dial_tls(server_name).await;
        soon("an answer", async {
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer).await);
            answer
        })
        .await
    }
}

/// A connection over HTTP/2.
#[derive(Debug)]
pub struct H2 {
    sender: SendRequest<Bytes>,
    tasks: Tasks,
}

impl H2 {
    /// On a connection that was made for it.
    pub async fn on(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let tasks = Tasks::default();
        tasks.spawn(Span::none(), async move { drop(connection.await) });
        Self { sender, tasks }
    }

    /// The way to send requests.
    pub async fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone().ready().await.unwrap()
    }

    /// Sends a request without body and reads the response.
    ///
    /// # Errors
    ///
    /// How the stream failed.
    pub async fn get(&self, url: &str) -> Result<(Answer, Option<HeaderMap>), h2::Error> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .body(())
            .unwrap();
        self.send(request, Bytes::new()).await
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
    ) -> Result<(Answer, Option<HeaderMap>), h2::Error> {
        let mut sender = self.sender().await;
        let (response, mut stream) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        soon("an answer over HTTP/2", async {
            let (parts, mut recv) = response.await?.into_parts();
            let body = rest(&mut recv).await?;
            let trailers = recv.trailers().await?;
            let answer = Answer {
                status: parts.status,
                fields: parts.headers,
                body: body.into(),
            };
            Ok((answer, trailers))
        })
        .await
    }
}

impl Drop for H2 {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// Reads what is left of a body over HTTP/2.
///
/// # Errors
///
/// How the stream failed.
pub async fn rest(recv: &mut h2::RecvStream) -> Result<Vec<u8>, h2::Error> {
    soon("the rest of a body", async {
        let mut body = Vec::new();
        while let Some(data) = recv.data().await {
            let data = data?;
            recv.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        Ok(body)
    })
    .await
}

/// Reads one HTTP/1.1 response, with length or chunked.
pub fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no response: {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let mut fields = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: http::HeaderName = name.parse().unwrap();
        fields.append(name, value.trim().parse().unwrap());
    }
    let rest = &bytes[end + 4..];
    let chunked = fields
        .get("transfer-encoding")
        .is_some_and(|value| value == "chunked");
    let body = if chunked {
        unchunk(rest).0
    } else {
        rest.to_vec()
    };
    Answer {
        status,
        fields,
        body: body.into(),
    }
}

/// The data of a chunked body, and what follows the last chunk (trailers); panics when it is cut.
pub fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, String) {
    let mut body = Vec::new();
    loop {
        let line = bytes
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunked body was cut");
        let size = std::str::from_utf8(&bytes[..line]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
        bytes = &bytes[line + 2..];
        if size == 0 {
            return (body, String::from_utf8_lossy(bytes).into_owned());
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}
