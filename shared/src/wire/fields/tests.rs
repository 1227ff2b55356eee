//! Fields against a map of them, and what is refused.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn made<const N: usize>(pairs: [(&str, &str); N]) -> Fields {
    Fields::from_pairs(pairs).unwrap()
}

fn encoded(fields: &Fields) -> Bytes {
    let mut bytes = BytesMut::new();
    fields.encode(&mut bytes);
    bytes.freeze()
}

fn pairs() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        "[a-zA-Z][a-z0-9!#_-]{0,20}",
        (0..table::NAMES.len()).prop_map(|at| table::NAMES[at].0.to_owned()),
    ];
    let value = prop_oneof![
        vec(
            prop_oneof![Just(b'\t'), 0x20..0x7f_u8, 0x80..=0xff_u8],
            0..80
        ),
        Just(b"application/json".to_vec()),
        Just(b"0".to_vec()),
    ];
    vec((name, value), 0..20)
}

pub(crate) fn fields() -> impl Strategy<Value = Fields> {
    pairs().prop_map(|pairs| Fields::from_pairs(pairs).unwrap())
}

proptest! {
    #[test]
    fn decode_undoes_encode_and_a_prefix_is_incomplete(fields in fields()) {
        let bytes = encoded(&fields);
        let read = Fields::decode(bytes.clone()).unwrap();
        prop_assert_eq!(read.len(), fields.iter().count());
        prop_assert_eq!(&read, &fields);
        for end in 0..bytes.len() {
            prop_assert_eq!(Fields::decode(bytes.slice(..end)), Err(Malformed::Incomplete));
        }
    }

    #[test]
    fn they_say_what_a_map_says(pairs in pairs()) {
        let mut map = HeaderMap::new();
        let mut fields = FieldsMut::default();
        for (name, value) in &pairs {
            let header = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(header, HeaderValue::from_bytes(value).unwrap());
            fields.push(name.as_bytes(), value).unwrap();
        }
        let mut fields = fields.take();
        prop_assert_eq!(fields.to_map(), map.clone());
        prop_assert_eq!(Fields::try_from(&map).unwrap().to_map(), map.clone());
        let names: Vec<_> = map.keys().cloned().collect();
        for name in names {
            let all: Vec<_> = fields.get_all(name.as_str()).collect();
            prop_assert_eq!(&all, &map.get_all(&name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>());
            fields.remove(name.as_str());
            map.remove(&name);
            prop_assert_eq!(fields.len(), map.len());
            prop_assert_eq!(fields.to_map(), map.clone());
        }
        prop_assert!(fields.is_empty());
    }

    #[test]
    fn names_and_values_are_those_of_http(
        name in vec(prop_oneof![9 => 0x20..0x7f_u8, 1 => any::<u8>()], 0..6), value in vec(any::<u8>(), 0..40),
    ) {
        let valid = HeaderName::from_bytes(&name).is_ok() && HeaderValue::from_bytes(&value).is_ok();
        let mut fields = FieldsMut::default();
        prop_assert_eq!(fields.push(&name, &value).is_ok(), valid);
        prop_assert_eq!(fields.len(), usize::from(valid));
        let mut literal = BytesMut::from(&[1, 0][..]);
        varint::put_bytes(&mut literal, &name);
        varint::put_bytes(&mut literal, &value);
        prop_assert_eq!(Fields::decode(literal.freeze()).ok(), valid.then(|| fields.take()));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(fields) = Fields::decode(Bytes::from(bytes)) {
            assert_eq!(fields.iter().count(), fields.len());
        }
    }
}

#[test]
fn order_and_repeats_are_kept_and_names_are_lower_case() {
    let fields = made([
        ("X-A", "1"),
        ("Set-Cookie", "a"),
        ("x-a", "2"),
        ("SET-COOKIE", "b"),
    ]);
    let text = format!("{fields:?}");
    assert_eq!(
        text,
        r#"[("x-a", "1"), ("set-cookie", "a"), ("x-a", "2"), ("set-cookie", "b")]"#
    );
    assert_eq!(fields.get("x-a"), Some(&b"1"[..]));
    assert_eq!(fields.get_all("set-cookie").count(), 2);
    assert_eq!(fields.get("x-b"), None);
}

#[test]
fn keeping_all_copies_nothing_and_else_the_rest_stays() {
    let mut fields = made([("a", "1"), ("content-length", "0"), ("b", "2"), ("a", "3")]);
    let before = fields.bytes.as_ptr();
    fields.retain(|_, _| true);
    assert_eq!(fields.bytes.as_ptr(), before);
    fields.remove("a");
    assert_eq!(fields, made([("content-length", "0"), ("b", "2")]));
    fields.remove("b");
    assert_eq!(encoded(&fields), b"\x01\x40\x4e"[..]);
}

#[test]
fn known_names_take_one_byte() {
    const LENGTH: Name = Name::new("content-length");
    const MINE: Name = Name::new("x-mine");
    let mut fields = FieldsMut::with_capacity(32);
    fields.put(LENGTH, &HeaderValue::from_static("5")).unwrap();
    fields.put(LENGTH, &HeaderValue::from_static("0")).unwrap();
    fields.put(MINE, &HeaderValue::from_static("")).unwrap();
    assert_eq!((fields.len(), MINE.as_str()), (3, "x-mine"));
    let bytes = encoded(&fields.take());
    assert_eq!(bytes, b"\x03\x0c\x015\x40\x4e\x00\x06x-mine\x00"[..]);
    assert!(fields.is_empty() && fields.take().is_empty());
}

#[test]
fn there_are_never_too_many() {
    let mut fields = FieldsMut::default();
    let name = [b'x'; MAX_NAME + 1];
    assert_eq!(fields.push(&name, b""), Err(HeadTooLarge.into()));
    for _ in 1..MAX_FIELDS {
        fields.push(&name[1..], b"").unwrap();
    }
    fields.push(b"age", b"").unwrap();
    for name in ["age", "x"] {
        assert_eq!(fields.push(name.as_bytes(), b""), Err(HeadTooLarge.into()));
    }
    let fields = fields.take();
    assert_eq!(fields.len(), MAX_FIELDS);
    assert_eq!(Fields::decode(encoded(&fields)), Ok(fields));
}

#[test]
fn fields_are_added_to_fields_up_to_the_limit() {
    let some = made([("a", "1"), ("content-length", "0")]);
    let mut fields = FieldsMut::default();
    fields.push(b"B", b"2").unwrap();
    fields.put_all(&some).unwrap();
    assert_eq!(fields.len(), 3);
    while fields.len() + some.len() <= MAX_FIELDS {
        fields.put_all(&some).unwrap();
    }
    let before = fields.len();
    assert_eq!(fields.put_all(&some), Err(HeadTooLarge));
    assert_eq!(fields.len(), before);
    let all = fields.take();
    assert_eq!(all.iter().count(), before);
    assert_eq!(all.iter().nth(2), Some((&b"content-length"[..], &b"0"[..])));
}
