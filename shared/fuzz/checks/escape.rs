//! Nothing that a terminal obeys, or that turns text around or hides it, gets to a terminal.
//!
//! The first byte of the input says how much is shown.

use std::borrow::Cow;

use adit_agent::ui::escape::escape;

pub(crate) fn check(data: &[u8]) {
    let Some((&limit, bytes)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    let limit = usize::from(limit);
    let shown = escape(&text, limit);
    assert!(shown.chars().all(is_harmless), "{shown:?}");
    // Each character takes a few more at most, and one more says that there were others.
    assert!(shown.chars().count() <= 10 * limit + 1);
    if matches!(shown, Cow::Borrowed(_)) {
        assert_eq!(shown, text);
    }
    let whole = escape(&text, text.len());
    assert_eq!(escape(&whole, whole.len()), whole);
    if text.chars().count() <= limit {
        assert_eq!(shown, whole);
    } else {
        assert!(whole.starts_with(shown.trim_end_matches('…')));
    }
}

fn is_harmless(c: char) -> bool {
    let hides = '\u{200b}'..='\u{200f}';
    let turns = ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}'];
    let isolates = '\u{2066}'..='\u{2069}';
    !c.is_control()
        && !hides.contains(&c)
        && !turns.contains(&c)
        && !isolates.contains(&c)
        && c != '\u{feff}'
}
