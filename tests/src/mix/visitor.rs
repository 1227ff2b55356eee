//! Visitors that ask for one thing, and see whether it is what the origin sent.

use std::net::SocketAddr;

use adit_shared::task::Tasks;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::Span;

use super::Words;
use super::origin::{Body, SMALL};

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// With all that the origin sent, and nothing else.
    Whole,
    /// With an error of the relay's.
    Refused(u16, String),
    /// Without an end that looks like one.
    Cut,
}

/// Where visitors of one name go.
#[derive(Clone, Debug)]
pub struct Door {
    /// The relay's listener without TLS.
    pub address: SocketAddr,
    /// The host that is asked for.
    pub host: String,
}

impl Door {
    /// A short request.
    pub async fn small(&self, id: u64) -> Outcome {
        let request = self.request(Method::GET, &format!("/small/{id}"), none());
        self.bytes(request, id, SMALL as u64).await
    }

    /// A download of `len` bytes.
    pub async fn download(&self, id: u64, len: u64) -> Outcome {
        let request = self.request(Method::GET, &format!("/down/{id}/{len}"), none());
        self.bytes(request, id, len).await
    }

    /// A download of `len` bytes that come slowly, and do not say how many they are.
    pub async fn slow(&self, id: u64, len: u64) -> Outcome {
        let request = self.request(Method::GET, &format!("/slow/{id}/{len}"), none());
        self.bytes(request, id, len).await
    }

    /// A switched protocol: so many messages, each sent when the one before has come back.
    pub async fn socket(&self, id: u64, messages: u64) -> Outcome {
        let mut request = self.request(Method::GET, "/socket", none());
        let fields = request.headers_mut();
        fields.insert("connection", HeaderValue::from_static("upgrade"));
        fields.insert("upgrade", HeaderValue::from_static("echo"));
        let Ok((response, _connection)) = self.send(request).await else {
            return Outcome::Cut;
        };
        if response.status() != 101 {
            return refused(&response);
        }
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let mut stream = TokioIo::new(upgraded);
        let (mut words, mut heard) = (Words::new(id), Words::new(id));
        let mut piece = vec![0; 100];
        for _ in 0..messages {
            let said = stream.write_all(&words.take(piece.len())).await;
            if said.is_err() || stream.read_exact(&mut piece).await.is_err() {
                return Outcome::Cut;
            }
            assert!(heard.check(&piece), "a socket says what was said");
        }
        Outcome::Whole
    }

    /// A POST of `len` bytes that must never come twice.
    pub async fn post(&self, id: u64, len: usize) -> Outcome {
        let body = Full::new(Words::new(id).take(len)).boxed_unsync();
        let request = self.request(Method::POST, &format!("/once/{id}"), body);
        self.said(request, &format!("{len} true")).await
    }

    /// The same, of which a piece is sent at a time.
    pub async fn post_in_pieces(&self, id: u64, len: usize) -> Outcome {
        let mut words = Words::new(id);
        let pieces = unfold(len, move |left| {
            let some = left.min(4096);
            let piece = (some > 0).then(|| (Ok(Frame::data(words.take(some))), left - some));
            async move { piece }
        });
        let body = StreamBody::new(pieces).boxed_unsync();
        let request = self.request(Method::POST, &format!("/once/{id}"), body);
        self.said(request, &format!("{len} true")).await
    }

    async fn bytes(&self, request: Request<Body>, id: u64, len: u64) -> Outcome {
        let mut words = Words::new(id);
        let outcome = self.ask(request, |data| {
            assert!(words.check(data), "other bytes than the origin's");
        });
        let outcome = outcome.await;
        let short = outcome == Outcome::Whole && words.count() != len;
        assert!(!short, "{} bytes of {len} passed for all", words.count());
        outcome
    }

    async fn said(&self, request: Request<Body>, what: &str) -> Outcome {
        let mut body = Vec::new();
        let outcome = self.ask(request, |data| body.extend_from_slice(data)).await;
        if outcome == Outcome::Whole {
            assert_eq!(String::from_utf8_lossy(&body), what, "the origin got it");
        }
        outcome
    }

    async fn ask(&self, request: Request<Body>, mut each: impl FnMut(&[u8])) -> Outcome {
        let Ok((response, _connection)) = self.send(request).await else {
            return Outcome::Cut;
        };
        if response.status() != 200 {
            return refused(&response);
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => each(frame.data_ref().map_or(&[], |data| data)),
                Err(_) => return Outcome::Cut,
            }
        }
        Outcome::Whole
    }

    /// Sends a request over HTTP/1.1 on a connection of its own, which lives as long as what is
    /// returned beside the response.
    ///
    /// # Errors
    ///
    /// How the connection ended without a response.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
    ) -> hyper::Result<(Response<Incoming>, Connection)> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let tasks = Tasks::default();
        tasks.spawn(Span::none(), async move {
            drop(connection.with_upgrades().await);
        });
        let alive = Connection(tasks);
        Ok((sender.send_request(request).await?, alive))
    }

    pub(super) fn request(&self, method: Method, target: &str, body: Body) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", &self.host)
            .body(body)
            .unwrap()
    }
}

fn refused(response: &Response<Incoming>) -> Outcome {
    let code = response.headers().get("adit-error");
    let code = code.map_or("", |code| code.to_str().unwrap());
    Outcome::Refused(response.status().as_u16(), code.to_owned())
}

/// No body.
pub(super) fn none() -> Body {
    Empty::<Bytes>::new().boxed_unsync()
}

/// A visitor's connection; closed when dropped.
#[derive(Debug)]
pub(super) struct Connection(Tasks);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
