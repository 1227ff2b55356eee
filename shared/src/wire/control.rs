//! The messages of the control stream, the one stream that the agent opens.
//!
//! Each message is a type (varint), a length (varint) and a payload. Types that are not known are
//! skipped, so that either side may learn new ones within `adit/1`.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::inbox::{Inbox, InboxState};
use super::mirror::Mirror;
use super::varint::{self, Malformed};

/// The longest payload of one message, in bytes.
pub const MAX_MESSAGE: usize = 8 << 10;
/// The longest text inside a message, in bytes.
pub const MAX_TEXT: usize = 1 << 10;
/// The label under which the TLS exporter is read for the signature of a [`Hello`].
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-adit/1-hello";

/// One message, in either direction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Agent: who I am. The first message.
    Hello(Hello),
    /// Relay: you are known and allowed.
    Welcome(Welcome),
    /// Agent: I want to serve this.
    Claim(Claim),
    /// Relay: you serve it, at these URLs.
    Granted(Granted),
    /// Relay: you do not serve it.
    Refused(Refused),
    /// Agent: I no longer serve any tunnel; let what is in flight finish.
    Goodbye,
    /// Relay: I am going away within this many milliseconds; dial again now.
    Drain {
        /// How long exchanges in flight may take, in milliseconds.
        grace_ms: u64,
    },
    /// Agent: are you there?
    Ping {
        /// Comes back in the [`Message::Pong`].
        number: u64,
    },
    /// Relay: I am.
    Pong {
        /// The number of the ping.
        number: u64,
    },
    /// Agent: an older session of mine goes on beside this one, until what is in flight on it ends.
    Keep {
        /// The number of the older session.
        session: u64,
    },
    /// Agent: keep requests for the tunnel that I claim next when they cannot be served.
    Inbox(Inbox),
    /// Relay: this is what became of that wish.
    InboxState(InboxState),
    /// Agent: send me copies of what another agent serves. It is answered as a claim is.
    Mirror(Mirror),
    /// Agent: tell me how requests come to you.
    Visitors,
}

/// Who an agent is, and the proof of it.
#[derive(Clone, Eq, PartialEq)]
pub struct Hello {
    /// The raw Ed25519 public key.
    pub key: [u8; 32],
    /// Its signature over the connection's exported keying material, which ties this message to
    /// this connection (RFC 8446 section 7.5).
    pub signature: [u8; 64],
    /// Random for each agent process.
    pub instance: [u8; 16],
    /// The secret that allows the identity to connect; empty when there is none.
    pub token: String,
    /// Program and version, for people.
    pub version: String,
    /// How many exchanges the agent takes at once.
    pub exchanges: u64,
}

impl fmt::Debug for Hello {
    /// Without token and signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version", &self.version)
            .field("exchanges", &self.exchanges)
            .finish_non_exhaustive()
    }
}

/// The relay's answer to a [`Hello`] that it accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Welcome {
    /// The number of the session, for logs on both sides.
    pub session: u64,
    /// Program and version, for people.
    pub version: String,
}

/// What a session asks to serve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The agent's number for this tunnel.
    pub tunnel: u64,
    /// What tells this tunnel from others of the same identity; names are derived from it.
    pub label: String,
    /// The name that is asked for; empty for a derived one.
    pub name: String,
    /// The own domain that is asked for; empty for none.
    pub host: String,
}

/// A claim that the relay serves from now on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Granted {
    /// The agent's number for the tunnel.
    pub tunnel: u64,
    /// Where visitors reach it; the first is the one to show.
    pub urls: Vec<String>,
}

/// A claim that the relay does not serve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The agent's number for the tunnel.
    pub tunnel: u64,
    /// Why.
    pub reason: Refusal,
    /// One sentence for people, with what they can do.
    pub message: String,
}

/// Why a claim was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// The name or host belongs to another identity.
    Taken,
    /// The name is reserved.
    Reserved,
    /// The token does not cover the name.
    NotAllowed,
    /// The text is not a name or host, or not one that this relay serves.
    Invalid,
    /// The relay or the session has no room for another tunnel.
    Full,
    /// A reason that this program does not know.
    Other,
}

