//! Cleartext visitors of a public relay are sent to HTTPS, if their host is served here.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use adit_shared::name::RequestId;
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::serve::{Body, Service};
use crate::forward::{ForwardError, headers};

/// Serves one connection: every request is answered by where to ask instead.
pub async fn serve(stream: TcpStream, https: u16, service: Arc<Service>) {
    let (stop, head_timeout) = (service.tasks.clone(), service.head_timeout);
    let handle = service_fn(move |request| {
        let response = redirect(&service, https, request);
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
        tracing::debug!(side = "visitor", %error, "connection ended");
    }
}

fn redirect(service: &Service, https: u16, mut request: Request<Incoming>) -> Response<Body> {
    match location(service, https, &mut request) {
        Ok(location) => {
            let mut response = Response::new(Body::own(bytes::Bytes::new()));
            // Unlike 301, it keeps method and body (RFC 9110 section 15.4.9).
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(error) => {
            let answer = Answer::from(&error);
            service.metrics.answer(answer.code);
            answer
                .response(request.headers(), &RequestId::fresh())
                .map(Body::own)
        }
    }
}

/// The same URL with HTTPS, only for hosts that are known here: a relay redirects nobody elsewhere.
fn location(
    service: &Service,
    https: u16,
    request: &mut Request<Incoming>,
) -> Result<HeaderValue, ForwardError> {
    let (version, uri) = (request.version(), request.uri().clone());
    let (_, host) = headers::take_authority(version, &uri, request.headers_mut())?;
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
