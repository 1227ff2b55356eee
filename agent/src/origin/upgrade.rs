//! A switch of protocols: WebSocket, or any other that visitor and origin agree on.

use std::io;

use adit_shared::body::h2::FromH2;
use adit_shared::intake::Intake;
use adit_shared::pump::{H2Sink, QuicSource, SocketSink, SocketSource, Watched, pump};
use adit_shared::stream::SendHalf;
use adit_shared::wire::fields::{Fields, FieldsMut, Name};
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT};
use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::Empty;

use super::dial::Io;
use super::http1::connection::Connection;
use super::http1::{Origin, Pending};
use super::{OriginBody, OriginError, Response};
use crate::capture::tap::TappedSource;
use crate::capture::{Side, Tap};

/// What the origin says to a switch.
#[derive(Debug)]
pub enum Answer {
    /// It switches; the head of its 101, and the raw bytes.
    Switched(Fields, Raw),
    /// It answers otherwise.
    Response(Response),
}

/// The origin's end of a switched exchange.
#[derive(Debug)]
pub enum Raw {
    /// A connection of its own.
    Http1(Box<dyn Io>, Intake),
    /// A stream of a shared connection.
    Http2(FromH2, H2Sink),
}

impl Raw {
    /// Carries bytes to and from the relay until both directions have ended. Says how many came
    /// from the visitor, and how many went to it. What comes from the origin passes `tap`.
    ///
    /// Safe to drop: both ends are given up.
    ///
    /// # Errors
    ///
    /// The first error of either direction.
    pub async fn carry(
        self,
        relay: (TappedSource<Watched<QuicSource>>, &mut SendHalf),
        tap: Option<&Tap>,
    ) -> io::Result<(u64, u64)> {
        match self {
            Self::Http1(io, intake) => {
                let (read, write) = tokio::io::split(io);
                let source = SocketSource::new(intake, read);
                let source = TappedSource::new(source, tap, Side::Origin);
                pump(relay, (source, SocketSink::new(write))).await
            }
            Self::Http2(source, sink) => {
                let source = TappedSource::new(source, tap, Side::Origin);
                pump(relay, (source, sink)).await
            }
        }
    }
}

/// Over a connection of its own. Safe to drop.
///
/// # Errors
///
/// [`OriginError`].
pub async fn over_h1(
    origin: Origin<'_>,
    mut head: Box<head::Request>,
) -> Result<Answer, OriginError> {
    let protocol = head.protocol.take().ok_or(OriginError::Request)?;
    let websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    // A visitor over HTTP/2 sends no key (RFC 8441 section 5), but an HTTP/1.1 origin wants one.
    if websocket && head.fields.get(KEY.as_str()).is_none() {
        head.fields.remove(VERSION.as_str());
        let mut fields = FieldsMut::from(&head.fields);
        fields.put(KEY, &fresh_key())?;
        fields.put(VERSION, &HeaderValue::from_static("13"))?;
        head.fields = fields.take();
    }
    let key = head.fields.get(KEY.as_str()).map(<[u8]>::to_vec);
    head.end = true;

    let fresh = Connection::new(origin.dialer.dial_http1().await?);
    let mut pending = Pending::new(fresh, head, Some(&protocol), None::<Empty<Bytes>>)?;
    let answer = loop {
        let answer = pending.head(origin).await?;
        // A head that says to wait says nothing of the switch.
        if !is_interim(answer.status) {
            break answer;
        }
    };
    if answer.status != StatusCode::SWITCHING_PROTOCOLS {
        return pending.response(answer, origin).map(Answer::Response);
    }
    let fields = answer.fields;
    if websocket && let Some(key) = key {
        check_accept(&key, &fields)?;
    }
    let (io, intake) = pending.into_raw().ok_or(OriginError::Request)?;
    Ok(Answer::Switched(fields, Raw::Http1(io, intake)))
}

/// Over a stream of a shared connection (RFC 8441). Safe to drop.
///
/// # Errors
///
/// [`OriginError`].
pub async fn over_h2(
    mut sender: SendRequest<Bytes>,
    mut head: Box<head::Request>,
) -> Result<Answer, OriginError> {
    if !sender.is_extended_connect_protocol_enabled() {
        return Err(OriginError::Invalid(
            "the origin switches no protocols over HTTP/2",
        ));
    }
    let protocol = head.protocol.take().ok_or(OriginError::Request)?;
    let protocol = Protocol::from(protocol.to_str().map_err(|_| OriginError::Request)?);
    let key = head.fields.get(KEY.as_str()).map(<[u8]>::to_vec);
    head.fields.remove(KEY.as_str());
    head.method = Method::CONNECT;
    let mut request = super::http2::build(&head)?;
    request.extensions_mut().insert(protocol);
    let (response, send) = sender
        .send_request(request, false)
        .map_err(OriginError::Http2)?;
    let (mut parts, recv) = response.await.map_err(OriginError::Http2)?.into_parts();
    let body = FromH2::new(recv);
    if parts.status != StatusCode::OK {
        let head = super::http2::head_of(parts, body.is_end_stream())?;
        let body = OriginBody::Http2(super::http2::Streamed::alone(body));
        return Ok(Answer::Response(Response { head, body }));
    }
    // What a visitor over HTTP/1.1 waits for.
    if let Some(key) = key {
        parts.headers.insert(SEC_WEBSOCKET_ACCEPT, accept_of(&key));
    }
    let head = super::http2::head_of(parts, false)?;
    let raw = Raw::Http2(body, H2Sink::new(send));
    Ok(Answer::Switched(head.fields, raw))
}

/// An origin that does not know WebSocket may still say 101; the key tells (RFC 6455 section 4.1).
fn check_accept(key: &[u8], fields: &Fields) -> Result<(), OriginError> {
    match fields.get(SEC_WEBSOCKET_ACCEPT.as_str()) {
        Some(accept) if accept_of(key) == *accept => Ok(()),
        _ => Err(OriginError::Invalid(
            "the origin's Sec-WebSocket-Accept does not fit the key",
        )),
    }
}

fn accept_of(key: &[u8]) -> HeaderValue {
    base64_value(&accept(key))
}

/// The text that answers a WebSocket key (RFC 6455 section 4.2.2).
pub fn accept_key(key: &str) -> String {
    BASE64.encode(accept(key.as_bytes()))
}

fn accept(key: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    context.finish().as_ref().to_vec()
}

fn fresh_key() -> HeaderValue {
    let mut nonce = [0; 16];
    // A key guards against caches that do not know WebSocket; there is none on this way.
    let _ = aws_lc_rs::rand::fill(&mut nonce);
    base64_value(&nonce)
}

fn base64_value(bytes: &[u8]) -> HeaderValue {
    // Base64 has only characters that a value may have.
    HeaderValue::from_str(&BASE64.encode(bytes)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

const KEY: Name = Name::new("sec-websocket-key");
const VERSION: Name = Name::new("sec-websocket-version");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_follows_from_the_key_as_in_rfc_6455_section_1_3() {
        let key = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept_of(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(check_accept(key, &Fields::new()).is_err());
    }
}
