//! Responses on their way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use adit_shared::body::recv::BodyError;
use adit_shared::chunks::Chunks;
use adit_shared::hop;
use adit_shared::http1::chunked;
use adit_shared::http1::section::put_field;
use adit_shared::wire::head;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body as _, Frame};
use thiserror::Error;
use tokio::io::AsyncWrite;

use super::super::serve::Body;
use super::head::Manners;

/// How a response's body is told from what follows it (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// There is none, whatever the fields say.
    Bodiless,
    /// There are this many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection, for visitors that know no chunks.
    Close,
}

impl Framing {
    /// Of an answer to a visitor of these manners.
    pub(super) fn of(manners: Manners, status: StatusCode, body: &Body) -> Self {
        if manners.bodiless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Self::Bodiless;
        }
        match body.size_hint().exact() {
            Some(length) => Self::Length(length),
            None if manners.is_11 => Self::Chunked,
            None => Self::Close,
        }
    }
}

/// What a response says of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate<'a> {
    /// It goes on, as it does unless something is said.
    Usual,
    /// It goes on, which an HTTP/1.0 visitor must be told.
    KeepAlive,
    /// It ends.
    Close,
    /// It is for this protocol from now on.
    Switch(&'a HeaderValue),
}

/// Writes the head of a response; `framing` is none for an interim one, and `alternative` is where else the
/// visitor may come.
pub(super) fn put_head(
    head: &head::Response,
    framing: Option<Framing>,
    fate: Fate<'_>,
    alternative: Option<&HeaderValue>,
    to: &mut BytesMut,
) {
    to.reserve(USUAL_HEAD);
    to.put_slice(b"HTTP/1.1 ");
    to.put_slice(head.status.as_str().as_bytes());
    to.put_u8(b' ');
    to.put_slice(
        head.status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    );
    to.put_slice(b"\r\n");
    let mut has_length = false;
    for (name, value) in &head.fields {
        if name == CONTENT_LENGTH {
            // RFC 9110 section 8.6.
            if head.status == StatusCode::NO_CONTENT {
                continue;
            }
            has_length = true;
        }
        put_field(name, value, to);
    }
    match framing {
        Some(Framing::Chunked) => to.put_slice(b"transfer-encoding: chunked\r\n"),
        Some(Framing::Length(0)) if !has_length => to.put_slice(b"content-length: 0\r\n"),
        _ => {}
    }
    if let Some(alternative) = alternative
        && head.fields.get("alt-svc").is_none()
    {
        put_field(b"alt-svc", alternative.as_bytes(), to);
    }
    match fate {
        Fate::Usual => {}
        Fate::KeepAlive => to.put_slice(b"connection: keep-alive\r\n"),
        Fate::Close => to.put_slice(b"connection: close\r\n"),
        Fate::Switch(protocol) => {
            to.put_slice(b"connection: upgrade\r\n");
            put_field(b"upgrade", protocol.as_bytes(), to);
        }
    }
    to.put_slice(b"\r\n");
}

/// The body of a response that is being sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The rest of it, until all of it waits to be written.
    body: Option<Body>,
    framing: Framing,
}

impl Outgoing {
    /// All of `body`, if there is to be one.
    pub(super) fn new(body: Body, framing: Framing) -> Self {
        let none = matches!(framing, Framing::Bodiless | Framing::Length(0));
        Self {
            body: Some(body).filter(|_| !none),
            framing,
        }
    }

    /// What is not gathered yet.
    pub(super) fn rest(&mut self) -> Option<&mut Body> {
        self.body.as_mut()
    }

    /// Takes what is ready of the body, so that one write takes many pieces of it.
    ///
    /// # Errors
    ///
    /// [`BodyError`]: the response is cut.
    pub(super) fn gather(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Chunks,
    ) -> Result<(), BodyError> {
        while let Some(body) = &mut self.body
            && !out.is_full()
        {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) => self.push(frame?, out),
                Poll::Ready(None) => self.end(&HeaderMap::new(), out),
            }
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame<Bytes>, out: &mut Chunks) {
        match frame.into_data() {
            Ok(data) => match &mut self.framing {
                Framing::Chunked => chunked::put(data, out),
                Framing::Length(left) => {
                    // It never has more: the body checks its length.
                    *left = left.saturating_sub(data.len() as u64);
                    out.push(data);
                    if *left == 0 {
                        self.body = None;
                    }
                }
                Framing::Close => out.push(data),
                Framing::Bodiless => {}
            },
            Err(frame) => {
                let mut fields = frame.into_trailers().unwrap_or_default();
                hop::strip_fixed(&mut fields);
                fields.remove(http::header::CONTENT_LENGTH);
                self.end(&fields, out);
            }
        }
    }

    fn end(&mut self, trailers: &HeaderMap, out: &mut Chunks) {
        self.body = None;
        if self.framing == Framing::Chunked {
            chunked::put_last(trailers, out.small());
        }
    }
}

