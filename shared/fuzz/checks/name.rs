//! A name that is accepted has one spelling and is one label of a host.

use adit_shared::name::{Host, Name};

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(name) = text.parse::<Name>() else {
        return;
    };
    let spelt = name.as_str();
    assert!(spelt.eq_ignore_ascii_case(text));
    assert!((1..=63).contains(&spelt.len()));
    assert!(
        spelt
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    );
    assert!(!spelt.starts_with('-') && !spelt.ends_with('-') && !spelt.starts_with("xn--"));
    assert_eq!(spelt.parse().as_ref(), Ok(&name));
    assert_eq!(text.to_ascii_uppercase().parse().as_ref(), Ok(&name));

    let domain: Host = "relay.example".parse().expect("a host");
    let host = name
        .under(&domain)
        .expect("a label and a short domain are a host");
    assert_eq!(host.as_str(), format!("{spelt}.relay.example"));
    assert_eq!(host.label_under(&domain), Some(spelt));
}
