//! What is asked of an authority or a DNS provider, which may ask to be left alone for a while.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adit_shared::https;
pub use adit_shared::https::HttpError;
use adit_shared::quic::tls::{TlsError, Trust};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
            let response = client.send(request).await.and_then(checked);
            let response = response.map_err(|error| other(error.into()))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

/// Takes out of an authority's answer what the library would panic over, and with it the task that keeps
/// certificates: a number of seconds that time does not have, and a directory that names no URL for its first
/// request.
///
/// # Errors
///
/// [`HttpError::Url`].
pub fn checked(mut response: Response<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let told = response.headers().get(RETRY_AFTER);
    let seconds = told.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    if seconds.is_some_and(|seconds| seconds > LONGEST.as_secs()) {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, LONGEST.as_secs().into());
    }
    // What is no directory to us is none to the library, which looks closer.
    if let Ok(Directory { new_nonce }) = serde_json::from_slice(response.body()) {
        match new_nonce {
            Some(place) if place.parse::<Uri>().is_err() => return Err(HttpError::Url(place)),
            _ => {}
        }
    }
    Ok(response)
}

/// An authority's directory (RFC 8555 section 7.1.1), read as the library reads it: the fields may have no names, and what
/// stands in the others need not even be text.
struct Directory {
    new_nonce: Option<String>,
}

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(DirectoryVisitor)
    }
}

struct DirectoryVisitor;

impl<'de> Visitor<'de> for DirectoryVisitor {
    type Value = Directory;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a directory")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Directory, A::Error> {
        let mut new_nonce = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == "newNonce" {
                new_nonce = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Directory { new_nonce })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Directory, A::Error> {
        let new_nonce = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Directory { new_nonce })
    }
}

/// How long `Retry-After` says to wait: seconds, or a date (RFC 9110 section 10.2.3). Nothing when it is neither,
/// or past.
pub fn wait(value: &HeaderValue) -> Option<Duration> {
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

    #[test]
    fn no_answer_lets_the_library_panic() {
        let answer = |after: &str, body: &str| {
            let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
            let after = after.parse().unwrap();
            response.headers_mut().insert(RETRY_AFTER, after);
            checked(response)
        };
        let after = |text| answer(text, "{}").unwrap().headers()[RETRY_AFTER].clone();
        assert_eq!(after("18446744073709551615"), "604800");
        for kept in ["120", "604800", "Fri, 31 Dec 1999 23:59:59 GMT", "soon"] {
            assert_eq!(after(kept), kept);
        }
        for bad in [
            r#"{"newNonce": "a b"}"#,
            r#"{"newNonce": ""}"#,
            r#"["%", "", ""]"#,
        ] {
            assert!(matches!(answer("1", bad), Err(HttpError::Url(_))), "{bad}");
        }
        // What stands elsewhere need not be text.
        let mut body = br#"{"newNonce": "a b", "other": "#.to_vec();
        body.extend([b'"', 0x82, b'"', b'}']);
        let answer_of = |body: Vec<u8>| checked(Response::new(body.into()));
        assert!(answer_of(body).is_err());
        for good in [
            "",
            "[]",
            r#"{"newNonce": "https://ca.example/nonce"}"#,
            "no JSON",
        ] {
            assert_eq!(answer("1", good).unwrap().body(), good);
        }
    }
}
