//! A token that is accepted has one spelling, is that of its hash alone, and is not shown by accident.

use adit_relay::auth::Token;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let Ok(token) = text.parse::<Token>() else {
        return;
    };
    assert_eq!(token.reveal(), text.trim());
    assert!(token.is_of(&token.hash()) && !token.is_of(&[0; 32]));
    assert!(!format!("{token:?}").contains(token.reveal()));
    let mut other = token.reveal().to_owned();
    let last = other.pop();
    other.push(if last == Some('a') { 'b' } else { 'a' });
    assert!(other.parse::<Token>().is_err());
}
