//! Cleartext visitors of a public relay are sent to HTTPS, if their host is served here; a certificate
//! authority that asks about one is answered.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use adit_shared::name::RequestId;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::answer::{Answer, Form};
use super::serve::Service;
use crate::forward::ForwardError;
use crate::forward::headers::Authority;

/// Serves one connection: every request is answered by where to ask instead. Dropping it closes
/// the connection.
pub async fn serve(stream: TcpStream, https: u16, service: Arc<Service>) {
    let (stop, head_timeout) = (service.tasks.clone(), service.patience.head);
    let metrics = service.metrics.clone();
    let handle = service_fn(move |request| {
        let response = redirect(&service, https, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), handle);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        biased;
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        result = connection.as_mut() => result,
    };
    if let Err(error) = result {
        if error.is_timeout() {
            metrics.limited("head-timeout");
        }
        tracing::debug!(side = "visitor", %error, "connection ended");
    }
}

fn redirect(service: &Service, https: u16, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if let Some(issued) = &service.issued
        && let Some(answer) = issued.challenges.at_path(request.uri().path())
    {
        return Response::new(Full::new(answer.into()));
    }
    match location(service, https, request) {
        Ok(location) => {
            let mut response = Response::new(Full::default());
            // Unlike 301, it keeps method and body (RFC 9110 section 15.4.9).
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(error) => {
            let answer = Answer::from(&error);
            service.metrics.answer(answer.code);
            let accept = request.headers().get_all(ACCEPT).iter();
            let form = Form::preferred(accept.map(HeaderValue::as_bytes));
            let (head, body) = answer.response(form, &RequestId::fresh());
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = head.status;
            *response.headers_mut() = head.fields.to_map();
            response
        }
    }
}

/// The same URL with HTTPS, only for hosts that are known here: a relay redirects nobody elsewhere.
fn location(
    service: &Service,
    https: u16,
    request: &Request<Incoming>,
) -> Result<HeaderValue, ForwardError> {
    let uri = request.uri();
    let hosts = request.headers().get_all(HOST).iter();
    let target = uri.authority().map(http::uri::Authority::as_str);
    let host = Authority::of(true, target, hosts.map(HeaderValue::as_bytes))?.host()?;
    service
        .forward
        .routes
        .find(&host)
        .ok_or(ForwardError::Unknown)?;
    let port = if https == 443 {
        String::new()
    } else {
        format!(":{https}")
    };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    HeaderValue::from_str(&format!("https://{host}{port}{target}"))
        .map_err(|_| ForwardError::HeadTooLarge)
}
