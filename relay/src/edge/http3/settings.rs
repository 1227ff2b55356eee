//! What both ends say of themselves first (RFC 9114 section 7.2.4).

use adit_shared::wire::varint;
use bytes::Bytes;

use super::code::{Code, Violation};

/// Looks whether the visitor's settings are in order. None of them changes what we do: we compress without
/// a dynamic table, send no larger heads than any client takes, and push nothing.
///
/// # Errors
///
/// [`Violation`].
pub fn check(mut payload: Bytes) -> Result<(), Violation> {
    let mut seen = Vec::new();
    while !payload.is_empty() {
        let mut number = || {
            varint::get(&mut payload).map_err(|_| {
                Violation::new(Code::FrameError, "a setting ends before its frame does")
            })
        };
        let (name, value) = (number()?, number()?);
        let error = match name {
            // What HTTP/2 had and HTTP/3 has not (section 7.2.4.1).
            0x00 | 0x02..=0x05 => Some("a setting is of HTTP/2"),
            // RFC 9220 section 3, RFC 9297 section 2.1.1.
            CONNECT_PROTOCOL | 0x33 if value > 1 => Some("a setting is neither on nor off"),
            _ if seen.contains(&name) => Some("a setting is said twice"),
            _ => None,
        };
        if let Some(what) = error {
            return Err(Violation::new(Code::SettingsError, what));
        }
        seen.push(name);
    }
    Ok(())
}

/// Bytes of a field section, each field counted with 32 more (RFC 9114 section 4.2.2).
pub(super) const FIELD_SECTION: u64 = 0x06;
/// Extended CONNECT is possible (RFC 9220 section 3).
pub(super) const CONNECT_PROTOCOL: u64 = 0x08;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn checked(settings: &[(u64, u64)]) -> Result<(), Code> {
        let mut payload = BytesMut::new();
        for (name, value) in settings {
            varint::put(&mut payload, *name);
            varint::put(&mut payload, *value);
        }
        check(payload.freeze()).map_err(|violation| violation.code)
    }

    #[test]
    fn settings_are_said_once_and_are_of_http3() {
        let usual = [(0x01, 4096), (0x06, 16384), (0x07, 100), (0x08, 1)];
        assert_eq!(checked(&usual), Ok(()));
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&[(0x1f * 7 + 0x21, 5), (0x33, 0)]), Ok(()));
        for bad in [
            &[(0x06, 1), (0x06, 1)][..],
            &[(0x02, 1)],
            &[(0x03, 1)],
            &[(0x04, 1)],
            &[(0x05, 1)],
            &[(0x08, 2)],
            &[(0x33, 2)],
        ] {
            assert_eq!(checked(bad), Err(Code::SettingsError), "{bad:?}");
        }
        let cut = check(Bytes::from_static(&[0x06, 0x40]));
        assert_eq!(cut.unwrap_err().code, Code::FrameError);
    }
}
