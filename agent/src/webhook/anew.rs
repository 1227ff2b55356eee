//! Signing a webhook once more with a fresh time, so that the origin's own check passes: of a replay, and of
//! what the relay has kept for long.

use std::time::SystemTime;

use adit_shared::webhook::judge::url;
use adit_shared::webhook::{Message, Provider, Secret, SignError, sign};
use adit_shared::wire::fields::{BadField, Fields};
use adit_shared::wire::head;
use bytes::Bytes;
use thiserror::Error;

use crate::config::Webhooks;

/// Signs the request of `head` and `body` as `provider` would at the time `now`.
///
/// # Errors
///
/// [`Unsigned`]; then the request is as it was.
pub fn sign_anew(
    head: &mut head::Request,
    body: &mut Bytes,
    provider: &Provider,
    webhooks: &Webhooks,
    now: SystemTime,
) -> Result<(), Unsigned> {
    let path = head.target.path();
    let secret = secret(webhooks, provider, path).ok_or(Unsigned::NoSecret(provider.name))?;
    let url = url(head);
    let message = Message::new(head.method.as_str(), &url, &head.fields, body);
    let signed = sign(provider, secret, &message, now)?;
    head.fields = signed.fields;
    if let Some(changed) = signed.body {
        if head.fields.get("content-length").is_some() {
            head.fields = with(&head.fields, "content-length", &changed.len().to_string())?;
        }
        *body = changed.into();
    }
    Ok(())
}

/// What webhooks of `provider` to `path` are signed with: a rule for the path knows best.
fn secret<'a>(webhooks: &'a Webhooks, provider: &Provider, path: &str) -> Option<&'a Secret> {
    let mut rules = webhooks.rules.iter();
    let rule = rules.find(|rule| rule.provider.name == provider.name && rule.path.matches(path));
    let secret = rule.and_then(|rule| rule.secrets.first());
    secret.or_else(|| webhooks.signing.get(provider.name))
}

/// The same fields with this one in the place of all of its name.
///
/// # Errors
///
/// [`BadField`].
pub fn with(fields: &Fields, name: &str, value: &str) -> Result<Fields, BadField> {
    let others = fields.iter().filter(|(is, _)| *is != name.as_bytes());
    let one = (name.as_bytes(), value.as_bytes());
    Fields::from_pairs(others.chain([one]))
}

/// Why a webhook is not signed anew.
#[derive(Debug, Error)]
pub enum Unsigned {
    /// There is nothing to do it with.
    #[error("the secret of {0} is not known here")]
    NoSecret(&'static str),
    /// Its scheme does not allow it.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// There is no room in its head.
    #[error("the head becomes too large")]
    Head(#[from] BadField),
}
