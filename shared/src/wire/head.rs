//! Request heads and response heads as compact binary.
//!
//! Fields keep their order, their repeats and the exact bytes of their values. The target keeps the
//! exact bytes that the visitor sent. Values that are read share memory with the received bytes.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{Method, StatusCode};

use super::arrival::{Arrival, Version};
use super::fields::{Fields, MAX_HEAD};
use super::varint::{self, Malformed};

/// The head of a request, as it travels from relay to agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The agent's number of the tunnel that the request came to.
    pub tunnel: u64,
    /// The method, as sent.
    pub method: Method,
    /// Whether the visitor came over TLS.
    pub https: bool,
    /// The public authority: what the visitor sent as `Host` or `:authority`.
    pub authority: HeaderValue,
    /// Path and query byte for byte, or `*`.
    pub target: PathAndQuery,
    /// The protocol that the visitor wants to switch to (`Upgrade`, or `:protocol` of RFC 8441).
    pub protocol: Option<HeaderValue>,
    /// How it came to the relay; only for an agent that has asked for it.
    pub arrival: Option<Arrival>,
    /// Header fields without the hop-by-hop ones and without `Host`.
    pub fields: Fields,
    /// True when nothing follows the head.
    pub end: bool,
}

impl Request {
    /// Appends the encoded head.
    pub fn encode(&self, to: &mut BytesMut) {
        let flags = (u8::from(self.end) * END)
            | (u8::from(self.https) * HTTPS)
            | (u8::from(self.protocol.is_some()) * PROTOCOL)
            | (u8::from(self.arrival.is_some()) * ARRIVAL);
        to.put_u8(flags);
        varint::put(to, self.tunnel);
        match METHODS.iter().position(|known| *known == self.method) {
            Some(at) => to.put_u8(at as u8 + 1),
            None => {
                to.put_u8(0);
                varint::put_bytes(to, self.method.as_str().as_bytes());
            }
        }
        varint::put_bytes(to, self.authority.as_bytes());
        varint::put_bytes(to, self.target.as_str().as_bytes());
        if let Some(protocol) = &self.protocol {
            varint::put_bytes(to, protocol.as_bytes());
        }
        if let Some(arrival) = &self.arrival {
            to.put_u8(arrival.version.code());
            varint::put(to, arrival.waited_us());
        }
        self.fields.encode(to);
    }

    /// Reads a head that fills `from`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is not exactly one valid head within the limits.
    pub fn decode(mut from: Bytes) -> Result<Self, Malformed> {
        let flags = get_u8(&mut from)?;
        if flags & !(END | HTTPS | PROTOCOL | ARRIVAL) != 0 {
            return Err(Malformed::Invalid("unknown flags of a request head"));
        }
        let tunnel = varint::get(&mut from)?;
        let method = match get_u8(&mut from)? {
            0 => {
                let text = get_bytes(&mut from)?;
                Method::from_bytes(&text).map_err(|_| Malformed::Invalid("not a method"))?
            }
            code => METHODS
                .get(usize::from(code) - 1)
                .cloned()
                .ok_or(Malformed::Invalid("unknown method code"))?,
        };
        let authority = get_value(&mut from)?;
        let target = get_bytes(&mut from)?;
        let text = target.clone();
        let target = PathAndQuery::from_maybe_shared(target)
            .ok()
            .filter(|t| t.as_str().as_bytes() == text && (text[0] == b'/' || text == "*"))
            .ok_or(Malformed::Invalid("not a request target"))?;
        let protocol = match flags & PROTOCOL {
            0 => None,
            _ => Some(get_value(&mut from)?),
        };
        let arrival = match flags & ARRIVAL {
            0 => None,
            _ => {
                let version = Version::of_code(get_u8(&mut from)?)
                    .ok_or(Malformed::Invalid("unknown version of HTTP"))?;
                let waited = Duration::from_micros(varint::get(&mut from)?);
                Some(Arrival { version, waited })
            }
        };
        Ok(Self {
            tunnel,
            method,
            https: flags & HTTPS != 0,
            authority,
            target,
            protocol,
            arrival,
            fields: Fields::decode(from)?,
            end: flags & END != 0,
        })
    }
}

/// The head of an interim or final response, as it travels from agent to relay.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// Header fields without the hop-by-hop ones.
    pub fields: Fields,
    /// True when nothing follows the head.
    pub end: bool,
}

impl Response {
    /// Appends the encoded head.
    pub fn encode(&self, to: &mut BytesMut) {
        to.put_u8(u8::from(self.end) * END);
        varint::put(to, self.status.as_u16().into());
        self.fields.encode(to);
    }

