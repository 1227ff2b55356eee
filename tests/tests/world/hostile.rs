//! Bad peers: agents that break the protocol and visitors that break HTTP. Each harms itself at
//! most, and the next request to somebody else is answered as ever.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adit_relay::auth::Token;
use adit_shared::control::Receiver;
use adit_shared::identity::Identity;
use adit_shared::quic::endpoint::{DialError, Dialer};
use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_shared::quic::{Connection, Lost, SendStream};
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::{Close, Reset};
use adit_shared::wire::control::{Claim, EXPORTER_LABEL, Hello, MAX_MESSAGE, Message, Welcome};
use adit_shared::wire::frame::{self, Part, Side};
use adit_shared::wire::head::{self, MAX_HEAD};
use adit_shared::wire::{ALPN, varint};
use adit_tests::origin::{Origin, read_head, read_until};
use adit_tests::visit::{Answer, parse};
use adit_tests::world::Agent;
use adit_tests::{World, eventually, soon};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tracing_subscriber::EnvFilter;

use super::names::sessions;

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
            signature: self.identity.sign(&self.connection.export(EXPORTER_LABEL)),
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

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in pairs {
        fields.append(*name, HeaderValue::from_static(value));
    }
    fields
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
        fields: HeaderMap::new(),
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

#[tokio::test]
async fn whoever_does_not_begin_with_a_hello_is_sent_away() {
    let world = World::start().await;
    let welcome = Message::Welcome(Welcome {
        session: 1,
        version: "relay/1".into(),
    });
    let claim = Message::Claim(Claim {
        tunnel: 0,
        label: String::new(),
        name: "shop".into(),
        host: String::new(),
    });
    for message in [
        claim,
        Message::Goodbye,
        Message::Ping { number: 1 },
        welcome,
    ] {
        let mut evil = Evil::dial(&world).await;
        evil.tell(&message).await;
        let (code, why) = evil.closed().await;
        assert_eq!(code, Close::Protocol);
        assert_eq!(why, "the first message was not a hello");
    }
    assert_eq!(world.get("shop", "/").await.error(), Some("unknown-name"));
}

#[tokio::test]
async fn garbage_on_the_control_stream_ends_that_session_and_no_other() {
    let world = World::start().await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut oversized = BytesMut::new();
    varint::put(&mut oversized, 1);
    varint::put(&mut oversized, MAX_MESSAGE as u64 + 1);
    let garbage = [
        (raw(1, b"hello"), "too short"),
        (raw(3, &[0, 0x7f, 0xff]), "text is too long"),
        (raw(3, &[0, 1, 0xff, 0, 0]), "UTF-8"),
        (raw(8, &[1, 2, 3]), "too long for its type"),
        (oversized, "control message is too long"),
    ];
    for (n, (garbage, reason)) in garbage.into_iter().enumerate() {
        let mut stranger = Evil::dial(&world).await;
        stranger.say(garbage.clone()).await;
        let (code, why) = stranger.closed().await;
        assert_eq!(code, Close::Protocol, "{why}");
        assert!(why.contains(reason), "{why}");

        let mut known = Evil::join(&world, &format!("evil-{n}")).await;
        known.say(garbage).await;
        let (code, why) = known.closed().await;
        assert_eq!(code, Close::Protocol, "{why}");
        assert!(why.contains(reason), "{why}");
        eventually("only the good one is left", || async {
            sessions(&world).await == 1
        })
        .await;
        assert_well(&world).await;
    }
}

#[tokio::test]
async fn a_session_that_says_what_only_a_relay_says_is_ended() {
    let world = World::start().await;
    for (n, again) in [false, true].into_iter().enumerate() {
        let mut evil = Evil::join(&world, &format!("evil-{n}")).await;
        let message = if again {
            Message::Hello(evil.hello())
        } else {
            Message::Drain { grace_ms: 1 }
        };
        evil.tell(&message).await;
        assert_eq!(evil.closed().await.0, Close::Protocol);
    }
}

#[tokio::test]
async fn messages_from_the_future_are_skipped() {
    let world = World::start().await;
    let mut evil = Evil::dial(&world).await;
    evil.say(raw(0x21, b"from the future")).await;
    evil.tell(&Message::Hello(evil.hello())).await;
    assert!(matches!(evil.heard().await, Message::Welcome(_)));
}

