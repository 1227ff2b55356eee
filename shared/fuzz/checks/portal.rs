//! The head of whoever answers where the relay should is the same as soon as it is whole, and nothing of it gets to
//! a terminal that a terminal obeys.

use adit_agent::command::doctor::relay::head::parse;
use adit_agent::ui::escape::escape;

pub(crate) fn check(data: &[u8]) {
    let Ok(Some(head)) = parse(data) else {
        return;
    };
    assert!(head.status < 1000);
    for end in 0..data.len() {
        match parse(&data[..end]) {
            Ok(None) => {}
            Ok(Some(early)) => {
                assert_eq!(early, head);
                break;
            }
            Err(error) => panic!("{error}, and then it is one"),
        }
    }
    let shown = head.location.as_deref().map(|text| escape(text, 300));
    let is_harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(shown.is_none_or(|text| text.chars().all(is_harmless)));
}
