//! Which paths a rule is for.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// Paths: all, one, or those that begin in one way (`/hooks/*`).
///
/// A path is sent on as the visitor wrote it, yet servers take many spellings for one: `/Hooks//a/`, `/hooks/%61`,
/// `/x/../hooks/a`. A rule is for all of these, or it could be evaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathPattern {
    path: String,
    is_start: bool,
}

impl PathPattern {
    /// Whether `path` may be taken for one of them.
    pub fn matches(&self, path: &str) -> bool {
        if self.is_start && self.path.is_empty() {
            return true;
        }
        let path = plain(path);
        if self.is_start {
            path.starts_with(&self.path)
        } else {
            path == self.path
        }
    }
}

/// A path in the one spelling that stands for all.
fn plain(path: &str) -> String {
    let text = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        // What stands behind a semicolon are parameters to some servers.
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

impl FromStr for PathPattern {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        if text == "*" {
            return Ok(Self {
                path: String::new(),
                is_start: true,
            });
        }
        if !text.starts_with('/') {
            return Err(BadPath(text.to_owned()));
        }
        let (start, is_start) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let mut path = plain(start);
        if is_start && start.ends_with('/') && path != "/" {
            path.push('/');
        }
        Ok(Self { path, is_start })
    }
}

/// The text is no path.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0:?} is no path: it begins with a slash, and may end with `*`")]
pub struct BadPath(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_of_a_path_evades_no_rule() {
        let one: PathPattern = "/Hooks/pay".parse().unwrap();
        let start: PathPattern = "/hooks/*".parse().unwrap();
        for path in [
            "/hooks/pay",
            "/hooks/pay/",
            "//hooks///pay",
            "/HOOKS/pay",
            "/h%6Foks%2fpay",
            "/a/../hooks/./pay",
            "/hooks\\pay",
            "/hooks;v=1/pay;x",
        ] {
            assert!(one.matches(path) && start.matches(path), "{path}");
        }
        for path in [
            "/",
            "/hooks",
            "/hooks/paying",
            "/hooks/pay/x",
            "/%zzhooks/pay%",
        ] {
            assert!(!one.matches(path), "{path}");
        }
        assert!(!start.matches("/hooksy"));
        let all: PathPattern = "*".parse().unwrap();
        assert!(all.matches("*") && all.matches("/"));
        let root: PathPattern = "/*".parse().unwrap();
        assert!(root.matches("/") && root.matches("/a"));
        assert!("hooks".parse::<PathPattern>().is_err());
    }
}
