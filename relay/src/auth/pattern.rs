//! Which names and hosts a token allows.
//!
//! A pattern without a dot is about names (`staging`, `app-*`, `*`), one with a dot about own hosts
//! (`app.customer.com`, `*.customer.com`). A `*` stands for any text within one label, so neither
//! kind ever matches the other. `**` alone stands for everything.

use std::fmt;
use std::str::FromStr;

use adit_shared::name::{Host, Name};
use thiserror::Error;

/// A pattern of names or of hosts; lower case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Pattern(Shape);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Shape {
    Everything,
    Exactly(String),
    /// What stands before and after the `*`.
    Around(String, String),
}

impl Pattern {
    /// Any name and any own host: `**`.
    pub fn everything() -> Self {
        Self(Shape::Everything)
    }

    /// Whether `text`, a [`Name`] or [`Host`] in its own lower-case form, is allowed.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Shape::Everything => true,
            Shape::Exactly(only) => text == only,
            Shape::Around(before, after) => text
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|between| !between.contains('.')),
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text == "**" {
            return Ok(Self::everything());
        }
        let text = text.to_ascii_lowercase();
        // With a letter for the star it must be a name or host that somebody could ask for.
        let example = text.replacen('*', "x", 1);
        if example.contains('*') {
            return Err(BadPattern::Stars);
        }
        if example.contains('.') {
            let host: Host = example.parse().map_err(|_| BadPattern::Host)?;
            if host.as_str() != example {
                return Err(BadPattern::Host);
            }
        } else {
            example.parse::<Name>().map_err(|_| BadPattern::Name)?;
        }
        match text.split_once('*') {
            None => Ok(Self(Shape::Exactly(text))),
            Some((before, _)) if before.contains('.') => Err(BadPattern::Place),
            Some((before, after)) => Ok(Self(Shape::Around(before.into(), after.into()))),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Everything => f.write_str("**"),
            Shape::Exactly(only) => f.write_str(only),
            Shape::Around(before, after) => write!(f, "{before}*{after}"),
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadPattern {
    /// Too many stars.
    #[error("a pattern has at most one `*` (or is `**`, which allows everything)")]
    Stars,
    /// The star is where it would allow the domains of others.
    #[error("the `*` of a host belongs in its first label, as in `*.example.com`")]
    Place,
    /// Without its star it is no name.
    #[error(
        "a pattern without a dot is a name of letters, digits and hyphens, with a `*` if need be, \
         as in `app-*`"
    )]
    Name,
    /// Without its star it is no host.
    #[error("a pattern with a dot is a host, as in `app.example.com` or `*.example.com`")]
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(text)
    }

    #[test]
    fn names_and_hosts_are_kept_apart() {
        for (pattern, yes, no) in [
            ("*", &["app", "x"][..], &["app.example.com"][..]),
            (
                "app-*",
                &["app-1", "app-"],
                &["app", "xapp-1", "app-1.evil.com"],
            ),
            ("*-pr", &["7-pr"], &["-pr-7", "evil.com-pr"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("Staging", &["staging"], &["staging2", "stagin"]),
            (
                "*.example.com",
                &["a.example.com"],
                &["example.com", "a.b.example.com", "a.example.com.evil.com"],
            ),
            (
                "app-*.example.com",
                &["app-1.example.com"],
                &["app.example.com"],
            ),
            ("app.example.com", &["app.example.com"], &["app"]),
            ("**", &["app", "a.b.example.com"], &[]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} allows {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} refuses {text}");
            }
        }
    }

    #[test]
    fn what_could_allow_too_much_is_refused() {
        for (text, error) in [
            ("", BadPattern::Name),
            ("a b", BadPattern::Name),
            ("-*", BadPattern::Name),
            ("xn--*", BadPattern::Name),
            ("a_b", BadPattern::Name),
            ("*.*", BadPattern::Stars),
            ("***", BadPattern::Stars),
            ("app.*", BadPattern::Place),
            ("a.*.com", BadPattern::Place),
            ("*.", BadPattern::Host),
            ("*..com", BadPattern::Host),
            ("*.example.com.", BadPattern::Host),
            ("a.com:80", BadPattern::Host),
            ("a.com b.com", BadPattern::Host),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
    }

    /// All texts of up to four characters of a small alphabet, against the plainest matcher.
    #[test]
    fn every_short_pattern_agrees_with_the_plainest_matcher() {
        fn plain(pattern: &[u8], text: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'*', rest)) => (0..=text.len())
                    .take_while(|end| !text[..*end].contains(&b'.'))
                    .any(|end| plain(rest, &text[end..])),
                Some((one, rest)) => text.first() == Some(one) && plain(rest, &text[1..]),
            }
        }
        let mut words = vec![String::new()];
        let mut from = 0;
        for _ in 0..4 {
            let end = words.len();
            for at in from..end {
                for letter in ['a', 'b', '.', '*'] {
                    words.push(format!("{}{letter}", words[at]));
                }
            }
            from = end;
        }
        let patterns = words
            .iter()
            .filter(|word| *word != "**")
            .filter_map(|word| Some((word, word.parse::<Pattern>().ok()?)));
        let mut seen = 0;
        for (word, pattern) in patterns {
            assert_eq!(pattern.to_string(), *word, "written as it is read");
            for text in words.iter().filter(|text| !text.contains('*')) {
                let expected = plain(word.as_bytes(), text.as_bytes());
                assert_eq!(pattern.matches(text), expected, "{word} on {text}");
            }
            seen += 1;
        }
        assert!(seen > 50, "{seen} patterns");
    }
}
