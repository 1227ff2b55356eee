//! Agents whose bodies break the protocol or are cut.

use adit_shared::wire::frame;
use adit_tests::visit::parse;
use bytes::BytesMut;

use super::{
    OK, TRAILERS, all, assert_well, data, encoded, end, fields, looks_whole, raw, request,
    response, stage,
};

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
