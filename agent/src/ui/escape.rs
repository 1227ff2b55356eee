//! Text from strangers, made fit for a terminal.

use std::borrow::Cow;

/// `text` with everything escaped that a terminal would obey instead of show, or that would make
/// it show something else; and cut to `limit` characters.
pub fn escape(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(limit) + 16);
    for (at, c) in text.chars().enumerate() {
        if at == limit {
            shown.push('…');
            break;
        }
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if is_format(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Characters that change the direction of what follows, or are not there at all.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        for (text, shown) in [
            ("/hook?a=1", "/hook?a=1"),
            ("/\u{1b}[2Jgone", "/\\x1b[2Jgone"),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
            ("\u{7f}\u{9b}31m", "\\x7f\\x9b31m"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("/caf\u{e9}/\u{65e5}\u{672c}", "/caf\u{e9}/\u{65e5}\u{672c}"),
        ] {
            assert_eq!(escape(text, 80), shown);
        }
        for c in (0..=0x9f_u8).map(char::from) {
            let text = c.to_string();
            assert!(!escape(&text, 80).contains(char::is_control), "{c:?}");
        }
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escape("abcdef", 3), "abc…");
        assert_eq!(escape("äöü", 3), "äöü");
        assert_eq!(escape("äöüß", 3), "äöü…");
    }
}
