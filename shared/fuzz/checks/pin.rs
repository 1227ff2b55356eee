//! A pin that is accepted is `sha256:` and 64 hex digits, and is written as it was read.

use adit_shared::quic::tls::Pin;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(pin) = text.parse::<Pin>() else {
        return;
    };
    let written = pin.to_string();
    let digits = text
        .strip_prefix("sha256:")
        .expect("a pin says how it was made");
    assert_eq!(written, format!("sha256:{}", digits.to_ascii_lowercase()));
    assert_eq!(written.parse(), Ok(pin));
}