#[tokio::test]
async fn whoever_says_no_hello_in_time_is_sent_away() {
    let world =
        World::with(|config| config.limits.hello_timeout = Duration::from_millis(200)).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let begun = Instant::now();
    let silent = Evil::dial(&world).await;
    let mut slow = Evil::dial(&world).await;
    slow.say(raw(1, b"half of a hello").split_to(5)).await;
    for evil in [silent, slow] {
        assert_eq!(evil.closed().await.0, Close::Timeout);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_well(&world).await;
}

#[tokio::test]
async fn another_protocol_fails_in_the_handshake() {
    let world = World::start().await;
    for protocol in [&b"adit/2"[..], b"h3", b"adit/"] {
        match Evil::dial_as(&world, protocol).await {
            Err(DialError::Lost(Lost::Version)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn more_agents_than_the_relay_takes_are_told_to_come_later() {
    let world = World::with(|config| config.limits.agents = 1).await;
    let good = world.agent_with("good", "echo", |_| {}).await;
    let mut evil = Evil::dial(&world).await;
    evil.tell(&Message::Hello(evil.hello())).await;
    let (code, _) = evil.closed().await;
    assert_eq!(code, Close::Overload);
    assert!(!code.is_final());
    assert_well(&world).await;
    good.stop().await;
    eventually("there is room", || async { sessions(&world).await == 0 }).await;
    Evil::join(&world, "evil").await;
}

#[tokio::test]
async fn an_agent_gets_no_more_streams_than_one() {
    let (world, _good, mut evil) = stage().await;
    let connection = evil.connection.clone();
    let mut second = Box::pin(connection.open());
    assert!((&mut second).now_or_never().is_none());
    assert_well(&world).await;
    let number = 7;
    evil.tell(&Message::Ping { number }).await;
    assert_eq!(evil.heard().await, Message::Pong { number });
    assert!((&mut second).now_or_never().is_none(), "it got a stream");
}

#[tokio::test]
async fn nonsense_before_the_head_is_an_answer_of_the_relays() {
    let (world, _good, evil) = stage().await;
    let mut oversized = BytesMut::new();
    oversized.put_u8(RESPONSE);
    varint::put(&mut oversized, MAX_HEAD as u64 + 1);
    let invalid = "agent-invalid";
    for (what, bytes, code) in [
        (
            "data first",
            all([data(b"x"), response(200, OK), end()]),
            invalid,
        ),
        ("end first", end(), invalid),
        ("trailers first", all([raw(TRAILERS, &[0]), end()]), invalid),
        ("a request", request(), invalid),
        ("an unknown frame", raw(0x30, b""), invalid),
        ("nothing", BytesMut::new(), invalid),
        ("half a head", response(200, OK).split_to(3), invalid),
        ("a head that is too large", oversized, invalid),
        (
            "a head that is no head",
            raw(RESPONSE, b"HTTP/1.1 200 OK"),
            invalid,
        ),
        (
            "unknown flags",
            raw(RESPONSE, &[0xfe, 0x40, 200, 0]),
            invalid,
        ),
        (
            "a status below 100",
            raw(RESPONSE, &[0, 0x40, 99, 0]),
            invalid,
        ),
        (
            "an interim status as final",
            raw(RESPONSE, &[0, 0x40, 103, 0]),
            invalid,
        ),
        (
            "too many fields",
            raw(RESPONSE, &[0, 0x40, 200, 0x7f, 0xff]),
            invalid,
        ),
        (
            "a switch nobody asked for",
            response(101, &[("upgrade", "x")]),
            "origin-invalid",
        ),
        ("only an interim head", response(103, OK), invalid),
    ] {
        let seen = evil.seen(&world, &bytes).await;
        let last = seen.windows(9).rposition(|window| window == b"HTTP/1.1 ");
        let answer = parse(&seen[last.unwrap_or_default()..]);
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (502, Some(code)), "{what}");
        let over_h2 = evil.seen_over_h2(&world, &bytes).await.unwrap();
        let shown = (over_h2.status.as_u16(), over_h2.error());
        assert_eq!(shown, (502, Some(code)), "{what} over HTTP/2");
    }
    assert_well(&world).await;
}

/// A head with one field that was encoded as it is.
fn with_field(name: &[u8], value: &[u8]) -> BytesMut {
    let mut payload = BytesMut::new();
    payload.put_slice(&[0, 0x40, 200, 1, 0]);
    varint::put_bytes(&mut payload, name);
    varint::put_bytes(&mut payload, value);
    all([raw(RESPONSE, &payload), data(b"body"), end()])
}

#[tokio::test]
async fn a_field_cannot_become_two() {
    let (world, _good, evil) = stage().await;
    for (name, value) in [
        (&b"x"[..], &b"a\r\nset-cookie: stolen"[..]),
        (b"x", b"a\nset-cookie: stolen"),
        (b"x", b"a\0b"),
        (b"x: a\r\nset-cookie", b"stolen"),
        (b"set-cookie:", b"stolen"),
        (b"", b"stolen"),
    ] {
        let seen = evil.seen(&world, &with_field(name, value)).await;
        let answer = parse(&seen);
        assert_eq!(answer.error(), Some("agent-invalid"), "{name:?}");
        assert!(!String::from_utf8_lossy(&seen).contains("stolen"));
    }
    assert_well(&world).await;
}

/// Invariant 3: what the visitor receives is whole, or an error.
#[tokio::test]
async fn a_body_that_breaks_the_protocol_is_never_whole() {
    let (world, _good, evil) = stage().await;
    let ten: &[(&str, &str)] = &[("content-length", "10")];
    let five: &[(&str, &str)] = &[("content-length", "5")];
    let open = || all([response(200, OK), data(b"12345")]);
    let cut = |mut bytes: BytesMut| {
        bytes.truncate(bytes.len() - 1);
        bytes
    };
    for (what, bytes) in [
        ("a finish without an end", open()),
        ("a finish within data", cut(open())),
        ("a finish within the end", cut(all([open(), end()]))),
        (
            "a finish after trailers",
            all([open(), raw(TRAILERS, &[0])]),
        ),
        ("a request", all([open(), request(), end()])),
        ("another head", all([open(), response(200, OK), end()])),
        ("an interim head", all([open(), response(103, OK), end()])),
        ("an unknown frame", all([open(), raw(0x30, b""), end()])),
        ("an end with a payload", all([open(), raw(0x05, b"x")])),
        (
            "data after trailers",
            all([open(), raw(TRAILERS, &[0]), data(b"x"), end()]),
        ),
        (
            "trailers that are none",
            all([open(), raw(TRAILERS, b"garbage"), end()]),
        ),
        (
            "less than declared",
            all([response(200, ten), data(b"12345"), end()]),
        ),
        (
            "less than declared, cut",
            all([response(200, ten), data(b"12345")]),
        ),
        (
            "nothing of what was declared",
            all([response(200, ten), end()]),
        ),
        (
            "more than declared",
            all([response(200, five), data(b"1234567890"), end()]),
        ),
        (
            "more than declared in two frames",
            all([response(200, five), data(b"12345"), data(b"67890"), end()]),
        ),
    ] {
        let seen = evil.seen(&world, &bytes).await;
        let text = String::from_utf8_lossy(&seen);
        assert!(!looks_whole(&seen), "{what} looks whole: {text}");
        let seen = evil.seen_over_h2(&world, &bytes).await;
        let error = seen.map(|answer| answer.body).expect_err(what);
        assert!(error.is_reset() && error.is_remote(), "{what}: {error}");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn a_head_that_contradicts_itself_about_its_length_is_refused() {
    let (world, _good, evil) = stage().await;
    for (what, head, end_of_head) in [
        (
            "two lengths",
            &[("content-length", "5"), ("content-length", "6")][..],
            false,
        ),
        (
            "two lengths",
            &[("content-length", "6"), ("content-length", "5")],
            false,
        ),
        ("a list of lengths", &[("content-length", "5, 6")], false),
        ("a length with a sign", &[("content-length", "+5")], false),
        (
            "a length that is none",
            &[("content-length", "five")],
            false,
        ),
        (
            "a length beyond numbers",
            &[("content-length", "99999999999999999999")],
            false,
        ),
        ("a length without body", &[("content-length", "5")], true),
    ] {
        let mut bytes = encoded(200, head, end_of_head);
        if !end_of_head {
            bytes.unsplit(all([data(b"12345"), end()]));
        }
        let answer = parse(&evil.seen(&world, &bytes).await);
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (502, Some("agent-invalid")), "{what}");
        let answer = evil.seen_over_h2(&world, &bytes).await.unwrap();
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (502, Some("agent-invalid")), "{what} over HTTP/2");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn a_length_that_is_said_twice_reaches_the_visitor_once() {
    let (world, _good, evil) = stage().await;
    for head in [
        &[("content-length", "5"), ("content-length", "5")][..],
        &[("content-length", "5, 5")],
    ] {
        let bytes = all([response(200, head), data(b"12345"), end()]);
        for answer in [
            parse(&evil.seen(&world, &bytes).await),
            evil.seen_over_h2(&world, &bytes).await.unwrap(),
        ] {
            let lengths: Vec<_> = answer.fields.get_all("content-length").iter().collect();
            assert_eq!(lengths, ["5"]);
            assert_eq!(answer.text(), "12345");
        }
    }
}

#[tokio::test]
async fn a_body_that_was_cut_is_counted_as_cut() {
    let (world, _good, evil) = stage().await;
    let seen = evil
        .seen(&world, &all([response(200, OK), data(b"12345")]))
        .await;
    assert!(!looks_whole(&seen));
    let metrics = world.admin_text("/metrics").await;
    assert!(
        metrics.contains("\nadit_relay_responses_cut_total 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_follows_the_end_of_a_message_reaches_nobody() {
    let (world, _good, evil) = stage().await;
    let more = || all([data(b"EXTRA"), response(200, OK), end()]);
    let length: &[(&str, &str)] = &[("content-length", "5")];
    for (what, bytes, body) in [
        (
            "after a body",
            all([response(200, OK), data(b"12345"), end(), more()]),
            "12345",
        ),
        (
            "after a length",
            all([response(200, length), data(b"12345"), end(), more()]),
            "12345",
        ),
        ("after a head", all([encoded(200, OK, true), more()]), ""),
    ] {
        let seen = evil.seen(&world, &bytes).await;
        assert!(!String::from_utf8_lossy(&seen).contains("EXTRA"), "{what}");
        assert_eq!(parse(&seen).text(), body, "{what}");
        let seen = evil.seen_over_h2(&world, &bytes).await.unwrap();
        assert_eq!(seen.text(), body, "{what} over HTTP/2");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn bytes_where_no_body_may_be_reach_nobody() {
    let (world, _good, evil) = stage().await;
    let smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-smuggled: 1\r\n\r\n";
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200)] {
        let bytes = all([response(status, OK), data(smuggled), end()]);
        let both = format!(
            "{method} / HTTP/1.1\r\nHost: evil.localhost\r\n\r\n\
             GET / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\r\n"
        );
        let (seen, ()) = tokio::join!(world.raw(both.as_bytes()), evil.answer(&bytes));
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{seen}");
        assert!(!seen.contains("smuggled"), "{seen}");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn trailers_that_come_along_with_a_declared_length_arrive() {
    let (world, _good, evil) = stage().await;
    let mut trailers = BytesMut::new();
    frame::put_trailers(&mut trailers, &fields(&[("grpc-status", "0")])).unwrap();
    let head = response(200, &[("content-length", "5")]);
    let bytes = all([head, data(b"12345"), trailers, end()]);
    let h2 = world.h2c().await;
    let (seen, ()) = tokio::join!(h2.get("http://evil.localhost/"), evil.answer(&bytes));
    let (answer, trailers) = seen.unwrap();
    assert_eq!(answer.text(), "12345");
    assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn an_agent_says_nothing_about_the_visitors_connection() {
    let (world, _good, evil) = stage().await;
    let hops = [
        ("connection", "keep-alive, x-hop, upgrade"),
        ("keep-alive", "timeout=1000"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authenticate", "Basic"),
        ("transfer-encoding", "gzip, chunked"),
        ("upgrade", "h2c"),
        ("x-kept", "1"),
    ];
    let interim = response(
        103,
        &[("transfer-encoding", "chunked"), ("content-length", "9")],
    );
    let bytes = all([
        interim,
        response(200, &hops),
        data(b"5\r\nhello\r\n0\r\n\r\n"),
        end(),
    ]);
    let seen = evil.seen(&world, &bytes).await;
    let text = String::from_utf8(seen).unwrap();
    let (early, last) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(early, "HTTP/1.1 103 Early Hints");
    let answer = parse(last.as_bytes());
    assert_eq!(answer.text(), "5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(answer.fields["x-kept"], "1");
    // These are the relay's own words.
    assert_eq!(
        answer
            .fields
            .get_all("transfer-encoding")
            .iter()
            .collect::<Vec<_>>(),
        ["chunked"]
    );
    assert_eq!(answer.fields["connection"], "close");
    let over_h2 = evil.seen_over_h2(&world, &bytes).await.unwrap();
    assert_eq!(over_h2.text(), "5\r\nhello\r\n0\r\n\r\n");
    for answer in [&answer, &over_h2] {
        for name in [
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "upgrade",
        ] {
            assert_eq!(answer.fields.get(name), None, "{name}");
        }
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn each_reset_before_the_head_has_its_answer() {
    let (world, _good, evil) = stage().await;
    for code in Reset::ALL {
        let expected = match code {
            Reset::OriginRefused => (502, "origin-refused"),
            Reset::OriginReset => (502, "origin-reset"),
            Reset::OriginInvalid | Reset::HeadTooLarge => (502, "origin-invalid"),
            Reset::OriginTimeout => (504, "origin-timeout"),
            Reset::Overload => (503, "too-many-requests-in-flight"),
            Reset::VisitorReset => (400, "request-incomplete"),
            Reset::Cancelled | Reset::Internal => (502, "agent-lost"),
            Reset::Protocol => (502, "agent-invalid"),
        };
        let reset = async {
            let (send, _parts) = evil.exchange().await;
            SendHalf::new(send).reset(*code);
        };
        let (answer, ()) = tokio::join!(world.say(GET), reset);
        let shown = (answer.status.as_u16(), answer.error().unwrap());
        assert_eq!(shown, expected, "{code}");
        assert_eq!(answer.fields.contains_key("retry-after"), shown.0 == 503);
    }
    for unknown in [0_u32, 0x1234] {
        let reset = async {
            let (mut send, _parts) = evil.exchange().await;
            send.reset(unknown.into()).unwrap();
        };
        let (answer, ()) = tokio::join!(world.say(GET), reset);
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (502, Some("agent-lost")), "{unknown}");
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn an_agent_that_refuses_the_request_is_an_answer_too() {
    let (world, _good, evil) = stage().await;
    let refuse = async {
        let (send, mut parts) = evil.exchange().await;
        parts.stop(Reset::OriginRefused);
        SendHalf::new(send).reset(Reset::OriginRefused);
    };
    let upload = [1; 100_000];
    let (answer, ()) = tokio::join!(world.post("evil", "/", &upload), refuse);
    assert_eq!(answer.error(), Some("origin-refused"));
    assert_well(&world).await;
}

#[tokio::test]
async fn an_agent_that_never_answers_costs_its_own_visitors_only() {
    let (world, _good, evil) = stage().await;
    let mut visitor = world.dial().await;
    visitor.write_all(GET).await.unwrap();
    let (send, _parts) = evil.exchange().await;
    for _ in 0..10 {
        assert_well(&world).await;
    }
    drop(visitor);
    // The evil one is told, as anybody would be.
    let send = SendHalf::new(send);
    assert_eq!(
        soon("the stop", send.stopped()).await,
        Some(Reset::Cancelled)
    );
    eventually("the exchange has ended", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_exchanges 0\n")
    })
    .await;
}

#[tokio::test]
async fn requests_above_the_agents_limit_are_refused_at_once() {
    let world = World::with(|config| config.limits.exchanges_per_agent = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (came.clone(), go.clone());
    let origin = Origin::scripted(move |mut stream| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            tell.add_permits(1);
            wait.acquire().await.unwrap().forget();
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await,
            );
        }
    })
    .await;
    let _slow = world.agent("slow", origin.address).await;
    let third = async {
        came.acquire_many(2).await.unwrap().forget();
        let answer = world.get("slow", "/").await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (503, Some("too-many-requests-in-flight")));
        assert_eq!(answer.fields["retry-after"], "1");
        assert_well(&world).await;
        go.add_permits(3);
    };
    let (one, two, ()) = tokio::join!(world.get("slow", "/"), world.get("slow", "/"), third);
    assert_eq!((one.text(), two.text()), ("ok".into(), "ok".into()));
    assert_eq!(world.get("slow", "/").await.text(), "ok");
}

#[tokio::test]
async fn requests_above_what_may_wait_are_refused_at_once() {
    let world = World::with(|config| config.limits.held_per_name = 1).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let agent = world.agent_with("shop", "echo", |_| {}).await;
    let config = agent.config();
    agent.kill();
    eventually("the loss is noticed", || async {
        sessions(&world).await == 1
    })
    .await;

    // One of them waits, and whichever came second does not.
    let (mut one, mut two) = (
        Box::pin(world.get("shop", "/")),
        Box::pin(world.get("shop", "/")),
    );
    let (refused, waiting) = tokio::select! {
        answer = &mut one => (answer, two),
        answer = &mut two => (answer, one),
    };
    let shown = (refused.status.as_u16(), refused.error());
    assert_eq!(shown, (503, Some("agent-away")));
    assert!(refused.fields.contains_key("retry-after"));
    assert_well(&world).await;
    let mut back = Agent::start(config);
    back.online().await;
    assert_eq!(waiting.await.status, 200);
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

#[tokio::test]
async fn one_request_never_becomes_two_at_the_origin() {
    let (world, _agents, _origin, heard) = recorded().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
    let len = smuggled.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    // Each is one request at most, whose text in its body or head would be another to a careless
    // reader.
    let mut cases = vec![
        format!(
            "Content-Length: {}\r\n{chunked}\r\n0\r\n\r\n{smuggled}",
            len + 5
        ),
        format!(
            "{chunked}Content-Length: {}\r\n\r\n0\r\n\r\n{smuggled}",
            len + 5
        ),
        format!("Content-Length: 0\r\nContent-Length: {len}\r\n\r\n{smuggled}"),
        format!("Content-Length: {len}\r\nContent-Length: 0\r\n\r\n{smuggled}"),
        format!("Content-Length: 0, {len}\r\n\r\n{smuggled}"),
        format!("Content-Length: +0\r\n\r\n{smuggled}"),
        format!("Content-Length: -1\r\n\r\n{smuggled}"),
        format!("Content-Length: 0x0\r\n\r\n{smuggled}"),
        format!("Content-Length: \r\n\r\n{smuggled}"),
        format!("Content-Length : 0\r\n\r\n{smuggled}"),
        format!("Content-Length: 18446744073709551616\r\n\r\n{smuggled}"),
        format!("X: y\r\n Content-Length: {len}\r\n\r\n{smuggled}"),
        format!("X: y\rContent-Length: {len}\r\n\r\n{smuggled}"),
        format!("Content\0-Length: 0\r\n\r\n{smuggled}"),
    ];
    for coding in [
        "identity",
        "chunked, identity",
        "xchunked",
        "chunked-x",
        "gzip",
        "\"chunked\"",
        "",
        "\u{b}chunked\u{b}",
        "chunked;x",
        "chunke\u{1}d",
    ] {
        cases.push(format!(
            "Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
        cases.push(format!(
            "Content-Length: 0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n{smuggled}"
        ));
    }
    for field in [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer\0-Encoding: chunked",
    ] {
        cases.push(format!("{field}\r\nContent-Length: 0\r\n\r\n{smuggled}"));
    }
    for chunk in [
        "x\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc",
        "3 3\r\nabc\r\n",
        "3\rabc\r\n",
        "10000000000000000\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n",
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        "3;a=\0\r\nabc\r\n",
        " \r\n",
        "\r\n",
        ";a=b\r\n",
    ] {
        cases.push(format!("{chunked}\r\n{chunk}{smuggled}"));
    }
    for case in &cases {
        let request = format!("POST /outer HTTP/1.1\r\nHost: shop.localhost\r\n{case}");
        let seen = world.raw(request.as_bytes()).await;
        let seen = String::from_utf8_lossy(&seen);
        assert!(seen.matches("HTTP/1.1 ").count() <= 1, "{case:?}: {seen}");
        // Whatever is under way towards the origin has come when the next request has.
        assert_eq!(world.get("shop", "/next").await.status, 200);
        let mut heard = heard.lock().await;
        let heads: Vec<_> = heard
            .lines()
            .filter(|line| line.ends_with(" HTTP/1.1"))
            .collect();
        let outer = heads
            .iter()
            .filter(|line| line.starts_with("POST /outer "))
            .count();
        assert!(
            outer <= 1 && heads.last() == Some(&"GET /next HTTP/1.1"),
            "{case:?}: {heads:?}"
        );
        assert!(!heard.contains("/smuggled"), "{case:?}: {heard}");
        heard.clear();
    }
    assert_well(&world).await;
}

#[tokio::test]
async fn fields_of_http2_cannot_become_a_request() {
    let (world, _agents, _origin, heard) = recorded().await;
    let seen = h2_request(&world, "x", "y").await;
    assert_eq!(
        seen.first(),
        Some(&OK_INDEXED),
        "what is written by hand works"
    );
    heard.lock().await.clear();
    let smuggled = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.localhost\r\n\r\n";
    for (name, value) in [
        (":path", &*format!("/ HTTP/1.1\r\n{smuggled}")),
        (":path", "smuggled"),
        (":path", "/ smuggled"),
        (":method", "GET /smuggled HTTP/1.1\r\nx:"),
        (":authority", "shop.localhost/smuggled"),
        (":authority", "smuggled@shop.localhost"),
        (":authority", "shop.localhost\r\nx: smuggled"),
        ("x", &*format!("smuggled{smuggled}")),
        ("x", "smuggled\ny"),
        ("x", "smuggled\0"),
        ("x: smuggled\r\ny", "z"),
        ("X-Smuggled", "smuggled"),
        ("host", "smuggled.localhost"),
        ("transfer-encoding", "smuggled, chunked"),
        ("connection", "smuggled"),
        (":smuggled", "smuggled"),
        ("content-length", "1 smuggled"),
    ] {
        let seen = h2_request(&world, name, value).await;
        assert_ne!(seen.first(), Some(&OK_INDEXED), "{name}: {value:?}");
        assert_eq!(world.get("shop", "/next").await.status, 200);
        let mut heard = heard.lock().await;
        assert!(
            heard.starts_with("GET /next "),
            "{name}: {value:?}: {heard}"
        );
        heard.clear();
    }
    assert_well(&world).await;
}

/// `:status: 200` in the static table of RFC 7541.
const OK_INDEXED: u8 = 0x88;

/// Asks for `/` over HTTP/2 with one field as given, encoded by hand because no library would.
/// The encoded head of the response; empty when there is none.
async fn h2_request(world: &World, name: &str, value: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let mut put = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    };
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "shop.localhost"),
    ];
    for (pseudo, text) in usual {
        put(pseudo, if pseudo == name { value } else { text });
    }
    if usual.iter().all(|(pseudo, _)| *pseudo != name) {
        put(name, value);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend_from_slice(b"\x01\x05\0\0\0\x01");
    bytes.extend_from_slice(&block);
    let mut stream = world.dial().await;
    stream.write_all(&bytes).await.unwrap();
    let first = async {
        let mut header = [0; 9];
        while stream.read_exact(&mut header).await.is_ok() {
            let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; len as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match header[3] {
                1 => return payload,
                // RST_STREAM and GOAWAY.
                3 | 7 => break,
                _ => {}
            }
        }
        Vec::new()
    };
    soon("a frame", first).await
}

#[tokio::test]
async fn a_request_that_does_not_say_clearly_whom_it_is_for_is_refused() {
    let (world, _agents, _origin, heard) = recorded().await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET http://shop.localhost/ HTTP/1.1\r\n",
        "GET http://u@shop.localhost/ HTTP/1.1\r\nHost: shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET / HTTP/1.1\r\nHost: shop localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost, good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost/x\r\n",
        "GET / HTTP/1.1\r\nHost: http://shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: u@shop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost:x\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost:80:80\r\n",
        "GET / HTTP/1.1\r\nHost: shop..localhost\r\n",
        "GET / HTTP/1.1\r\nHost: %73hop.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: sh\u{f6}p.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost#good.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: shop.localhost\\good.localhost\r\n",
    ] {
        let answer = world
            .say(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (400, Some("bad-host")), "{head:?}");
    }
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_misdirected() {
    let (world, _agents, _origin, heard) = recorded().await;
    let misdirected = (421, Some("misdirected"));
    for (target, host) in [
        ("http://shop.localhost/", "good.localhost"),
        ("http://good.localhost/", "shop.localhost"),
        ("https://shop.localhost/", "localhost"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = world.say(head.as_bytes()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            misdirected,
            "{head}"
        );

        let request = Request::get(target).header("host", host).body(()).unwrap();
        let h2 = world.h2c().await;
        let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            misdirected,
            "{head}"
        );
    }
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}

#[tokio::test]
async fn the_relay_is_no_proxy_for_connect() {
    let (world, _agents, _origin, heard) = recorded().await;
    let refused = (501, Some("connect-not-supported"));
    for host in ["shop.localhost:443", "example.com:443"] {
        let head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = world.say(head.as_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.error()), refused, "{host}");
        let request = Request::connect(host).body(()).unwrap();
        let h2 = world.h2c().await;
        let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error()), refused, "{host}");
    }
    assert_eq!(*heard.lock().await, "");
}

#[tokio::test]
async fn a_head_above_the_limits_is_refused() {
    let (world, _agents, _origin, heard) = recorded().await;
    let long = "x".repeat(40_000);
    let some =
        |count: usize| (0..count).fold(String::new(), |text, n| format!("{text}x-{n}: 1\r\n"));
    let head = |target: &str, fields: &str| {
        format!(
            "GET /{target} HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n{fields}\r\n"
        )
    };
    for (what, head) in [
        ("a long target", head(&long, "")),
        ("a long value", head("", &format!("x: {long}\r\n"))),
        ("a long name", head("", &format!("{long}: x\r\n"))),
        (
            "many long values",
            head("", &format!("x: {}\r\n", &long[..10_000]).repeat(4)),
        ),
        ("many fields", head("", &some(130))),
    ] {
        let answer = world.say(head.as_bytes()).await;
        let shown = (answer.status.as_u16(), answer.error());
        assert_eq!(shown, (431, Some("head-too-large")), "{what}");
    }
    // Here the parser itself gives up.
    assert_eq!(world.say(head("", &some(300)).as_bytes()).await.status, 431);
    let seen = world
        .raw(head("", &format!("x: {}\r\n", "x".repeat(1 << 20))).as_bytes())
        .await;
    assert!(seen.is_empty() || seen.starts_with(b"HTTP/1.1 431 "));

    let h2 = world.h2c().await;
    let request = Request::get("http://shop.localhost/")
        .header("x", &long)
        .body(())
        .unwrap();
    let (answer, _) = h2.send(request, Bytes::new()).await.unwrap();
    let shown = (answer.status.as_u16(), answer.error());
    assert_eq!(shown, (431, Some("head-too-large")), "over HTTP/2");

    assert_eq!(*heard.lock().await, "");
    assert_eq!(world.say(head("", &some(100)).as_bytes()).await.status, 200);
    assert_well(&world).await;
}

#[tokio::test]
async fn garbage_and_halves_from_visitors_reach_nobody() {
    let (world, _agents, _origin, heard) = recorded().await;
    let garbage: Vec<u8> = (0..4096_usize).map(|n| (n * n * 31 % 251) as u8).collect();
    for bytes in [
        &garbage[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a client hello where there is no TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand no frames at all, only words and words",
        b"\r\n\r\n\r\n\r\nHELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: shop.localhost\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET shop HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n",
        b"G\xe9T / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n: no name\r\n\r\n",
    ] {
        let seen = String::from_utf8_lossy(&world.raw(bytes).await).into_owned();
        assert!(!seen.contains(" 200 "), "{}: {seen}", bytes.escape_ascii());
    }
    for half in [
        "G",
        "GET / HTTP/1.1\r\nHost: shop.localhost\r\n",
        "PRI * HTTP",
    ] {
        let mut visitor = world.dial().await;
        visitor.write_all(half.as_bytes()).await.unwrap();
        drop(visitor);
    }
    eventually("they are gone", || async {
        let metrics = world.admin_text("/metrics").await;
        metrics.contains("\nadit_relay_visitors 0\n")
    })
    .await;
    assert_eq!(*heard.lock().await, "");
    assert_well(&world).await;
}

#[tokio::test]
async fn slow_heads_and_handshakes_are_closed() {
    let world = World::with(|config| config.limits.head_timeout = Duration::from_millis(200)).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let begun = Instant::now();
    for (address, start) in [
        (world.http, ""),
        (world.http, "P"),
        (world.http, "PRI * HTTP/2.0\r\n"),
        (world.http, "GET / HTTP/1.1\r\nHost: good.loc"),
        (world.https, ""),
        (world.https, "\x16\x03\x01\x02"),
    ] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(start.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        drop(soon("the end", slow.read_to_end(&mut seen)).await);
        assert!(!seen.starts_with(b"HTTP/1.1 200"), "{start}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_well(&world).await;
}

#[tokio::test]
async fn visitors_above_the_limit_are_refused_while_the_others_go_on() {
    let world = World::with(|config| config.limits.visitors = 2).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let get = b"GET / HTTP/1.1\r\nHost: good.localhost\r\n\r\n";
    let (mut one, mut two) = (world.dial().await, world.dial().await);
    for round in 0..3 {
        for visitor in [&mut one, &mut two] {
            visitor.write_all(get).await.unwrap();
            let seen = soon("an answer", read_until(visitor, b"\n\n")).await;
            assert!(seen.starts_with("HTTP/1.1 200 "), "{round}: {seen}");
        }
        assert_eq!(world.raw(get).await, b"", "{round}");
    }
    let metrics = world.admin_text("/metrics").await;
    assert!(
        metrics.contains("\nadit_relay_visitors_refused_total 3\n"),
        "{metrics}"
    );
    drop(one);
    eventually("there is room again", || async {
        !world.raw(GOOD).await.is_empty()
    })
    .await;
}

const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: good.localhost\r\nConnection: close\r\n\r\n";

/// Invariant 8: nothing secret is logged, not even at the finest level and where things go wrong.
///
/// Only our own crates are looked at. The libraries under them show, at levels that nobody turns on
/// by accident, every frame and field that passes: that is what their logs are for.
#[tokio::test]
async fn nothing_secret_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "off,adit_relay=trace,adit_agent=trace,adit_shared=trace",
        ))
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    // All tasks run on this test's own thread.
    let _here = tracing::subscriber::set_default(subscriber);

    let token = Token::generate().unwrap();
    let (made, stranger) = (token.clone(), Token::generate().unwrap());
    let world = World::with(move |config| {
        config.open = false;
        super::names::keep(&config.state_dir, &made, &["*"]);
    })
    .await;
    let agent = async |name: &str, origin: &str, token: &str| {
        let mut config = world.agent_config(name, origin);
        config.token = Some(token.parse().unwrap());
        Agent::start(config)
    };

    for bad in [
        "canary-of-a-bad-token",
        stranger.reveal(),
        &token.reveal()[..40],
    ] {
        assert!(agent("refused", "echo", bad).await.ended().await.is_err());
    }
    let secret = "HTTP/1.1 200 OK\r\nset-cookie: s=canary-of-a-set-cookie\r\nx: canary-of-a-field\r\n\
        transfer-encoding: chunked\r\n\r\n16\r\ncanary-of-an-old-body.\r\n0\r\nx-t: canary-of-a-trailer\r\n\r\n";
    let whole = Origin::saying(secret).await;
    // Long enough for its head to be on its way before the end is missed.
    let head = &secret[..secret.find("16\r\n").unwrap()];
    let cut = Origin::saying(format!(
        "{head}100000\r\n{}",
        "canary-of-a-cut".repeat(20_000)
    ))
    .await;
    let nonsense = Origin::saying("canary-of-nonsense canary-of-nonsense\r\n\r\n").await;
    let switching = Origin::saying(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\ncanary-of-raw-bytes",
    )
    .await;
    let nobody = Origin::nobody().await;
    let origins = [
        ("whole", whole.address),
        ("cut", cut.address),
        ("nonsense", nonsense.address),
        ("switching", switching.address),
        ("nobody", nobody),
    ];
    let mut agents = Vec::new();
    for (name, origin) in origins {
        let mut agent = agent(name, &format!("http://{origin}"), token.reveal()).await;
        agent.online().await;
        agents.push(agent);
    }
    for name in ["whole", "cut", "nonsense", "switching", "nobody", "unknown"] {
        let secrets = "Authorization: Bearer canary-of-a-password\r\nCookie: s=canary-of-a-cookie\r\n\
            Proxy-Authorization: canary-of-a-proxy\r\nX-Api-Key: canary-of-a-key\r\n\
            Referer: http://x/?canary-of-a-referer\r\n";
        let visible = format!("/path-of-{name}?key=canary-of-a-query");
        let start = format!("POST {visible} HTTP/1.1\r\nHost: {name}.localhost\r\n{secrets}");
        let body = "canary-of-a-body";
        for end in [
            format!(
                "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ),
            format!("Content-Length: 5\r\nContent-Length: 6\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {body}\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\n\r\nZ{body}\r\n\r\n"),
            format!("Host: u:{body}@x\r\nConnection: close\r\n\r\n"),
            format!("Upgrade: {body}\r\nConnection: close, upgrade\r\n\r\n"),
        ] {
            world.raw(format!("{start}{end}").as_bytes()).await;
        }
        let mut visitor = world.dial().await;
        let half = format!("{start}Content-Length: 100\r\n\r\n{body}");
        visitor.write_all(half.as_bytes()).await.unwrap();
        drop(visitor);
        let h2 = world.h2c().await;
        let request = Request::post(format!("http://{name}.localhost{visible}"))
            .header("authorization", "canary-of-a-password")
            .header("cookie", "canary-of-a-cookie")
            .body(())
            .unwrap();
        drop(h2.send(request, body.into()).await);
    }
    // A name or a version may not forge lines either.
    let mut evil = Evil::dial(&world).await;
    evil.tell(&Message::Hello(Hello {
        token: token.reveal().into(),
        version: "evil\n2026 forged line".into(),
        ..evil.hello()
    }))
    .await;
    assert!(matches!(evil.heard().await, Message::Welcome(_)));
    for name in ["a\n2026 forged line", "\u{1b}[2J forged line"] {
        assert!(matches!(evil.claim(name, "").await, Message::Refused(_)));
        assert!(matches!(evil.claim("", name).await, Message::Refused(_)));
    }
    let before = sessions(&world).await;
    let why = "gone\n2026 forged line";
    evil.connection.close(Close::Goodbye, why);
    eventually("it is gone", || async { sessions(&world).await < before }).await;
    for agent in agents {
        agent.stop().await;
    }

    let log = log.text();
    for (what, line) in [
        ("life events", "claim granted"),
        ("what an agent says at its end", "gone2026 forged line"),
        ("requests", "path=\"/path-of-whole\""),
        ("failures at the relay", "no response from the origin"),
        ("failures at the agent", "exchange not served to its end"),
        ("refusals", "agent refused"),
        ("cuts", "response cut after its head"),
    ] {
        assert!(log.contains(line), "{what} are not logged at all:\n{log}");
    }
    let mut secrets = vec!["canary", "\n2026 forged", "\u{1b}"];
    let hidden = [&token, &stranger].map(|token| &token.reveal()[13..]);
    secrets.extend(hidden);
    secrets.push(&token.reveal()[13..40]);
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret:?} is logged");
        assert!(!log.contains(secret), "{secret:?} is logged");
    }
}

/// Keeps what is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
