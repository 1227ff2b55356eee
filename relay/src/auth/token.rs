//! The text of a token: `adit_`, 8 characters that name it in public, 33 that are secret, and 6 of
//! checksum, all in base 62.
//!
//! The checksum tells a token that was copied badly from one that is not known here. The secret has
//! 196 bits, so what is kept of a token is one round of SHA-256: there is nothing to guess.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, rand};
use thiserror::Error;

/// A token, well formed. Whether it is good only the store knows.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(String);

impl Token {
    /// A new token.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut text = PREFIX.to_owned();
        random_digits(&mut text, ID + SECRET)?;
        push_checksum(&mut text);
        Ok(Self(text))
    }

    /// The secret itself: for the one who asked for it, and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the token is called in public.
    pub fn id(&self) -> TokenId {
        let mut id = [0; ID];
        id.copy_from_slice(&self.0.as_bytes()[PREFIX.len()..][..ID]);
        TokenId(id)
    }

    /// What is kept of the token.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }

    /// Whether this is the token of which `hash` was kept, in constant time.
    pub fn is_of(&self, hash: &[u8; 32]) -> bool {
        verify_slices_are_equal(&self.hash(), hash).is_ok()
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX).ok_or(BadToken::Prefix)?;
        if digits.len() != ID + SECRET + CHECKSUM {
            return Err(BadToken::Length);
        }
        if !digits.bytes().all(|b| DIGITS.contains(&b)) {
            return Err(BadToken::Checksum);
        }
        let mut expected = text[..text.len() - CHECKSUM].to_owned();
        push_checksum(&mut expected);
        if expected != text {
            return Err(BadToken::Checksum);
        }
        Ok(Self(expected))
    }
}

impl fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id())
    }
}

/// Why a text is no token. None of these shows the text.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadToken {
    /// It is something else.
    #[error("a token begins with `adit_`; this text is something else")]
    Prefix,
    /// Characters are missing, or there are too many.
    #[error("the token is cut or has something added to it; copy it again as a whole")]
    Length,
    /// A character is not what it was.
    #[error("the token is mistyped: its checksum does not fit; copy it again as a whole")]
    Checksum,
}

/// What a token is called in lists, logs and the store.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenId([u8; ID]);

impl TokenId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Parsing lets only ASCII through.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<Self, BadTokenId> {
        let id: [u8; ID] = text.as_bytes().try_into().map_err(|_| BadTokenId)?;
        let fits = id.iter().all(|b| DIGITS.contains(b));
        fits.then_some(Self(id)).ok_or(BadTokenId)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the id of a token.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the id of a token has 8 letters and digits")]
pub struct BadTokenId;

/// The system gives no randomness.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the system gives no randomness for a token")]
pub struct NoRandomness;

fn random_digits(to: &mut String, count: usize) -> Result<(), NoRandomness> {
    let end = to.len() + count;
    while to.len() < end {
        let mut bytes = [0; 64];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        // Bytes of 248 and above would make the first digits likelier than the last.
        let fair = bytes.iter().filter(|&&b| b < 248);
        to.extend(
            fair.take(end - to.len())
                .map(|b| digit(u32::from(*b) % BASE)),
        );
    }
    Ok(())
}

fn push_checksum(text: &mut String) {
    // The one of Ethernet and zip.
    let mut rest = crc32fast::hash(text.as_bytes());
    for _ in 0..CHECKSUM {
        text.push(digit(rest % BASE));
        rest /= BASE;
    }
}

fn digit(number: u32) -> char {
    char::from(DIGITS[number as usize])
}

const PREFIX: &str = "adit_";
const ID: usize = 8;
const SECRET: usize = 33;
/// The fewest digits that hold 32 bits.
const CHECKSUM: usize = 6;
const BASE: u32 = 62;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let token = Token::generate().unwrap();
        assert_eq!(token.reveal().len(), 52);
        let read: Token = format!(" {}\n", token.reveal()).parse().unwrap();
        assert_eq!(read, token);
        assert!(read.is_of(&token.hash()));
        assert_eq!(token.id().to_string().parse(), Ok(token.id()));
        assert_ne!(Token::generate().unwrap(), token);
    }

    #[test]
    fn every_single_slip_is_noticed() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        for at in PREFIX.len()..text.len() {
            for other in ["0", "a", "Z", "-", "é"] {
                let slip = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(slip == text || slip.parse::<Token>().is_err(), "{slip}");
            }
        }
        for end in 0..text.len() {
            assert!(text[..end].parse::<Token>().is_err());
        }
        assert_eq!("hunter2".parse::<Token>(), Err(BadToken::Prefix));
        assert_eq!(format!("{text}x").parse::<Token>(), Err(BadToken::Length));
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        let mut text = "123456789".to_owned();
        push_checksum(&mut text);
        let digits = text[9..].bytes().rev();
        let digit = |byte| DIGITS.iter().position(|digit| *digit == byte).unwrap();
        let sum = digits.fold(0, |sum, byte| sum * 62 + digit(byte));
        assert_eq!(sum, 0xcbf4_3926);
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::generate().unwrap();
        assert_eq!(format!("{token:?}"), format!("Token({})", token.id()));
    }
}
