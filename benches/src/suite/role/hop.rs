//! A reverse proxy of one hop, bare: hyper in front, hyper behind, connections kept. It does none of
//! what a relay must (no routes, no limits, no rewriting of heads), so it is a ceiling.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use adit_relay::edge::tls::Certificates;
use adit_shared::quic::tls;
use anyhow::Context as _;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{listener, say, spawn, until_closed};

pub(super) async fn run(origin: SocketAddr, state: &Path) -> anyhow::Result<()> {
    let domain = "localhost".parse()?;
    let certificates = Arc::new(Certificates::development(state, &domain)?);
    let ca = certificates.ca_path().map(Path::to_owned);
    let config = tls::server(certificates, &[b"h2", b"http/1.1"])?;
    let (plain, http) = listener()?;
    let (secure, https) = listener()?;
    say(&serde_json::json!({ "http": http, "https": https, "ca": ca }))?;
    let pool = Pool {
        origin,
        idle: Arc::default(),
    };
    spawn(listen(plain, None, pool.clone()));
    spawn(listen(
        secure,
        Some(TlsAcceptor::from(Arc::new(config))),
        pool,
    ));
    until_closed().await
}

async fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, pool: Pool) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, pool) = (tls.clone(), pool.clone());
        spawn(async move {
            drop(stream.set_nodelay(true));
            // How a visitor leaves is its own business.
            drop(connection(stream, tls, pool).await);
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, pool: Pool) -> anyhow::Result<()> {
    let service = service_fn(move |request| pool.clone().forward(request));
    let Some(tls) = tls else {
        let io = TokioIo::new(stream);
        let serve = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
        return Ok(serve.await?);
    };
    let stream = tls.accept(stream).await?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    if is_h2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service).await?;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        builder.serve_connection(io, service).await?;
    }
    Ok(())
}

/// Connections to the origin that are free.
#[derive(Clone)]
struct Pool {
    origin: SocketAddr,
    idle: Arc<Mutex<Vec<SendRequest<Incoming>>>>,
}

impl Pool {
    async fn forward(self, mut request: Request<Incoming>) -> anyhow::Result<Response<Pooled>> {
        if request.version() == Version::HTTP_2 {
            let authority = request
                .uri()
                .authority()
                .map(|authority| authority.as_str());
            let host = HeaderValue::from_str(authority.unwrap_or_default())?;
            let path = request.uri().path_and_query().cloned();
            let path = path.context("a request without a path")?;
            request.headers_mut().insert(HOST, host);
            *request.uri_mut() = Uri::from(path);
            *request.version_mut() = Version::HTTP_11;
        }
        let mut sender = self.connection().await?;
        let response = sender.send_request(request).await?;
        Ok(response.map(|body| Pooled {
            body,
            way: Some((sender, self)),
        }))
    }

    async fn connection(&self) -> anyhow::Result<SendRequest<Incoming>> {
        loop {
            let idle = self.idle().pop();
            let Some(mut sender) = idle else { break };
            // The one before has been read to its end; the connection notices within a turn.
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.origin).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Incoming>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body whose connection goes back to the pool at its end.
struct Pooled {
    body: Incoming,
    way: Option<(SendRequest<Incoming>, Pool)>,
}

impl Pooled {
    fn give_back(&mut self) {
        if let Some((sender, pool)) = self.way.take() {
            pool.idle().push(sender);
        }
    }
}

impl Body for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Pooled {
    /// A body without bytes is never asked for any.
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }
}
