//! A request as it is kept: its head as agents get to see it, its whole body, and when it came.

use std::fmt;
use std::num::ParseIntError;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use adit_shared::webhook::{self, Message};
use adit_shared::wire::fields::{BadField, Fields, FieldsMut, HeadTooLarge, Name};
use adit_shared::wire::head;
use adit_shared::wire::varint::{self, Malformed};
use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use jiff::Timestamp;

/// The number of a kept request, by which visitors and operators know it. Later ones are higher.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(pub(super) i64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Id {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        i64::from_str_radix(text, 16).map(Self)
    }
}

/// A whole request. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// The head; its tunnel means nothing, since another session may number them otherwise.
    pub head: head::Request,
    /// All of the body.
    pub body: Bytes,
    /// What came behind it.
    pub trailers: HeaderMap,
    /// When it came, in milliseconds since 1970.
    pub received: i64,
}

impl Letter {
    /// As bytes, to be sealed.
    ///
    /// # Errors
    ///
    /// [`HeadTooLarge`] for trailers that could not be sent on.
    pub fn encode(&self) -> Result<BytesMut, HeadTooLarge> {
        let mut head = BytesMut::with_capacity(ROOM);
        self.head.encode(&mut head);
        let trailers = Fields::try_from(&self.trailers)?;
        let mut to = BytesMut::with_capacity(head.len() + self.body.len() + ROOM);
        varint::put(&mut to, FORM);
        varint::put(&mut to, self.received.unsigned_abs());
        varint::put_bytes(&mut to, &head);
        varint::put_bytes(&mut to, &self.body);
        trailers.encode(&mut to);
        Ok(to)
    }

    /// Undoes `encode`.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(mut from: Bytes) -> Result<Self, Malformed> {
        if varint::get(&mut from)? != FORM {
            return Err(Malformed::Invalid("kept by a later version"));
        }
        let received = varint::get(&mut from)?;
        let head = varint::get_bytes(&mut from, MOST, "a head is too long")?;
        let body = varint::get_bytes(&mut from, MOST, "a body is too long")?;
        let trailers = Fields::decode(from.copy_to_bytes(from.remaining()))?;
        Ok(Self {
            head: head::Request::decode(head)?,
            body,
            trailers: trailers.to_map(),
            received: i64::try_from(received).unwrap_or(i64::MAX),
        })
    }

    /// The head with which it is delivered to `tunnel`, for the `attempt`-th time as far as is known.
    ///
    /// # Errors
    ///
    /// [`BadField`] when there is no room for what is added.
    pub(super) fn addressed(
        &self,
        tunnel: u64,
        id: Id,
        attempt: u32,
    ) -> Result<head::Request, BadField> {
        let mut fields = FieldsMut::from(&self.head.fields);
        let received = Timestamp::from_millisecond(self.received).unwrap_or_default();
        let received = format!("{received:.3}");
        for (name, value) in [
            (INBOX, id.to_string()),
            (RECEIVED, received),
            (ATTEMPT, attempt.to_string()),
        ] {
            fields.push(name.as_str().as_bytes(), value.as_bytes())?;
        }
        if let Some(event) = self.event() {
            // One that is no value of a field is not told.
            let _ = fields.push(EVENT.as_str().as_bytes(), event.as_bytes());
        }
        Ok(head::Request {
            tunnel,
            fields: fields.take(),
            end: self.is_bodiless(),
            protocol: None,
            arrival: None,
            ..self.head.clone()
        })
    }

    /// What its sender calls the event, each time that it sends it, as far as that can be told.
    pub fn event(&self) -> Option<String> {
        let provider = webhook::recognise(&self.head.fields)?;
        let scheme = if self.head.https { "https" } else { "http" };
        let authority = self.head.authority.to_str().ok()?;
        let url = format!("{scheme}://{authority}{}", self.head.target);
        let method = self.head.method.as_str();
        provider.id(&Message::new(method, &url, &self.head.fields, &self.body))
    }

    /// Whether nothing follows the head.
    pub(super) fn is_bodiless(&self) -> bool {
        self.head.end
    }

    /// The body, to be sent.
    pub fn contents(&self) -> Contents {
        Contents {
            data: self.body.clone(),
            trailers: Some(self.trailers.clone()).filter(|trailers| !trailers.is_empty()),
        }
    }
}

/// The body of a [`Letter`].
#[derive(Debug)]
pub struct Contents {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Body for Contents {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

/// The id, in what a visitor is told and in what an origin gets.
pub const INBOX: Name = Name::new("adit-inbox");
/// When it came.
const RECEIVED: Name = Name::new("adit-inbox-received");
/// How often it was tried, this time included.
const ATTEMPT: Name = Name::new("adit-webhook-attempt");
/// What its sender calls the event.
const EVENT: Name = Name::new("adit-webhook-id");

/// The form in which requests are kept.
const FORM: u64 = 1;
/// Bytes that most heads fit into.
const ROOM: usize = 1 << 10;
/// The longest part that is read back.
const MOST: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use http::header::HeaderValue;

    fn letter() -> Letter {
        let fields = Fields::from_pairs([("x-a", "1"), ("x-b", "\u{e9}"), ("x-a", "2")]).unwrap();
        Letter {
            head: head::Request {
                tunnel: 0,
                method: Method::POST,
                https: true,
                authority: HeaderValue::from_static("a.example"),
                target: "/a//b/../%2F?x=%zz&&=".parse().unwrap(),
                protocol: None,
                arrival: None,
                fields,
                end: false,
            },
            body: Bytes::from_static(b"\0binary\xff"),
            trailers: HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from(7))]),
            received: 1_700_000_000_123,
        }
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let letter = letter();
        let bytes = letter.encode().unwrap().freeze();
        assert_eq!(Letter::decode(bytes.clone()), Ok(letter));
        for end in 0..bytes.len() {
            assert!(Letter::decode(bytes.slice(..end)).is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_delivered_is_what_came_with_its_history_behind_it() {
        let letter = letter();
        let head = letter.addressed(7, Id(0x1f), 2).unwrap();
        assert_eq!((head.tunnel, &head.target), (7, &letter.head.target));
        let added: Vec<_> = head.fields.iter().skip(3).collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b"adit-inbox", b"000000000000001f"),
            (b"adit-inbox-received", b"2023-11-14T22:13:20.123Z"),
            (b"adit-webhook-attempt", b"2"),
        ];
        assert_eq!(added, expected);
        let mut pushed = letter.clone();
        pushed.head.fields =
            Fields::from_pairs([("x-github-delivery", "7"), ("x-github-event", "push")]).unwrap();
        let pushed = pushed.addressed(7, Id(1), 1).unwrap();
        assert_eq!(pushed.fields.get("adit-webhook-id"), Some(&b"7"[..]));
        let before: Vec<_> = head.fields.iter().take(3).collect();
        assert_eq!(before, letter.head.fields.iter().collect::<Vec<_>>());
        assert_eq!("000000000000001f".parse(), Ok(Id(0x1f)));
    }
}
