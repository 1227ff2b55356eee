//! Whatever the fields and the body of a request say of a webhook, it is genuine only if it was signed.
//!
//! The input is fields as they travel, their number of bytes before them in one byte, and a body.

use std::time::{Duration, SystemTime};

use adit_shared::webhook::table::PROVIDERS;
use adit_shared::webhook::{Message, Secret, recognise, verify};
use adit_shared::wire::fields::Fields;
use bytes::Bytes;

pub(crate) fn check(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else {
        return;
    };
    let Some((fields, body)) = rest.split_at_checked(length.into()) else {
        return;
    };
    let Ok(fields) = Fields::decode(Bytes::copy_from_slice(fields)) else {
        return;
    };
    let message = Message::new("POST", "https://app.example/hook?a=b", &fields, body);
    let secret = Secret::new("whsec_c2VjcmV0LW9mLW5vYm9keS1hdC1hbGw=").expect("a secret");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let guess = recognise(&fields);
    for provider in PROVIDERS {
        let is_guess = guess.is_some_and(|guess| guess.name == provider.name);
        if is_guess || guess.is_none() {
            drop((provider.event(&message), provider.id(&message)));
        }
        let verdict = verify(provider, std::slice::from_ref(&secret), &message, now, None);
        assert!(
            verdict.is_err(),
            "{} believes what nobody signed",
            provider.name
        );
    }
}