impl Refusal {
    /// The word for machines, as in the agent's `refused` event.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Reserved => "reserved",
            Self::NotAllowed => "not-allowed",
            Self::Invalid => "invalid",
            Self::Full => "full",
            Self::Other => "other",
        }
    }

    const fn number(self) -> u64 {
        match self {
            Self::Taken => 1,
            Self::Reserved => 2,
            Self::NotAllowed => 3,
            Self::Invalid => 4,
            Self::Full => 5,
            Self::Other => 6,
        }
    }

    const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Taken,
            2 => Self::Reserved,
            3 => Self::NotAllowed,
            4 => Self::Invalid,
            5 => Self::Full,
            _ => Self::Other,
        }
    }
}

impl Message {
    /// Appends the encoded message.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when a text is above its limit; then nothing was appended.
    pub fn encode(&self, to: &mut BytesMut) -> Result<(), TooLong> {
        let mut payload = Payload(BytesMut::new());
        let kind = match self {
            Self::Hello(hello) => {
                payload.0.extend_from_slice(&hello.key);
                payload.0.extend_from_slice(&hello.signature);
                payload.0.extend_from_slice(&hello.instance);
                payload.text(&hello.token)?;
                payload.text(&hello.version)?;
                payload.number(hello.exchanges);
                HELLO
            }
            Self::Welcome(welcome) => {
                payload.number(welcome.session);
                payload.text(&welcome.version)?;
                WELCOME
            }
            Self::Claim(claim) => {
                payload.number(claim.tunnel);
                payload.text(&claim.label)?;
                payload.text(&claim.name)?;
                payload.text(&claim.host)?;
                CLAIM
            }
            Self::Granted(granted) => {
                payload.number(granted.tunnel);
                payload.number(granted.urls.len() as u64);
                for url in &granted.urls {
                    payload.text(url)?;
                }
                GRANTED
            }
            Self::Refused(refused) => {
                payload.number(refused.tunnel);
                payload.number(refused.reason.number());
                payload.text(&refused.message)?;
                REFUSED
            }
            Self::Goodbye => GOODBYE,
            Self::Drain { grace_ms } => {
                payload.number(*grace_ms);
                DRAIN
            }
            Self::Ping { number } => {
                payload.number(*number);
                PING
            }
            Self::Pong { number } => {
                payload.number(*number);
                PONG
            }
            Self::Keep { session } => {
                payload.number(*session);
                KEEP
            }
            Self::Inbox(inbox) => {
                inbox.encode(&mut payload)?;
                INBOX
            }
            Self::InboxState(state) => {
                state.encode(&mut payload)?;
                INBOX_STATE
            }
            Self::Mirror(mirror) => {
                mirror.encode(&mut payload)?;
                MIRROR
            }
            Self::Visitors => VISITORS,
        };
        if payload.0.len() > MAX_MESSAGE {
            return Err(TooLong);
        }
        varint::put(to, kind);
        varint::put_bytes(to, &payload.0);
        Ok(())
    }

    /// Takes the next message that is whole from `from`, skipping unknown ones.
    ///
    /// # Errors
    ///
    /// [`Malformed::Incomplete`] when more bytes are needed; then `from` is as it was, apart from
    /// skipped messages. [`Malformed::Invalid`] when no further bytes help.
    pub fn decode(from: &mut BytesMut) -> Result<Self, Malformed> {
        loop {
            let mut ahead: &[u8] = from;
            let kind = varint::get(&mut ahead)?;
            let len = varint::get(&mut ahead)?;
            if len > MAX_MESSAGE as u64 {
                return Err(Malformed::Invalid("control message is too long"));
            }
            if (ahead.len() as u64) < len {
                return Err(Malformed::Incomplete);
            }
            from.advance(from.len() - ahead.len());
            let payload = from.split_to(len as usize).freeze();
            if let Some(message) = decode_payload(kind, payload).map_err(|error| match error {
                Malformed::Incomplete => Malformed::Invalid("control message is too short"),
                invalid @ Malformed::Invalid(_) => invalid,
            })? {
                return Ok(message);
            }
        }
    }
}

