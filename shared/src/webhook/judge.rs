//! What rules say of a request.

use std::time::SystemTime;

use super::challenge::{self, Answer};
use super::message::Message;
use super::rule::{Mode, Rule};
use super::scheme::Provider;
use super::verify::{Unverified, certificate_url, verify};
use crate::wire::head;

/// What is said of a request.
#[derive(Debug)]
pub struct Judgement {
    /// Who signed it, or why it is not known that anybody did; nothing when nobody asked.
    pub verdict: Option<Result<&'static Provider, Unverified>>,
    /// Whether the origin must not see it.
    pub refused: bool,
    /// The answer, when the request asks whether this is the right endpoint.
    pub challenge: Option<Answer>,
    /// What is to be asked for to subscribe, when the request is genuine and wants that.
    pub confirmation: Option<String>,
}

/// The certificate without which `message` cannot be judged, if there is one: its URL.
pub fn wanted(rules: &[Rule], path: &str, message: &Message<'_>) -> Option<String> {
    let mut rules = rules.iter().filter(|rule| rule.path.matches(path));
    rules.find_map(|rule| certificate_url(rule.provider, &rule.secrets, message))
}

/// Judges `message` by those of `rules` that its `path` falls under. It is `whole` when its body was
/// within the limit.
pub fn judge(
    rules: &[Rule],
    path: &str,
    message: &Message<'_>,
    whole: bool,
    now: SystemTime,
) -> Judgement {
    let ruled = || rules.iter().filter(|rule| rule.path.matches(path));
    let mut verdict = None;
    for rule in ruled() {
        let checked = match check(rule, message, whole, now) {
            Ok(()) => Ok(rule.provider),
            Err(miss) => Err(match verdict {
                Some(Err(other)) => miss.max(other),
                _ => miss,
            }),
        };
        verdict = Some(checked);
        if checked.is_ok() {
            break;
        }
    }
    let signer = verdict.and_then(Result::ok);
    let challenge = ruled().find_map(|rule| {
        let verified = signer.is_some_and(|signer| signer.name == rule.provider.name);
        challenge::answer(rule.provider, message, &rule.secrets, verified)
    });
    Judgement {
        verdict,
        confirmation: signer.and_then(|signer| challenge::confirmation(signer, message)),
        refused: matches!(verdict, Some(Err(_))) && ruled().any(|rule| rule.mode == Mode::Enforce),
        challenge,
    }
}

fn check(
    rule: &Rule,
    message: &Message<'_>,
    whole: bool,
    now: SystemTime,
) -> Result<(), Unverified> {
    if !whole {
        return Err(Unverified::TooLarge);
    }
    verify(rule.provider, &rule.secrets, message, now, rule.tolerance)
}

/// Whether any rule is about `path`.
pub fn is_ruled(rules: &[Rule], path: &str) -> bool {
    rules.iter().any(|rule| rule.path.matches(path))
}

/// The URL that the visitor used. The relay says what it was if another proxy stands before it, and lets
/// nobody else say so.
pub fn url(head: &head::Request) -> String {
    let text = |bytes| str::from_utf8(bytes).ok();
    let said = |name: &str| head.fields.get(name).and_then(text);
    let scheme = said("x-forwarded-proto").unwrap_or(if head.https { "https" } else { "http" });
    let authority = text(head.authority.as_bytes()).unwrap_or_default();
    let authority = said("x-forwarded-host").unwrap_or(authority);
    format!("{scheme}://{authority}{}", head.target)
}

/// Who signed a request, for its origin: a token, and event and id if there are any (RFC 9651).
pub fn signer(provider: &str, event: Option<&str>, id: Option<&str>) -> String {
    let mut text = provider.to_owned();
    for (name, value) in [("event", event), ("id", id)] {
        let is_plain = |value: &&str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if let Some(value) = value.filter(is_plain) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            text.push_str(&format!("; {name}=\"{value}\""));
        }
    }
    text
}

/// The field that tells an origin who signed a request. No visitor can say it.
pub const VERIFIED: &str = "adit-webhook-verified";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Secret, provider, sign};
    use crate::wire::fields::Fields;
    use std::time::Duration;

    #[test]
    fn one_of_the_rules_of_a_path_must_hold() {
        let rule = |text: &str, mode, path: &str, secret: &str| Rule {
            provider: provider(text).unwrap(),
            mode,
            path: path.parse().unwrap(),
            secrets: vec![Secret::new(secret).unwrap()],
            tolerance: Some(Duration::from_secs(10)),
        };
        let rules = [
            rule("github", Mode::Tag, "/hooks/*", "one"),
            rule("stripe", Mode::Enforce, "/hooks/pay", "two"),
        ];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let none = Fields::new();
        let judged = |path: &str, fields: &Fields, whole| {
            let message = Message::new("POST", "", fields, b"{}");
            let judged = judge(&rules, path, &message, whole, now);
            let verdict = judged.verdict.map(|v| v.map(|provider| provider.name));
            (verdict, judged.refused)
        };
        assert_eq!(judged("/", &none, true), (None, false));
        let unsigned = Some(Err(Unverified::Unsigned));
        assert_eq!(judged("/hooks/a", &none, true), (unsigned, false));
        assert_eq!(judged("/hooks/pay", &none, true), (unsigned, true));
        let stripe = &rules[1];
        let message = Message::new("POST", "", &none, b"{}");
        let signed = |ago| {
            let at = now - Duration::from_secs(ago);
            let signed = sign(stripe.provider, &stripe.secrets[0], &message, at);
            signed.unwrap().fields
        };
        let good = (Some(Ok("stripe")), false);
        assert_eq!(judged("/hooks/pay", &signed(10), true), good);
        let stale = (Some(Err(Unverified::Stale)), true);
        assert_eq!(judged("/hooks/pay", &signed(11), true), stale);
        let large = (Some(Err(Unverified::TooLarge)), true);
        assert_eq!(judged("/hooks/pay", &signed(0), false), large);
    }

    #[test]
    fn the_signer_is_told_as_a_structured_field() {
        let told = |event, id| signer("github", event, id);
        assert_eq!(told(None, None), "github");
        assert_eq!(
            told(Some("push"), Some("a\"b\\")),
            r#"github; event="push"; id="a\"b\\""#
        );
        assert_eq!(told(Some("zwölf"), Some("a\r\nb: c")), "github");
    }
}
