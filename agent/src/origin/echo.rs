//! The built-in origin: it shows what it received, and sends the body back as it comes.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use adit_shared::wire::head;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

/// Answers any request: the head as text, an empty line, then the request's own body.
pub fn answer<B>(head: &head::Request, body: B) -> Response<Echo>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let start = (head.method != Method::HEAD).then(|| describe(head).into());
    let body = (start.is_some() && !head.end).then(|| body.map_err(Into::into).boxed_unsync());
    let mut response = Response::new(Echo { start, body });
    let fields = response.headers_mut();
    fields.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn describe(head: &head::Request) -> String {
    let mut text = String::with_capacity(512);
    let authority = String::from_utf8_lossy(head.authority.as_bytes());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {}\nhost: {authority}", head.method, head.target);
    for (name, value) in &head.fields {
        let _ = writeln!(
            text,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
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