/// A text is longer than [`MAX_TEXT`], or the message longer than [`MAX_MESSAGE`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a text of a control message is above its limit")]
pub struct TooLong;

fn decode_payload(kind: u64, mut from: Bytes) -> Result<Option<Message>, Malformed> {
    let message = match kind {
        HELLO => Message::Hello(Hello {
            key: array(&mut from)?,
            signature: array(&mut from)?,
            instance: array(&mut from)?,
            token: text(&mut from)?,
            version: text(&mut from)?,
            exchanges: varint::get(&mut from)?,
        }),
        WELCOME => Message::Welcome(Welcome {
            session: varint::get(&mut from)?,
            version: text(&mut from)?,
        }),
        CLAIM => Message::Claim(Claim {
            tunnel: varint::get(&mut from)?,
            label: text(&mut from)?,
            name: text(&mut from)?,
            host: text(&mut from)?,
        }),
        GRANTED => {
            let tunnel = varint::get(&mut from)?;
            let count = varint::get(&mut from)?;
            // Each URL takes at least a byte, so a lie about the count ends as incomplete.
            let urls = (0..count)
                .map(|_| text(&mut from))
                .collect::<Result<_, _>>()?;
            Message::Granted(Granted { tunnel, urls })
        }
        REFUSED => Message::Refused(Refused {
            tunnel: varint::get(&mut from)?,
            reason: Refusal::from_number(varint::get(&mut from)?),
            message: text(&mut from)?,
        }),
        GOODBYE => Message::Goodbye,
        DRAIN => Message::Drain {
            grace_ms: varint::get(&mut from)?,
        },
        PING => Message::Ping {
            number: varint::get(&mut from)?,
        },
        PONG => Message::Pong {
            number: varint::get(&mut from)?,
        },
        KEEP => Message::Keep {
            session: varint::get(&mut from)?,
        },
        INBOX => Message::Inbox(Inbox::decode(&mut from)?),
        INBOX_STATE => Message::InboxState(InboxState::decode(&mut from)?),
        MIRROR => Message::Mirror(Mirror::decode(&mut from)?),
        VISITORS => Message::Visitors,
        _ => return Ok(None),
    };
    if from.has_remaining() {
        return Err(Malformed::Invalid(
            "control message is too long for its type",
        ));
    }
    Ok(Some(message))
}

fn array<const N: usize>(from: &mut Bytes) -> Result<[u8; N], Malformed> {
    if from.len() < N {
        return Err(Malformed::Incomplete);
    }
    let mut bytes = [0; N];
    from.copy_to_slice(&mut bytes);
    Ok(bytes)
}

pub(super) fn text(from: &mut Bytes) -> Result<String, Malformed> {
    let bytes = varint::get_bytes(from, MAX_TEXT, "a text is too long")?;
    String::from_utf8(bytes.into()).map_err(|_| Malformed::Invalid("a text is not UTF-8"))
}

pub(super) struct Payload(BytesMut);

impl Payload {
    pub(super) fn number(&mut self, number: u64) {
        varint::put(&mut self.0, number);
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), TooLong> {
        if text.len() > MAX_TEXT {
            return Err(TooLong);
        }
        varint::put_bytes(&mut self.0, text.as_bytes());
        Ok(())
    }
}

