//! A pattern of paths fits what it says, and nothing else.
//!
//! The first line of the input is a pattern, the second a path.

use adit_shared::paths::PathPattern;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (pattern, path) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(parsed) = pattern.parse::<PathPattern>() else {
        return;
    };
    assert_eq!(parsed.to_string(), pattern);
    assert!(pattern.len() <= 200 && pattern.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(
        parsed.matches(path),
        fits(pattern.as_bytes(), path.as_bytes()),
        "{path}"
    );
    assert!(PathPattern::everything().matches(path));
}

/// Which beginnings of the path fit the pattern so far, a byte of it after the other.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    for byte in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match byte {
                b'*' => ends[at] || at > 0 && next[at - 1],
                byte => at > 0 && ends[at - 1] && path[at - 1] == *byte,
            };
        }
        ends = next;
    }
    ends[path.len()]
}
