//! Bad peers: agents that break the protocol and visitors that break HTTP. Each harms itself at
//! most, and the next request to somebody else is answered as ever.

pub(super) mod addresses;
mod bodies;
mod control;
mod frames;
mod heads;
mod limits;
mod rfc9112;
mod secrets;
mod silence;
mod slow;
mod smuggling;
mod visitors;

use std::sync::Arc;

use adit_shared::control::Receiver;
use adit_shared::identity::Identity;
use adit_shared::quic::endpoint::{DialError, Dialer};
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::quic::{Connection, Lost, SendStream};
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Claim, EXPORTER_LABEL, Hello, Message};
use adit_shared::wire::fields::Fields;
use adit_shared::wire::frame::{self, Part, Side};
use adit_shared::wire::head;
use adit_shared::wire::{ALPN, varint};
use adit_tests::origin::Origin;
use adit_tests::visit::Answer;
use adit_tests::world::Agent;
use adit_tests::{World, soon};
use bytes::{BufMut as _, BytesMut};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

/// A peer that dials the relay as agents do, and then says whatever it is told to.
#[derive(Debug)]
pub(super) struct Evil {
    identity: Identity,
    connection: Connection,
    control: SendHalf,
    receiver: Receiver,
    _dialer: Dialer,
}

impl Evil {
    /// One that is connected and has said nothing.
    pub(super) async fn dial(world: &World) -> Self {
        Self::dial_as(world, ALPN).await.unwrap()
    }

    /// As [`dial`](Self::dial), if the relay lets it.
    pub(super) async fn try_dial(world: &World) -> Result<Self, DialError> {
        Self::dial_as(world, ALPN).await
    }

    async fn dial_as(world: &World, protocol: &[u8]) -> Result<Self, DialError> {
        let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
        let tls = Arc::new(tls::client(&trust, &[protocol]).unwrap());
        let dialer = Dialer::bind(world.quic).unwrap();
        let dial = dialer.dial(world.quic, "127.0.0.1", tls);
        let connection = soon("a connection", dial).await?;
        let (send, recv) = connection.open().await.unwrap();
        Ok(Self {
            identity: Identity::generate().unwrap(),
            connection,
            control: SendHalf::new(send),
            receiver: Receiver::new(RecvHalf::new(recv)),
            _dialer: dialer,
        })
    }

    /// One that was let in and serves `name`.
    pub(super) async fn join(world: &World, name: &str) -> Self {
        let mut evil = Self::dial(world).await;
        evil.tell(&Message::Hello(evil.hello())).await;
        let answer = evil.heard().await;
        assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
        let answer = evil.claim(name, "").await;
        assert!(matches!(answer, Message::Granted(_)), "{answer:?}");
        evil
    }

