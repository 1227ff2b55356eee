use bytes::BytesMut;

use super::super::qpack::{self, Limit};
use super::*;

type Pair = (&'static str, &'static str);

const GET: [Pair; 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "a"),
    (":path", "/x?y"),
];

const CONNECT: [Pair; 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "a"),
];

fn section(pairs: &[Pair]) -> Section {
    let mut bytes = BytesMut::new();
    qpack::begin(&mut bytes);
    for (name, value) in pairs {
        qpack::put(name.as_bytes(), value.as_bytes(), &mut bytes);
    }
    let limit = Limit {
        bytes: 10_000,
        fields: 100,
    };
    qpack::decode(&bytes, limit).unwrap()
}

/// Whether these fields are malformed (true), or for somebody else (false).
fn is_malformed(pairs: &[Pair]) -> bool {
    match Head::of(&section(pairs)) {
        Ok(head) => panic!("{pairs:?} is taken: {head:?}"),
        Err(BadHead::Malformed(_)) => true,
        Err(BadHead::Refused(_)) => false,
    }
}

#[test]
fn a_request_says_what_it_is_for() {
    let fields = section(
        &[
            &GET[..],
            &[
                ("accept", "application/json"),
                ("content-length", "5"),
                ("expect", "100-Continue"),
                ("te", "trailers"),
                ("cookie", "a=b"),
            ],
        ]
        .concat(),
    );
    let head = Head::of(&fields).unwrap();
    assert_eq!(head.method, Method::GET);
    assert_eq!(head.target.as_str(), "/x?y");
    assert_eq!((head.authority, &head.protocol), (Some("a"), &None));
    assert_eq!((head.length, head.expects), (Some(5), true));
    assert_eq!(head.form, Form::Json);
    assert_eq!(head.fields().count(), 5);
    let options = section(&[("", ""); 0]);
    assert!(Head::of(&options).is_err());
    let star = [(":method", "OPTIONS"), (":scheme", "https"), (":path", "*")];
    assert_eq!(Head::of(&section(&star)).unwrap().target.as_str(), "*");
}

#[test]
fn a_websocket_travels_as_in_http1() {
    let key = ("sec-websocket-key", "x");
    let fields = section(&[&CONNECT[..], &[key, ("sec-websocket-version", "13")]].concat());
    let head = Head::of(&fields).unwrap();
    assert_eq!(head.method, Method::GET);
    assert_eq!(head.protocol, Some(HeaderValue::from_static("websocket")));
    let fields: Vec<_> = head.fields().collect();
    assert_eq!(fields, [(&b"sec-websocket-version"[..], &b"13"[..])]);
    for missing in [2, 3, 4] {
        let mut some = CONNECT.to_vec();
        some.remove(missing);
        assert!(is_malformed(&some));
    }
    assert!(is_malformed(
        &[&CONNECT[..], &[("content-length", "5")]].concat()
    ));
    assert!(is_malformed(
        &[&[(":protocol", "websocket")], &GET[..]].concat()
    ));
}

/// RFC 9114 sections 4.1.2, 4.2, 4.3 and 4.4.
#[test]
fn what_is_malformed_is_told_from_what_is_for_others() {
    for more in [
        // Pseudo-header fields: twice, unknown, of a response, behind others.
        (":method", "GET"),
        (":path", "/"),
        (":other", "1"),
        (":status", "200"),
        // Names that are none, or not in lower case.
        ("Accept", "a"),
        ("a b", "a"),
        ("", "a"),
        ("a:b", "a"),
        // Values that would be two lines elsewhere.
        ("a", "b\r\nc: d"),
        ("a", "b\nc"),
        ("a", "b\0"),
        // What is for a connection of HTTP/1.1.
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        // Lengths.
        ("content-length", "+5"),
        ("content-length", "5, 5"),
        ("content-length", "5, 6"),
        ("content-length", ""),
    ] {
        assert!(is_malformed(&[&GET[..], &[more]].concat()), "{more:?}");
    }
    assert!(is_malformed(
        &[&GET[..3], &[("a", "b"), (":path", "/")]].concat()
    ));
    for missing in [0, 1, 3] {
        let mut some = GET.to_vec();
        some.remove(missing);
        assert!(is_malformed(&some));
    }
    for (path, malformed) in [
        ("", true),
        ("x", true),
        ("*", true),
        ("https://a/", true),
        ("/x#y", false),
        ("/x y", false),
    ] {
        let mut pairs = GET;
        pairs[3].1 = path;
        assert_eq!(is_malformed(&pairs), malformed, "{path}");
    }
    let mut other = GET;
    other[1].1 = "ftp";
    assert!(!is_malformed(&other));
    let mut bad = GET;
    bad[0].1 = "G T";
    assert!(is_malformed(&bad));
    // A CONNECT has neither scheme nor path.
    assert!(Head::of(&section(&[(":method", "CONNECT"), (":authority", "a:1")])).is_ok());
    assert!(is_malformed(&[(":method", "CONNECT")]));
    bad[0].1 = "CONNECT";
    assert!(is_malformed(&bad));
}

#[test]
fn trailers_go_on_but_for_what_comes_too_late() {
    let of = |pairs: &[Pair]| trailers(&section(pairs));
    let some = of(&[
        ("a", "1"),
        ("host", "b"),
        ("content-length", "1"),
        ("a", "2"),
    ]);
    let some = some.unwrap().unwrap();
    let values: Vec<_> = some.get_all("a").iter().collect();
    assert_eq!((some.len(), values.len()), (2, 2));
    assert_eq!(of(&[("host", "b")]), Ok(None));
    for bad in [(":path", "/"), ("A", "1"), ("connection", "close")] {
        assert!(of(&[bad]).is_err(), "{bad:?}");
    }
}
