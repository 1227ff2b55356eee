//! Agents that break the protocol on the control stream.

use std::time::{Duration, Instant};

use adit_shared::quic::Lost;
use adit_shared::quic::endpoint::DialError;
use adit_shared::wire::code::Close;
use adit_shared::wire::control::{Claim, MAX_MESSAGE, Message, Welcome};
use adit_shared::wire::varint;
use adit_tests::{World, eventually};
use bytes::BytesMut;
use futures_util::FutureExt as _;

use super::addresses::limited;
use super::{Evil, assert_well, raw, stage};
use crate::names::sessions;

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
    for protocol in [&b"adit/2"[..], b"h2", b"adit/"] {
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

/// Each message is work; whoever says more than anybody needs waits, and nobody else does.
#[tokio::test]
async fn what_an_agent_says_too_fast_waits_to_be_read() {
    let world = World::with(|config| config.limits.messages_per_agent = 10).await;
    let _good = world.agent_with("good", "echo", |_| {}).await;
    let mut evil = Evil::join(&world, "evil").await;
    let begun = Instant::now();
    // Ten seconds' worth at once, less the hello and the claim, and five more.
    for number in 0..105 {
        evil.tell(&Message::Ping { number }).await;
    }
    for number in 0..105 {
        assert_eq!(evil.heard().await, Message::Pong { number });
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(limited(&world, "messages-per-agent").await >= 5);
    assert_well(&world).await;
}

/// Whoever says no hello keeps others waiting for a while, but not for ever.
#[tokio::test]
async fn agents_wait_for_a_handshake_to_end_and_are_refused_when_that_takes_long() {
    for (hello, comes_in) in [(Duration::from_millis(500), true), (PATIENCE, false)] {
        let world = World::with(|config| {
            config.limits.agents_handshaking = 1;
            config.limits.hello_timeout = hello;
        })
        .await;
        let silent = Evil::dial(&world).await;
        let second = Evil::try_dial(&world).await;
        assert_eq!(second.is_ok(), comes_in);
        let refused = u64::from(!comes_in);
        assert_eq!(limited(&world, "agents-handshaking").await, refused);
        assert_eq!(silent.closed().await.0, Close::Timeout);
    }
}

/// Longer than agents wait for others.
const PATIENCE: Duration = Duration::from_secs(4);
