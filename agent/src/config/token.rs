//! The secret that allows an agent to connect.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use adit_shared::files::is_exposed;
use adit_shared::wire::control::MAX_TEXT;
use thiserror::Error;

/// A token. It is never shown: only [`reveal`](Self::reveal) gives it away.
#[derive(Clone, Eq, PartialEq)]
pub struct Token(String);

impl Token {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The tokens in a text with commas between them; at least one.
    ///
    /// # Errors
    ///
    /// [`BadToken`].
    pub fn list(text: &str) -> Result<Vec<Self>, BadToken> {
        text.split(',').map(str::parse).collect()
    }

    /// Reads the tokens in a file, one a line, less the white space around them; at least one. Warns
    /// when others can read them.
    ///
    /// # Errors
    ///
    /// [`BadToken`].
    pub fn read(path: &Path) -> Result<Vec<Self>, BadToken> {
        let failed = |error| BadToken::Read(path.to_owned(), error);
        let file = fs::File::open(path).map_err(failed)?;
        if is_exposed(path, &file.metadata().map_err(failed)?) {
            tracing::warn!(
                path = %path.display(),
                "others can read the token file; mend it with: chmod 600 {}",
                path.display()
            );
        }
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let lines = text.trim().lines().map(str::parse);
        let tokens: Result<Vec<_>, _> = match text.trim() {
            "" => Err(BadToken::Empty),
            _ => lines.collect(),
        };
        tokens.map_err(|error| BadToken::Content(path.to_owned(), Box::new(error)))
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadToken::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(BadToken::TooLong);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadToken::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no token. The text never holds what was given.
#[derive(Debug, Error)]
pub enum BadToken {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// Longer than the protocol allows.
    #[error("a token has at most {MAX_TEXT} characters")]
    TooLong,
    /// Something that no token contains.
    #[error("a token has neither spaces nor control characters")]
    Character,
    /// The file cannot be read.
    #[error("cannot read the token in {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error("{0} holds no token")]
    Content(PathBuf, #[source] Box<Self>),
}

/// How much of a token file is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_never_shown() {
        let token: Token = " canary\n".parse().unwrap();
        assert_eq!(token.reveal(), "canary");
        assert_eq!(format!("{token:?}"), "Token(…)");
        for bad in ["", " \n", "can ary", "can\u{7f}ary", &"x".repeat(1025)] {
            let error = bad.parse::<Token>().unwrap_err();
            assert!(!error.to_string().contains("can"), "{error}");
        }
    }

    #[test]
    fn a_token_file_may_end_in_a_newline() {
        let path = std::env::temp_dir().join(format!("adit-token-{}", std::process::id()));
        fs::write(&path, "canary\nother \n").unwrap();
        let tokens = Token::read(&path).unwrap();
        let texts: Vec<_> = tokens.iter().map(Token::reveal).collect();
        assert_eq!(texts, ["canary", "other"]);
        fs::write(&path, "\n").unwrap();
        assert!(matches!(Token::read(&path), Err(BadToken::Content(..))));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Token::read(&path), Err(BadToken::Read(..))));
    }
}
