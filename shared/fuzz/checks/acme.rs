//! Whatever an authority answers, an order goes on or fails, and the relay does not.
//!
//! The responses are the parts of the input between bytes of 0xff: a byte for the status, a line with how long to
//! wait, and a body.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};

use adit_relay::acme::certificate::Certificate;
use adit_relay::acme::http::{checked, wait};
use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, CertificateIdentifier, ChallengeType,
    Error, HttpClient, Identifier, NewOrder,
};
use rcgen::KeyPair;
use rustls::pki_types::Der;

pub(crate) fn check(data: &[u8]) {
    let parts: VecDeque<_> = data
        .split(|byte| *byte == 0xff)
        .map(Bytes::copy_from_slice)
        .collect();
    let script = Script(Arc::new(Mutex::new(parts)));
    // A client that never waits ends at once, however it ends.
    let mut work = std::pin::pin!(order(script));
    let waker = std::task::Waker::noop();
    let polled = work
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    assert!(polled.is_ready());
}

/// Everything that is asked of an authority, as far as it lets us.
async fn order(script: Script) -> Result<(), Error> {
    let account = Account::builder_with_http(Box::new(script));
    let account = account.from_credentials(credentials()).await?;
    let id = CertificateIdentifier::new(Der::from_slice(b"authority"), Der::from_slice(b"number"));
    drop(account.renewal_info(&id).await);
    let names = [Identifier::Dns("app.example".into())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let _ = authorization.identifier().to_string();
        if let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) {
            let key = challenge.key_authorization();
            assert!(key.as_str().starts_with(challenge.token.as_str()));
            challenge.set_ready().await?;
        }
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?.refresh().await?;
    }
    order.refresh().await?;
    order.finalize_csr(b"a request").await?;
    if let Some(chain) = order.certificate().await? {
        drop(Certificate::read(&chain, Vec::new()));
    }
    Ok(())
}

fn credentials() -> AccountCredentials {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        use base64::Engine as _;
        let key = KeyPair::generate().expect("a key").serialize_der();
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key);
        format!(
            r#"{{"id": "https://ca.example/acct/1", "key_pkcs8": "{key}", "directory": "https://ca.example/dir"}}"#
        )
    });
    serde_json::from_str(&TEXT).expect("credentials")
}

/// Answers one after the other.
struct Script(Arc<Mutex<VecDeque<Bytes>>>);

impl HttpClient for Script {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let is_head = request.method() == Method::HEAD;
        let part = if is_head {
            Some(Bytes::new())
        } else {
            self.0.lock().expect("a script").pop_front()
        };
        Box::pin(async move {
            let response = response(&part.ok_or(Error::Str("no more"))?);
            let response = checked(response).map_err(|error| Error::Other(error.into()))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

fn response(part: &Bytes) -> Response<Bytes> {
    let (&how, rest) = part.split_first().unwrap_or((&0, &[]));
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, body) = end.map_or((&b""[..], rest), |end| (&rest[..end], &rest[end + 1..]));
    let status = [200, 201, 400, 403, 429, 503][usize::from(how) % 6];
    let mut response = Response::new(Bytes::copy_from_slice(body));
    *response.status_mut() = status.try_into().expect("a status");
    let fields = response.headers_mut();
    fields.insert("replay-nonce", HeaderValue::from_static("nonce"));
    fields.insert(
        LOCATION,
        HeaderValue::from_static("https://ca.example/order/1"),
    );
    if let Ok(value) = HeaderValue::from_bytes(line) {
        let _ = wait(&value);
        if !value.is_empty() {
            fields.insert(RETRY_AFTER, value);
        }
    }
    response
}
