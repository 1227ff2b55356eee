//! What an agent answers in the place of an origin is no page, and has nothing that anybody chose but for one short
//! text; and who signed a webhook is told in one field.
//!
//! The first byte of the input says the method, and how long the query is that follows; the rest is a body.

use adit_shared::webhook::challenge::answer;
use adit_shared::webhook::judge::signer;
use adit_shared::webhook::table::PROVIDERS;
use adit_shared::webhook::{Message, Secret};
use adit_shared::wire::fields::Fields;
use http::HeaderValue;

pub(crate) fn check(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    let method = ["GET", "POST", "HEAD", "PUT"][usize::from(how & 3)];
    let (query, body) = rest.split_at(rest.len().min(usize::from(how >> 2)));
    let Ok(query) = str::from_utf8(query) else {
        return;
    };
    let url = format!("https://app.example/hook?{query}");
    let fields = Fields::new();
    let message = Message::new(method, &url, &fields, body);
    let secrets = [Secret::new("whsec_c2VjcmV0LW9mLW5vYm9keS1hdC1hbGw=").expect("a secret")];
    for provider in PROVIDERS {
        for verified in [false, true] {
            let Some(answer) = answer(provider, &message, &secrets, verified) else {
                continue;
            };
            assert!(matches!(answer.status, 200 | 204));
            assert!(answer.content_type.is_some() || answer.body.is_empty());
            let kind = answer.content_type.unwrap_or_default();
            assert!(!kind.contains("html"));
            if !verified && kind.starts_with("text/plain") {
                assert!(answer.body.len() <= 2048);
                assert!(
                    answer
                        .body
                        .bytes()
                        .all(|byte| (b' '..=b'~').contains(&byte))
                );
            }
        }
        let (event, id) = (provider.event(&message), provider.id(&message));
        let told = signer(provider.name, event.as_deref(), id.as_deref());
        assert!(HeaderValue::from_str(&told).is_ok_and(|value| value.to_str().is_ok()));
        assert_eq!(quotes(&told) % 2, 0);
    }
}

/// Quotation marks that no backslash is before.
fn quotes(text: &str) -> usize {
    text.replace("\\\\", "")
        .replace("\\\"", "")
        .matches('"')
        .count()
}
