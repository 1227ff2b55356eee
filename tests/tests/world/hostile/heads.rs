//! Agents that answer with heads that are none, or that lie.

use adit_shared::wire::fields::MAX_HEAD;
use adit_shared::wire::varint;
use adit_tests::visit::parse;
use bytes::{BufMut as _, BytesMut};

use super::{
    OK, RESPONSE, TRAILERS, all, assert_well, data, encoded, end, raw, request, response, stage,
};

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
        (
            "more interim heads than anybody needs",
            (0..33).flat_map(|_| response(103, OK)).collect(),
            invalid,
        ),
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
