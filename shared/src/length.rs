//! What `Content-Length` declares. Two readers of a message must not see two different ends of it
//! (RFC 9112 section 6.3), so this is strict: a list of equal numbers is one number (RFC 9110 section 8.6),
//! and anything else is an error.

use thiserror::Error;

use crate::wire::fields::Fields;

/// The length that the fields of a message declare for its body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Length {
    declared: Option<u64>,
    repeated: bool,
}

/// What is declared is not one length.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadLength {
    /// It is no number, or too large a one.
    #[error("a declared length is none")]
    NoNumber,
    /// Several values disagree.
    #[error("two different lengths are declared")]
    Disagree,
}

impl Length {
    /// What all of `fields` declare.
    ///
    /// # Errors
    ///
    /// [`BadLength`].
    pub fn of(fields: &Fields) -> Result<Self, BadLength> {
        let mut length = Self::default();
        for value in fields.get_all("content-length") {
            length.add(value)?;
        }
        Ok(length)
    }

    /// Takes the value of one field into account.
    ///
    /// # Errors
    ///
    /// [`BadLength`].
    pub fn add(&mut self, value: &[u8]) -> Result<(), BadLength> {
        for text in value.split(|byte| *byte == b',') {
            let number = number(text.trim_ascii()).ok_or(BadLength::NoNumber)?;
            match self.declared.replace(number) {
                None => {}
                Some(before) if before == number => self.repeated = true,
                Some(_) => return Err(BadLength::Disagree),
            }
        }
        Ok(())
    }

    /// The length, if one is declared.
    pub fn declared(self) -> Option<u64> {
        self.declared
    }

    /// Whether it is declared more than once.
    pub fn is_repeated(self) -> bool {
        self.repeated
    }
}

/// Digits alone: the parser of numbers would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(values: &[&str]) -> Result<(Option<u64>, bool), BadLength> {
        let mut length = Length::default();
        for value in values {
            length.add(value.as_bytes())?;
        }
        Ok((length.declared(), length.is_repeated()))
    }

    #[test]
    fn a_length_is_one_number() {
        assert_eq!(declared(&[]), Ok((None, false)));
        assert_eq!(declared(&["7"]), Ok((Some(7), false)));
        assert_eq!(declared(&["7, 07", "7"]), Ok((Some(7), true)));
        assert_eq!(
            declared(&["18446744073709551615"]),
            Ok((Some(u64::MAX), false))
        );
        for bad in [
            "",
            ",",
            "7,",
            "+7",
            "-7",
            "7a",
            "0x7",
            "7 7",
            "18446744073709551616",
        ] {
            assert_eq!(declared(&[bad]), Err(BadLength::NoNumber), "{bad}");
        }
        assert_eq!(declared(&["7, 8"]), Err(BadLength::Disagree));
        assert_eq!(declared(&["7", "8"]), Err(BadLength::Disagree));
    }
}
