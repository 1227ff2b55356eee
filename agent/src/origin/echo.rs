//! The built-in origin: it shows what it received, and sends the body back as it comes.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use adit_shared::wire::fields::{FieldsMut, Name};
use adit_shared::wire::head;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use super::{OriginBody, OriginError, Response};

/// Answers any request: the head as text, an empty line, then the request's own body.
///
/// # Errors
///
/// None in fact: what it says is within the limits.
pub fn answer<B>(request: &head::Request, body: Option<B>) -> Result<Response, OriginError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let start = (request.method != Method::HEAD).then(|| describe(request).into());
    let body = body.filter(|_| start.is_some() && !request.end);
    let body = body.map(|body| body.map_err(Into::into).boxed_unsync());
    let body = Echo { start, body };
    let mut fields = FieldsMut::default();
    fields.put(
        CONTENT_TYPE,
        &HeaderValue::from_static("text/plain; charset=utf-8"),
    )?;
    fields.put(CACHE_CONTROL, &HeaderValue::from_static("no-store"))?;
    let head = head::Response {
        status: StatusCode::OK,
        fields: fields.take(),
        end: body.is_end_stream(),
    };
    let body = OriginBody::Echo(body);
    Ok(Response { head, body })
}

fn describe(head: &head::Request) -> String {
    let mut text = String::with_capacity(512);
    let authority = String::from_utf8_lossy(head.authority.as_bytes());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {}\nhost: {authority}", head.method, head.target);
    for (name, value) in &head.fields {
        let (name, value) = (
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value),
        );
        let _ = writeln!(text, "{name}: {value}");
    }
    text.push('\n');
    text
}

/// What the built-in origin sends.
#[derive(Debug)]
pub struct Echo {
    start: Option<Bytes>,
    body: Option<UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>,
}

impl Body for Echo {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(start))));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_none() && self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.start, &self.body) {
            (start, None) => SizeHint::with_exact(start.as_ref().map_or(0, |s| s.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}

const CONTENT_TYPE: Name = Name::new("content-type");
const CACHE_CONTROL: Name = Name::new("cache-control");
