//! A host that is accepted has one spelling, with or without port, in upper or lower case.

use adit_shared::name::Host;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(host) = Host::from_authority(text) else {
        return;
    };
    let spelt = host.as_str();
    assert!((1..=253).contains(&spelt.len()));
    assert!(
        spelt
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
    );
    assert!(!spelt.contains(['@', '/', '?', '#', '%', ',', '"', '\\']));
    assert!(!spelt.starts_with('.') && !spelt.ends_with('.') && !spelt.contains(".."));
    let same = |text: &str| assert_eq!(Host::from_authority(text).as_ref(), Ok(&host), "{text}");
    same(spelt);
    same(&format!("{spelt}:443"));
    same(&text.to_ascii_uppercase());
    assert_eq!(spelt.parse().as_ref(), Ok(&host));
    if let Some((label, domain)) = spelt.split_once('.')
        && let Ok(domain) = domain.parse::<Host>()
    {
        assert_eq!(host.label_under(&domain), Some(label));
    }
}
