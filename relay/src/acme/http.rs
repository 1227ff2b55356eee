//! What is asked of an authority or a DNS provider, which may ask to be left alone for a while.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::https;
pub use adit_shared::https::HttpError;
use adit_shared::quic::tls::{TlsError, Trust};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};

/// Asks servers over HTTPS. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    https: https::Client,
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
            https: https::Client::new(trust, PATIENCE, LARGEST)?,
            quiet_until: Arc::default(),
        })
    }

    /// Sends a request, whose URL is whole, and reads the response. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; a status is none.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.https.send(request).await?;
        self.listen(&response);
        Ok(response)
    }

    /// How long the server asked to be left alone, if it did (RFC 9110 section 10.2.3).
    pub(super) fn quiet(&self) -> Option<Duration> {
        let until = self.quiet_until.lock();
        let until = until.unwrap_or_else(PoisonError::into_inner);
        until.and_then(|until| until.checked_duration_since(Instant::now()))
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

/// Seconds, or a date.
fn wait(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    at.duration_since(jiff::Timestamp::now()).try_into().ok()
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
