//! Durations and sizes, as people type them.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A duration, such as `500ms`, `10s`, `1h30m`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        // A bare zero has no unit to forget.
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let signed: jiff::SignedDuration = text.parse().map_err(|_| BadSpan)?;
        signed.try_into().map(Self).map_err(|_| BadSpan)
    }
}

/// The text is no duration.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a duration is a number with its unit, such as 500ms, 10s, 5m or 24h")]
pub struct BadSpan;

/// A number of bytes, such as `32KiB` or `65536`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let unit: usize = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(BadSize),
        };
        let number: usize = number.parse().map_err(|_| BadSize)?;
        number.checked_mul(unit).map(Self).ok_or(BadSize)
    }
}

/// The text is no size.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a size is a number of bytes, such as 65536, 64KiB or 1MiB")]
pub struct BadSize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m 30s", 90_000),
            ("24h", 86_400_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
        }
        for text in ["", "10", "-1s", "1 fortnight", "s"] {
            assert_eq!(text.parse::<Span>(), Err(BadSpan), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_and_do_not_overflow() {
        assert_eq!("65536".parse(), Ok(Size(65536)));
        assert_eq!("64KiB".parse(), Ok(Size(65536)));
        assert_eq!("1 MiB".parse(), Ok(Size(1 << 20)));
        for text in ["", "KiB", "-1", "1.5MiB", "1KB", "99999999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
    }
}