/// Writes all of `out`.
///
/// # Errors
///
/// Whatever the socket says.
pub(super) fn poll_write<W: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    mut to: &mut W,
    out: &mut Chunks,
) -> Poll<io::Result<()>> {
    if out.is_empty() {
        return Poll::Ready(Ok(()));
    }
    while out.has_remaining() {
        if ready!(out.poll_write(cx, to))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
    }
    // TLS keeps what the socket did not take.
    Pin::new(&mut to).poll_flush(cx)
}

/// Why a response did not reach its visitor whole.
#[derive(Debug, Error)]
pub(super) enum Cut {
    /// The agent or the origin failed.
    #[error("the response was cut")]
    Body(#[from] BodyError),
    /// The visitor took no more.
    #[error("the visitor takes no more")]
    Write(#[from] io::Error),
    /// The visitor took nothing for too long.
    #[error("the visitor does not read")]
    Slow,
    /// The visitor left.
    #[error("the visitor left")]
    Left,
    /// The visitor stopped reading, and what it held was needed for others.
    #[error("it stalled for longest")]
    Stalled,
}

const CONTENT_LENGTH: &[u8] = b"content-length";
/// Room for most heads, with a small body.
const USUAL_HEAD: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use adit_shared::wire::fields::Fields;

    use super::*;

    const GET: Manners = Manners {
        is_11: true,
        ..Manners::UNKNOWN
    };

    /// A response of the relay's own as text.
    fn said(status: u16, fields: &[(&str, &str)], body: &'static str, manners: Manners) -> String {
        let head = head::Response {
            status: StatusCode::from_u16(status).unwrap(),
            fields: Fields::from_pairs(fields.iter().copied()).unwrap(),
            end: body.is_empty(),
        };
        let body = Body::own(Bytes::from_static(body.as_bytes()));
        let framing = Framing::of(manners, head.status, &body);
        let mut out = Chunks::default();
        put_head(&head, Some(framing), Fate::Usual, None, out.small());
        let mut outgoing = Outgoing::new(body, framing);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        outgoing.gather(&mut cx, &mut out).unwrap();
        assert!(outgoing.rest().is_none());
        String::from_utf8(out.as_slices().concat()).unwrap()
    }

    #[test]
    fn a_response_says_where_it_ends() {
        let length = [("content-length", "2")];
        let head = GET_HEAD;
        for (status, fields, body, manners, expected) in [
            (
                200,
                &length[..],
                "ok",
                GET,
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            ),
            (
                200,
                &[],
                "",
                GET,
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                200,
                &length,
                "ok",
                head,
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
            ),
            (200, &[], "", head, "HTTP/1.1 200 OK\r\n\r\n"),
            (
                304,
                &length,
                "",
                GET,
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
            ),
            (204, &length, "", GET, "HTTP/1.1 204 No Content\r\n\r\n"),
            (
                599,
                &[],
                "",
                GET,
                "HTTP/1.1 599 \r\ncontent-length: 0\r\n\r\n",
            ),
        ] {
            assert_eq!(said(status, fields, body, manners), expected);
        }
    }

    const GET_HEAD: Manners = Manners {
        bodiless: true,
        ..GET
    };

    #[test]
    fn each_framing_ends_in_its_own_way() {
        for (framing, expected) in [
            (Framing::Chunked, "2\r\nok\r\n0\r\n\r\n"),
            (Framing::Close, "ok"),
            (Framing::Length(2), "ok"),
            (Framing::Bodiless, ""),
        ] {
            let mut outgoing = Outgoing::new(Body::own(Bytes::from_static(b"ok")), framing);
            let (mut cx, mut out) = (
                Context::from_waker(std::task::Waker::noop()),
                Chunks::default(),
            );
            outgoing.gather(&mut cx, &mut out).unwrap();
            assert!(outgoing.rest().is_none());
            assert_eq!(out.as_slices().concat(), expected.as_bytes(), "{framing:?}");
        }
    }
}
