//! A switch of protocols: WebSocket, or any other that visitor and origin agree on.

use std::io;

use adit_shared::body::h2::FromH2;
use adit_shared::hop;
use adit_shared::intake::Intake;
use adit_shared::pump::{H2Sink, QuicSource, SocketSink, SocketSource, Watched, pump};
use adit_shared::stream::SendHalf;
use adit_shared::wire::frame::is_interim;
use adit_shared::wire::head;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::header::{
    HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
};
use http::{Method, Response, StatusCode};
use http_body_util::Empty;

use super::dial::Io;
use super::http1::connection::Connection;
use super::http1::{Origin, Pending};
use super::{OriginBody, OriginError};

/// What the origin says to a switch.
#[derive(Debug)]
pub enum Answer {
    /// It switches; the head of its 101, and the raw bytes.
    Switched(HeaderMap, Raw),
    /// It answers otherwise.
    Response(Response<OriginBody>),
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
    /// from the visitor, and how many went to it.
    ///
    /// Safe to drop: both ends are given up.
    ///
    /// # Errors
    ///
    /// The first error of either direction.
    pub async fn carry(
        self,
        relay: (Watched<QuicSource>, &mut SendHalf),
    ) -> io::Result<(u64, u64)> {
        match self {
            Self::Http1(io, intake) => {
                let (read, write) = tokio::io::split(io);
                let origin = (SocketSource::new(intake, read), SocketSink::new(write));
                pump(relay, origin).await
            }
            Self::Http2(source, sink) => pump(relay, (source, sink)).await,
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
    let fields = &mut head.fields;
    // A visitor over HTTP/2 sends no key (RFC 8441 section 5), but an HTTP/1.1 origin wants one.
    if websocket && !fields.contains_key(SEC_WEBSOCKET_KEY) {
        fields.insert(SEC_WEBSOCKET_KEY, fresh_key());
        fields.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    let key = fields.get(SEC_WEBSOCKET_KEY).cloned();
    head.end = true;

    let fresh = Connection::new(origin.dialer.dial_http1().await?);
    let mut pending = Pending::new(fresh, head, Some(&protocol), Empty::new())?;
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
    let mut fields = answer.fields;
    if websocket && let Some(key) = key {
        check_accept(&key, &fields)?;
    }
    hop::strip(&mut fields);
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
    let key = head.fields.remove(SEC_WEBSOCKET_KEY);
    head.method = Method::CONNECT;
    let mut request = super::http2::build(head)?;
    request.extensions_mut().insert(protocol);
    let (response, send) = sender
        .send_request(request, false)
        .map_err(OriginError::Http2)?;
    let (mut parts, recv) = response.await.map_err(OriginError::Http2)?.into_parts();
    let body = FromH2::new(recv);
    if parts.status != StatusCode::OK {
        let body = OriginBody::Http2(super::http2::Streamed::alone(body));
        return Ok(Answer::Response(Response::from_parts(parts, body)));
    }
    // What a visitor over HTTP/1.1 waits for.
    if let Some(key) = key {
        parts.headers.insert(SEC_WEBSOCKET_ACCEPT, accept_of(&key));
    }
    Ok(Answer::Switched(
        parts.headers,
        Raw::Http2(body, H2Sink::new(send)),
    ))
}

/// An origin that does not know WebSocket may still say 101; the key tells (RFC 6455 section 4.1).
fn check_accept(key: &HeaderValue, fields: &HeaderMap) -> Result<(), OriginError> {
    match fields.get(SEC_WEBSOCKET_ACCEPT) {
        Some(accept) if *accept == accept_of(key) => Ok(()),
        _ => Err(OriginError::Invalid(
            "the origin's Sec-WebSocket-Accept does not fit the key",
        )),
    }
}

fn accept_of(key: &HeaderValue) -> HeaderValue {
    base64_value(&accept(key.as_bytes()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_follows_from_the_key_as_in_rfc_6455_section_1_3() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept_of(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(check_accept(&key, &HeaderMap::new()).is_err());
    }
}
