//! The response that goes on to a visitor declares one length or none, and has nothing that is for one hop.
//!
//! The fields are the lines of the input.

use adit_relay::forward::headers::settle;
use adit_shared::hop;
use adit_shared::wire::fields::FieldsMut;

pub(crate) fn check(data: &[u8]) {
    let mut sent = FieldsMut::default();
    for line in data.split(|byte| *byte == b'\n') {
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            // What is no field never comes so far.
            let _ = sent.push(&line[..colon], &line[colon + 1..]);
        }
    }
    let mut fields = sent.take();
    let before = fields.clone();
    let Ok(settled) = settle(&mut fields) else {
        assert!(before.get("content-length").is_some());
        return;
    };
    let length = fields.get("content-length");
    assert!(fields.get_all("content-length").count() <= 1);
    assert_eq!(length.is_some(), before.get("content-length").is_some());
    let number = length.map(|text| {
        assert!(
            text.iter()
                .all(|byte| byte.is_ascii_digit() || b" \t".contains(byte))
        );
        let text = str::from_utf8(text).expect("digits");
        text.trim().parse::<u64>().expect("a number")
    });
    assert_eq!(settled.length, number);
    assert_eq!(settled.sets_cookies, fields.get("set-cookie").is_some());
    for (name, value) in fields.iter() {
        assert!(!hop::is_hop_by_hop(name));
        let was_there = before
            .get_all(str::from_utf8(name).expect("a name"))
            .count()
            > 0;
        assert!(was_there && !value.contains(&b'\n'));
    }
    let once = fields.clone();
    assert_eq!(settle(&mut fields), Ok(settled));
    assert_eq!(fields, once);
}
