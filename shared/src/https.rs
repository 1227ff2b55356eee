//! A small HTTPS client for what is asked of strangers' servers now and then: an authority of certificates, a DNS
//! provider, whoever signs webhooks. One connection for each request, everything bounded, no redirect followed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::quic::tls::{self, TlsError, Trust};

/// Asks servers over HTTPS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    tls: Arc<ClientConfig>,
    at: Option<SocketAddr>,
    patience: Duration,
    largest: usize,
}

impl Client {
    /// A client that believes servers by `trust`, waits for `patience` for each response, and takes no body
    /// above `largest` bytes.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn new(trust: &Trust, patience: Duration, largest: usize) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Arc::new(tls::client(trust, &[b"http/1.1"])?),
            at: None,
            patience,
            largest,
        })
    }

    /// The same, which finds all servers at this address, whatever DNS says. They still have to prove who they
    /// are.
    pub fn at(self, at: Option<SocketAddr>) -> Self {
        Self { at, ..self }
    }

    /// Sends a request, whose URL is whole, and reads the response. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; a status is none.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = timeout(self.patience, self.exchange(request));
        exchange.await.map_err(|_| HttpError::Late(self.patience))?
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let stream = self.connect(&uri).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let request = in_origin_form(request.map(Full::new), &uri)?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, self.largest).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Http(*error),
                Err(error) if error.is::<LengthLimitError>() => HttpError::Large(self.largest),
                Err(_) => HttpError::Cut,
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            response = &mut exchange => response,
            // What was read before the end is still to be taken.
            _ = &mut connection => exchange.await,
        }
    }

    async fn connect(
        &self,
        uri: &Uri,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, HttpError> {
        if uri.scheme_str() != Some("https") {
            return Err(HttpError::Url(uri.to_string()));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| HttpError::Url(uri.to_string()))?;
        let fail = |error| HttpError::Connect(host.to_owned(), error);
        let port = uri.port_u16().unwrap_or(443);
        let stream = match self.at {
            None => TcpStream::connect((host, port)).await,
            Some(at) => TcpStream::connect(at).await,
        };
        let stream = stream.map_err(fail)?;
        let tls = TlsConnector::from(self.tls.clone());
        tls.connect(name, stream).await.map_err(fail)
    }
}

/// The request as a server wants it (RFC 9112 section 3.2.1).
fn in_origin_form(
    mut request: Request<Full<Bytes>>,
    uri: &Uri,
) -> Result<Request<Full<Bytes>>, HttpError> {
    let bad = || HttpError::Url(uri.to_string());
    let authority = uri.authority().ok_or_else(bad)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
    request.headers_mut().insert(HOST, host);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().map_err(|_| bad())?;
    Ok(request)
}

/// Why there is no response.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The URL cannot be asked.
    #[error("{0} is no https:// URL")]
    Url(String),
    /// There is no connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    /// What came is no HTTP, or was cut.
    #[error("no proper response: {0}")]
    Http(#[from] hyper::Error),
    /// The response was cut.
    #[error("the response was cut")]
    Cut,
    /// The response is larger than any that makes sense.
    #[error("the response is larger than {0} bytes")]
    Large(usize),
    /// Nothing came.
    #[error("no response in {0:?}")]
    Late(Duration),
}