const HELLO: u64 = 0x01;
const WELCOME: u64 = 0x02;
const CLAIM: u64 = 0x03;
const GRANTED: u64 = 0x04;
const REFUSED: u64 = 0x05;
const GOODBYE: u64 = 0x06;
const DRAIN: u64 = 0x07;
const PING: u64 = 0x08;
const PONG: u64 = 0x09;
const KEEP: u64 = 0x0a;
const INBOX: u64 = 0x0b;
const INBOX_STATE: u64 = 0x0c;
const MIRROR: u64 = 0x0d;
const VISITORS: u64 = 0x0e;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::inbox::Causes;

    fn message() -> impl Strategy<Value = Message> {
        let number = 0..=varint::MAX;
        prop_oneof![
            (
                any::<[u8; 32]>(),
                any::<[u8; 16]>(),
                ".{0,40}",
                number.clone()
            )
                .prop_map(|(key, instance, token, exchanges)| {
                    Message::Hello(Hello {
                        key,
                        signature: [7; 64],
                        instance,
                        token,
                        version: "agent/0".into(),
                        exchanges,
                    })
                }),
            (number.clone(), ".{0,20}")
                .prop_map(|(session, version)| Message::Welcome(Welcome { session, version })),
            (number.clone(), ".{0,20}", ".{0,20}", ".{0,20}").prop_map(
                |(tunnel, label, name, host)| {
                    Message::Claim(Claim {
                        tunnel,
                        label,
                        name,
                        host,
                    })
                }
            ),
            (number.clone(), vec(".{0,20}", 0..4))
                .prop_map(|(tunnel, urls)| Message::Granted(Granted { tunnel, urls })),
            (number.clone(), 1..7_u64, ".{0,20}").prop_map(|(tunnel, reason, message)| {
                let reason = Refusal::from_number(reason);
                Message::Refused(Refused {
                    tunnel,
                    reason,
                    message,
                })
            }),
            Just(Message::Goodbye),
            Just(Message::Visitors),
            number
                .clone()
                .prop_map(|grace_ms| Message::Drain { grace_ms }),
            number.clone().prop_map(|number| Message::Ping { number }),
            number.clone().prop_map(|number| Message::Pong { number }),
            number.clone().prop_map(|session| Message::Keep { session }),
            (
                number.clone(),
                number.clone(),
                number.clone(),
                vec(".{0,20}", 0..4)
            )
                .prop_map(|(tunnel, causes, ack_within_ms, patterns)| {
                    Message::Inbox(Inbox {
                        tunnel,
                        causes: Causes(causes),
                        status: 202,
                        ack_within_ms,
                        parallel: 1,
                        patterns,
                    })
                }),
            (number.clone(), ".{0,20}", ".{0,20}", vec(".{0,20}", 0..4)).prop_map(
                |(tunnel, name, host, patterns)| {
                    Message::Mirror(Mirror {
                        tunnel,
                        name,
                        host,
                        patterns,
                    })
                }
            ),
            (number, any::<bool>(), ".{0,20}").prop_map(|(waiting, open, message)| {
                Message::InboxState(InboxState {
                    tunnel: 1,
                    open,
                    waiting,
                    dead: 2,
                    message,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn decode_undoes_encode_and_a_prefix_is_incomplete(message in message()) {
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes).unwrap();
            for end in 0..bytes.len() {
                let mut prefix = BytesMut::from(&bytes[..end]);
                prop_assert_eq!(Message::decode(&mut prefix), Err(Malformed::Incomplete));
                prop_assert_eq!(prefix.len(), end);
            }
            prop_assert_eq!(Message::decode(&mut bytes), Ok(message));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300)) {
            drop(Message::decode(&mut BytesMut::from(&bytes[..])));
        }
    }

    #[test]
    fn unknown_messages_are_skipped() {
        let mut bytes = BytesMut::new();
        varint::put(&mut bytes, 0x1234);
        varint::put_bytes(&mut bytes, b"from the future");
        Message::Goodbye.encode(&mut bytes).unwrap();
        assert_eq!(Message::decode(&mut bytes), Ok(Message::Goodbye));
    }

    #[test]
    fn an_oversized_message_is_refused_before_it_is_gathered() {
        let mut bytes = BytesMut::new();
        varint::put(&mut bytes, HELLO);
        varint::put(&mut bytes, MAX_MESSAGE as u64 + 1);
        assert!(matches!(
            Message::decode(&mut bytes),
            Err(Malformed::Invalid(_))
        ));
    }

    #[test]
    fn a_hello_shows_no_secret() {
        let hello = Hello {
            key: [1; 32],
            signature: [2; 64],
            instance: [3; 16],
            token: "adit_secret".into(),
            version: "agent/0".into(),
            exchanges: 1,
        };
        assert!(!format!("{hello:?}").contains("adit_secret"));
    }
}
