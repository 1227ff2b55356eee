//! A small HTTPS client for what is asked of an authority or a DNS provider: one connection for each
//! request, everything bounded. Orders are rare, and what answers is a stranger's server.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::quic::tls::{self, TlsError, Trust};
use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Asks servers over HTTPS. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    tls: Arc<ClientConfig>,
    /// Until when the server last asked to be left alone.
    quiet_until: Arc<Mutex<Option<Instant>>>,
}

impl Client {
    /// A client that believes servers by `trust`.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub(super) fn new(trust: &Trust) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Arc::new(tls::client(trust, &[b"http/1.1"])?),
            quiet_until: Arc::default(),
        })
    }

    /// Sends a request, whose URL is whole, and reads the response. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; a status is none.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = timeout(PATIENCE, self.exchange(request));
        let response = exchange.await.map_err(|_| HttpError::Late(PATIENCE))??;
        self.listen(&response);
        Ok(response)
    }

    /// How long the server asked to be left alone, if it did (RFC 9110 section 10.2.3).
    pub(super) fn quiet(&self) -> Option<Duration> {
        let until = self.quiet_until.lock();
        let until = until.unwrap_or_else(PoisonError::into_inner);
        until.and_then(|until| until.checked_duration_since(Instant::now()))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let stream = self.connect(&uri).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let request = in_origin_form(request.map(Full::new), &uri)?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => HttpError::Http(*error),
                Err(error) if error.is::<LengthLimitError>() => HttpError::Large,
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
        let stream = TcpStream::connect((host, port)).await.map_err(fail)?;
        let tls = TlsConnector::from(self.tls.clone());
        tls.connect(name, stream).await.map_err(fail)
    }

    fn listen(&self, response: &Response<Bytes>) {
        let is_refusal = matches!(
            response.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        let told = response.headers().get(RETRY_AFTER).filter(|_| is_refusal);
        if let Some(wait) = told.and_then(wait) {
            let until = Instant::now() + wait.min(LONGEST);
            let mut quiet = self
                .quiet_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *quiet = Some(until);
        }
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let other = |error| instant_acme::Error::Other(error);
            let (head, body) = request.into_parts();
            let body = body.collect().await;
            let body = body.map_err(|never| -> instant_acme::Error { match never {} })?;
            let request = Request::from_parts(head, body.to_bytes());
            let response = client.send(request).await.map_err(|e| other(e.into()))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
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

/// Seconds, or a date.
fn wait(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    at.duration_since(jiff::Timestamp::now()).try_into().ok()
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
    #[error("the response is larger than {LARGEST} bytes")]
    Large,
    /// Nothing came.
    #[error("no response in {0:?}")]
    Late(Duration),
}

/// For one request, with its connection. An authority that is busy takes some seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// A chain of certificates has some kilobytes.
const LARGEST: usize = 1 << 20;
/// However long a server wants to be left alone.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_say_how_long_in_two_ways() {
        let seconds = HeaderValue::from_static("120");
        assert_eq!(wait(&seconds), Some(Duration::from_secs(120)));
        let date = HeaderValue::from_static("Tue, 31 Dec 2999 23:59:59 GMT");
        assert!(wait(&date).unwrap() > LONGEST);
        let past = HeaderValue::from_static("Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(wait(&past), None);
        assert_eq!(wait(&HeaderValue::from_static("soon")), None);
    }
}