    /// Reads a head that fills `from`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is not exactly one valid head within the limits.
    pub fn decode(mut from: Bytes) -> Result<Self, Malformed> {
        let flags = get_u8(&mut from)?;
        if flags & !END != 0 {
            return Err(Malformed::Invalid("unknown flags of a response head"));
        }
        let status = u16::try_from(varint::get(&mut from)?)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or(Malformed::Invalid("not a status"))?;
        Ok(Self {
            status,
            fields: Fields::decode(from)?,
            end: flags & END != 0,
        })
    }
}

fn get_u8(from: &mut Bytes) -> Result<u8, Malformed> {
    if from.is_empty() {
        return Err(Malformed::Incomplete);
    }
    Ok(from.get_u8())
}

fn get_bytes(from: &mut Bytes) -> Result<Bytes, Malformed> {
    varint::get_bytes(from, MAX_HEAD, "text of a head is too long")
}

fn get_value(from: &mut Bytes) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_maybe_shared(get_bytes(from)?)
        .map_err(|_| Malformed::Invalid("not a value of a field"))
}

/// Flag: the message ends with its head.
const END: u8 = 1;
/// Flag: the visitor came over TLS.
const HTTPS: u8 = 2;
/// Flag: a protocol to switch to follows the target.
const PROTOCOL: u8 = 4;
/// Flag: how the request came follows that.
const ARRIVAL: u8 = 8;

/// Methods in the order of their codes, from 1 on.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
    Method::TRACE,
];

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::fields::tests::fields;
    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        (
            0..=varint::MAX,
            prop_oneof!["GET", "POST", "[A-Z]{3,12}"],
            any::<bool>(),
            "[a-z.]{1,30}(:[0-9]{1,5})?",
            prop_oneof![Just("*".to_owned()), "/[!$-;=?-Z_a-z~]{0,60}"],
            proptest::option::of("[a-z-]{1,12}"),
            proptest::option::of((1..4_u8, 0..=varint::MAX)),
            fields(),
            any::<bool>(),
        )
            .prop_map(
                |(tunnel, method, https, authority, target, protocol, arrival, fields, end)| {
                    Request {
                        tunnel,
                        method: method.parse().unwrap(),
                        https,
                        authority: authority.parse().unwrap(),
                        target: target.parse().unwrap(),
                        protocol: protocol.map(|p| p.parse().unwrap()),
                        arrival: arrival.map(|(code, waited)| Arrival {
                            version: Version::of_code(code).unwrap(),
                            waited: Duration::from_micros(waited),
                        }),
                        fields,
                        end,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn request_decode_undoes_encode_and_a_prefix_is_incomplete(head in request()) {
            let mut bytes = BytesMut::new();
            head.encode(&mut bytes);
            let bytes = bytes.freeze();
            prop_assert_eq!(Request::decode(bytes.clone()), Ok(head));
            for end in 0..bytes.len() {
                prop_assert_eq!(Request::decode(bytes.slice(..end)), Err(Malformed::Incomplete));
            }
        }

        #[test]
        fn response_decode_undoes_encode_and_a_prefix_is_incomplete(
            status in 100..1000_u16, fields in fields(), end in any::<bool>(),
        ) {
            let head = Response { status: StatusCode::from_u16(status).unwrap(), fields, end };
            let mut bytes = BytesMut::new();
            head.encode(&mut bytes);
            let bytes = bytes.freeze();
            prop_assert_eq!(Response::decode(bytes.clone()), Ok(head));
            for end in 0..bytes.len() {
                prop_assert_eq!(Response::decode(bytes.slice(..end)), Err(Malformed::Incomplete));
            }
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            drop(Request::decode(bytes.clone()));
            drop(Response::decode(bytes));
        }
    }

    #[test]
    fn target_keeps_every_byte() {
        for target in [
            "/a//b/../%2F%2f?x=%zz&&=",
            "/{\"a\":[1]}|^",
            "/?",
            "*",
            "/caf\u{e9}",
        ] {
            let head = Request {
                tunnel: 1,
                method: Method::GET,
                https: false,
                authority: HeaderValue::from_static("a"),
                target: target.parse().unwrap(),
                protocol: None,
                arrival: None,
                fields: Fields::new(),
                end: true,
            };
            let mut bytes = BytesMut::new();
            head.encode(&mut bytes);
            let read = Request::decode(bytes.freeze()).unwrap();
            assert_eq!(read.target.as_str(), target);
        }
    }

    #[test]
    fn a_target_that_is_not_a_path_is_refused() {
        for target in ["x", "", "/a#b", "http://a/", "/a b"] {
            let mut bytes = BytesMut::new();
            bytes.put_slice(&[0, 1, 1]);
            varint::put_bytes(&mut bytes, b"host");
            varint::put_bytes(&mut bytes, target.as_bytes());
            varint::put(&mut bytes, 0);
            let read = Request::decode(bytes.freeze());
            assert!(
                matches!(read, Err(Malformed::Invalid(_))),
                "{target}: {read:?}"
            );
        }
    }
}
