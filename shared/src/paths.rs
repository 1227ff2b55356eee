//! Patterns of paths: which requests an option is about.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A pattern of paths, in which `*` stands for any text: `/hooks/*`, `*/github`, `/stripe`. It is compared
/// byte for byte with the path as the visitor sent it, without the query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathPattern(String);

impl PathPattern {
    /// The one that fits every path.
    pub fn everything() -> Self {
        Self("*".into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` fits.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut at, mut seen) = (0, 0);
        // Where the last star was, and how much of the path it stands for.
        let mut star = None;
        while seen < path.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, seen));
                    at += 1;
                }
                Some(byte) if *byte == path[seen] => (at, seen) = (at + 1, seen + 1),
                _ => match star {
                    Some((back, taken)) => {
                        star = Some((back, taken + 1));
                        (at, seen) = (back + 1, taken + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl FromStr for PathPattern {
    type Err = BadPathPattern;

    fn from_str(text: &str) -> Result<Self, BadPathPattern> {
        let begins = text.starts_with(['/', '*']);
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b',');
        if begins && text.len() <= MAX_PATTERN && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadPathPattern)
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no pattern of paths.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a pattern of paths begins with / or *, as in /hooks/*, and has at most 200 characters")]
pub struct BadPathPattern;

const MAX_PATTERN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, path: &str| {
            let pattern: PathPattern = pattern.parse().unwrap();
            pattern.matches(path)
        };
        for (pattern, path) in [
            ("*", "/"),
            ("*", ""),
            ("/*", "/a/b"),
            ("/hooks/*", "/hooks/"),
            ("/hooks/*/push", "/hooks/a/b/push"),
            ("*/github", "/a/github"),
            ("/a*b*c", "/aXbbYc"),
            ("/a", "/a"),
            ("/**", "/a"),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/hooks/*", "/hooks"),
            ("/a", "/a/"),
            ("/a", "/A"),
            ("*/github", "/a/github/"),
            ("/a*b*c", "/acb"),
            ("/%2F", "//"),
        ] {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn what_can_fit_no_path_is_refused() {
        let long = format!("/{}", "a".repeat(200));
        for text in ["", "hooks", "/a?b", "/a b", "/a,b", "/\u{e9}", &long] {
            assert_eq!(text.parse::<PathPattern>(), Err(BadPathPattern), "{text}");
        }
    }
}
