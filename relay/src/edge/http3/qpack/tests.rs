use proptest::prelude::*;

use super::*;

const LIMIT: Limit = Limit {
    bytes: 1000,
    fields: 10,
};

type Pairs = Vec<(String, String)>;

fn decoded(bytes: &[u8]) -> Result<Pairs, BadSection> {
    let section = decode(bytes, LIMIT)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = section
        .iter()
        .map(|(name, value)| (text(name), text(value)));
    Ok(fields.collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    pairs.iter().map(owned).collect()
}

/// A literal field with a literal name, in Huffman's code.
fn coded(name: &[u8], value: &[u8]) -> Vec<u8> {
    let (name, value) = (huffman::tests::encode(name), huffman::tests::encode(value));
    let mut to = Vec::new();
    integer::put(&mut to, 0x28, 3, name.len() as u64);
    to.extend_from_slice(&name);
    integer::put(&mut to, 0x80, 7, value.len() as u64);
    to.extend_from_slice(&value);
    to
}

#[test]
fn the_example_of_rfc_9204_appendix_b_1() {
    let bytes = [&[0, 0, 0x51, 0x0b][..], b"/index.html"].concat();
    assert_eq!(decoded(&bytes).unwrap(), pairs(&[(":path", "/index.html")]));
    let mut written = BytesMut::new();
    begin(&mut written);
    put(b":path", b"/index.html", &mut written);
    assert_eq!(written, bytes);
}

#[test]
fn each_form_of_a_field_is_read() {
    let mut bytes = vec![0, 0, 0xd1, 0xd7];
    bytes.extend_from_slice(&[0x50, 1, b'a']);
    // The same, never to be indexed.
    bytes.extend_from_slice(&[0x70, 1, b'b']);
    bytes.extend_from_slice(&[0x23, b'x', b'-', b'y', 0]);
    bytes.extend_from_slice(&coded(b"user-agent", b"other"));
    let expected = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a"),
        (":authority", "b"),
        ("x-y", ""),
        ("user-agent", "other"),
    ];
    assert_eq!(decoded(&bytes).unwrap(), pairs(&expected));
    for end in 3..bytes.len() {
        // Cut within a field or between two, it never reads past what there is.
        if let Ok(fields) = decoded(&bytes[..end]) {
            assert!(expected.len() > fields.len());
        }
    }
}

#[test]
fn the_dynamic_table_does_not_exist() {
    for bytes in [
        // An insert is required, or the base is below zero.
        &[1, 0, 0xd1][..],
        &[0, 0x80, 0xd1],
        // Indexed, named, and both past the base.
        &[0, 0, 0x80],
        &[0, 0, 0x40, 0],
        &[0, 0, 0x10],
        &[0, 0, 0x00, 0],
        // Past the end of the static table.
        &[0, 0, 0xff, 36],
        &[0, 0, 0x5f, 84, 0],
        // No prefix, or half of one.
        &[],
        &[0],
        // A string that is longer than what there is.
        &[0, 0, 0x51, 2, b'/'],
    ] {
        let error = decoded(bytes).unwrap_err();
        assert!(matches!(error, BadSection::Malformed(_)), "{bytes:?}");
    }
}

#[test]
fn a_section_takes_no_more_than_it_may() {
    // One byte stands for 76.
    let bomb = [&[0, 0][..], &[0xff, 22].repeat(1000)].concat();
    assert_eq!(decoded(&bomb), Err(BadSection::TooMany));
    let zeros = [&[0, 0][..], &coded(b"x", &[b'0'; 1001])].concat();
    assert_eq!(decoded(&zeros), Err(BadSection::TooLarge));
    let fields = |count| [&[0, 0][..], &[0xd1].repeat(count)].concat();
    assert_eq!(decoded(&fields(10)).unwrap().len(), 10);
    assert_eq!(decoded(&fields(11)), Err(BadSection::TooMany));
    let mut exact = BytesMut::new();
    begin(&mut exact);
    put(b"x", &[b'a'; 999], &mut exact);
    assert!(decoded(&exact).is_ok());
    put(b"y", b"", &mut exact);
    assert_eq!(decoded(&exact), Err(BadSection::TooLarge));
}

proptest! {
    #[test]
    fn decode_undoes_encode(
        fields in proptest::collection::vec(("[a-z:-]{1,20}|accept|:status", "[ -~]{0,40}|200"), 0..10)
    ) {
        let mut bytes = BytesMut::new();
        begin(&mut bytes);
        for (name, value) in &fields {
            put(name.as_bytes(), value.as_bytes(), &mut bytes);
        }
        prop_assert_eq!(decoded(&bytes).unwrap(), fields);
    }

    #[test]
    fn anything_is_read_or_refused(bytes: Vec<u8>) {
        let _ = decoded(&bytes);
    }
}