    /// What it has to say to be let in.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            key: self.identity.public_key(),
            signature: self
                .identity
                .sign(&self.connection.export(EXPORTER_LABEL).unwrap()),
            instance: [0; 16],
            token: String::new(),
            version: "evil/1".into(),
            exchanges: 100,
        }
    }

    /// Claims a name or an own host; says the relay's answer.
    pub(super) async fn claim(&mut self, name: &str, host: &str) -> Message {
        let claim = Claim {
            tunnel: 0,
            label: "evil".into(),
            name: name.into(),
            host: host.into(),
        };
        self.tell(&Message::Claim(claim)).await;
        self.heard().await
    }

    /// Says this on the control stream.
    pub(super) async fn tell(&mut self, message: &Message) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes).unwrap();
        self.say(bytes).await;
    }

    /// Writes these bytes to the control stream.
    async fn say(&mut self, bytes: impl Into<BytesMut>) {
        let bytes = bytes.into().freeze();
        self.control.write(&mut [bytes]).await.unwrap();
    }

    async fn heard(&mut self) -> Message {
        let message = soon("word from the relay", self.receiver.next()).await;
        message.unwrap().expect("the relay finished the stream")
    }

    /// Waits until the relay closes the connection; says its code and its reason.
    pub(super) async fn closed(&self) -> (Close, String) {
        match soon("the end", self.connection.closed()).await {
            Lost::Closed { code, reason } => (code, reason),
            lost => panic!("not closed by the relay: {lost}"),
        }
    }

    /// The next exchange, whose request head was read.
    async fn exchange(&self) -> (SendStream, Parts) {
        let (send, recv) = soon("a stream", self.connection.accept()).await.unwrap();
        let mut parts = Parts::new(RecvHalf::new(recv), Side::Request);
        let head = soon("a request head", parts.next()).await.unwrap();
        assert!(matches!(head, Some(Part::Request(_))), "{head:?}");
        (send, parts)
    }

    /// Answers the next exchange with these bytes, and finishes the stream as if all was well.
    async fn answer(&self, bytes: &BytesMut) {
        let (send, _parts) = self.exchange().await;
        let mut send = SendHalf::new(send);
        // The relay may have heard enough already.
        drop(send.write(&mut [bytes.clone().freeze()]).await);
        send.finish();
    }

    /// What a visitor over HTTP/1.1 gets when the next exchange is answered with these bytes.
    async fn seen(&self, world: &World, bytes: &BytesMut) -> Vec<u8> {
        let (seen, ()) = tokio::join!(world.raw(GET), self.answer(bytes));
        seen
    }

    /// As [`seen`](Self::seen), over HTTP/2.
    async fn seen_over_h2(&self, world: &World, bytes: &BytesMut) -> Result<Answer, h2::Error> {
        let h2 = world.h2c().await;
        let (seen, ()) = tokio::join!(h2.get("http://evil.localhost/"), self.answer(bytes));
        seen.map(|(answer, _)| answer)
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: evil.localhost\r\nConnection: close\r\n\r\n";

/// A relay with an agent called `good` and an evil one called `evil`.
async fn stage() -> (World, Agent, Evil) {
    let world = World::start().await;
    let good = world.agent_with("good", "echo", |_| {}).await;
    let evil = Evil::join(&world, "evil").await;
    (world, good, evil)
}

/// The good agent is served as ever.
async fn assert_well(world: &World) {
    assert_eq!(world.get("good", "/").await.status, 200);
}

/// Whether a response over HTTP/1.1 looks complete to whoever reads it.
fn looks_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let body = &bytes[end + 4..];
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with(b"0\r\n\r\n");
    }
    let declared = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    declared.is_none_or(|declared: usize| body.len() >= declared)
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::from_pairs(pairs.iter().copied()).unwrap()
}

/// A response head, encoded, that is not the end.
fn response(status: u16, pairs: &[(&'static str, &'static str)]) -> BytesMut {
    encoded(status, pairs, false)
}

fn encoded(status: u16, pairs: &[(&'static str, &'static str)], end: bool) -> BytesMut {
    let mut bytes = BytesMut::new();
    let head = head::Response {
        status: StatusCode::from_u16(status).unwrap(),
        fields: fields(pairs),
        end,
    };
    frame::put_response(&mut bytes, &head).unwrap();
    bytes
}

fn data(bytes: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame::put_data_header(&mut frame, bytes.len());
    frame.put_slice(bytes);
    frame
}

fn end() -> BytesMut {
    let mut frame = BytesMut::new();
    frame::put_end(&mut frame);
    frame
}

fn request() -> BytesMut {
    let mut frame = BytesMut::new();
    let head = head::Request {
        tunnel: 0,
        method: http::Method::GET,
        https: false,
        authority: HeaderValue::from_static("evil.localhost"),
        target: http::uri::PathAndQuery::from_static("/"),
        protocol: None,
        arrival: None,
        fields: Fields::new(),
        end: true,
    };
    frame::put_request(&mut frame, &head).unwrap();
    frame
}

/// A frame of any type and payload.
fn raw(kind: u8, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u8(kind);
    varint::put_bytes(&mut frame, payload);
    frame
}

const RESPONSE: u8 = 0x02;

const TRAILERS: u8 = 0x04;

const OK: &[(&str, &str)] = &[];

fn all<const N: usize>(frames: [BytesMut; N]) -> BytesMut {
    frames.into_iter().flatten().collect()
}

/// A world whose one origin keeps every byte that reaches it.
async fn recorded() -> (World, Vec<Agent>, Origin, Arc<Mutex<String>>) {
    let world = World::start().await;
    let heard = Arc::new(Mutex::new(String::new()));
    let keep = heard.clone();
    let origin = Origin::scripted(move |mut stream| {
        let keep = keep.clone();
        async move {
            let (mut piece, mut tail) = ([0; 4096], String::new());
            while let Ok(len @ 1..) = stream.read(&mut piece).await {
                let text = String::from_utf8_lossy(&piece[..len]).into_owned();
                keep.lock().await.push_str(&text);
                tail.push_str(&text);
                if tail.contains("\r\n\r\n") {
                    tail.clear();
                    drop(
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                            .await,
                    );
                }
            }
        }
    })
    .await;
    let agents = vec![
        world.agent("shop", origin.address).await,
        world.agent_with("good", "echo", |_| {}).await,
    ];
    (world, agents, origin, heard)
}
