//! Signatures that are tokens: a JWT (RFC 7519) in ES256 (RFC 7518) that holds the time and a digest of the body,
//! as Plaid sends it.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::key::{Secret, from_hex};
use super::verify::Unverified;

/// Whether `token` was made for `body`, not longer than `tolerance` from `now`, with one of the keys that
/// `secrets` are.
pub(super) fn check(
    token: &[u8],
    secrets: &[Secret],
    body: &[u8],
    now: SystemTime,
    tolerance: Option<Duration>,
) -> Result<(), Unverified> {
    let token = Token::parse(token).ok_or(Unverified::Malformed)?;
    let keys = secrets.iter().filter_map(PublicKey::of);
    let mut keys = keys.filter(|key| key.is_named(&token.header.kid) && !key.is_over(now));
    if !keys.any(|key| key.verifies(token.signed, &token.signature)) {
        return Err(Unverified::Mismatch);
    }
    let own = digest(&SHA256, body);
    let said = from_hex(token.claims.request_body_sha256.as_bytes());
    let said = said.ok_or(Unverified::Malformed)?;
    verify_slices_are_equal(own.as_ref(), &said).map_err(|_| Unverified::Mismatch)?;
    let Some(tolerance) = tolerance else {
        return Ok(());
    };
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(token.claims.iat.into());
    let apart = now.duration_since(made);
    if apart.unwrap_or_else(|future| future.duration()) > tolerance {
        return Err(Unverified::Stale);
    }
    Ok(())
}

/// A token of which nothing is checked but its form.
struct Token<'a> {
    header: Header,
    claims: Claims,
    /// What is signed: the first two of its three parts.
    signed: &'a [u8],
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    /// In seconds since 1970, until 2106.
    iat: u32,
    request_body_sha256: String,
}

impl<'a> Token<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        // The token must not choose how it is checked.
        if header.alg != "ES256" {
            return None;
        }
        Some(Self {
            header,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed: &text[..text.len() - signature.len() - 1],
            signature: decode(signature)?,
        })
    }
}

/// A public key on P-256 as JSON (RFC 7517), alone or as Plaid's API wraps it.
pub(super) struct PublicKey {
    kid: Option<String>,
    expired_at: Option<u64>,
    /// Uncompressed.
    point: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Typed {
    Wrapped { key: Jwk },
    Bare(Jwk),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    kid: Option<String>,
    expired_at: Option<u64>,
}

impl PublicKey {
    /// Nothing when the secret is no such key.
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        let (Typed::Wrapped { key } | Typed::Bare(key)) =
            serde_json::from_str(secret.reveal()).ok()?;
        if key.kty != "EC" || key.crv != "P-256" {
            return None;
        }
        let mut point = vec![UNCOMPRESSED];
        for half in [&key.x, &key.y] {
            let half = URL_SAFE_NO_PAD.decode(half).ok()?;
            if half.len() != 32 {
                return None;
            }
            point.extend(half);
        }
        Some(Self {
            kid: key.kid,
            expired_at: key.expired_at,
            point,
        })
    }

    fn is_named(&self, kid: &str) -> bool {
        self.kid.as_ref().is_none_or(|own| own == kid)
    }

    fn is_over(&self, now: SystemTime) -> bool {
        let end = |at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at));
        self.expired_at.and_then(end).is_some_and(|end| end <= now)
    }

    fn verifies(&self, content: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
            .verify(content, signature)
            .is_ok()
    }
}

/// What a point begins with of which both coordinates follow (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::webhook::{Message, provider, verify};
    use crate::wire::fields::Fields;

    /// Made with Python, from what Plaid documents.
    #[test]
    fn a_token_of_plaid_is_bound_to_its_key_its_body_and_its_time() {
        let sample: Value = serde_json::from_str(include_str!("samples/plaid.json")).unwrap();
        let text = |name: &str| sample[name].as_str().unwrap();
        let check = |key: &Value, token: &str, body: &str, late: u64| {
            let fields = Fields::from_pairs([("plaid-verification", token)]).unwrap();
            let message = Message::new("POST", "", &fields, body.as_bytes());
            let now = Duration::from_secs(sample["iat"].as_u64().unwrap() + late);
            let secret = Secret::new(&key.to_string()).unwrap();
            let plaid = provider("plaid").unwrap();
            assert!(secret.fits(plaid));
            verify(
                plaid,
                &[secret],
                &message,
                SystemTime::UNIX_EPOCH + now,
                None,
            )
        };
        let (key, token, body) = (&sample["jwk"], text("token"), text("body"));
        let mismatch = Err(Unverified::Mismatch);
        assert_eq!(check(key, token, body, 0), Ok(()));
        assert_eq!(check(key, token, body, 300), Ok(()));
        assert_eq!(check(key, token, body, 301), Err(Unverified::Stale));
        assert_eq!(check(key, token, &format!("{body} "), 0), mismatch);
        let wrapped = serde_json::json!({"key": key, "request_id": "x"});
        assert_eq!(check(&wrapped, token, body, 0), Ok(()));
        assert_eq!(check(key, text("other-key"), body, 0), mismatch);
        let malformed = Err(Unverified::Malformed);
        assert_eq!(check(key, text("other-algorithm"), body, 0), malformed);
        assert_eq!(check(key, "a.b", body, 0), malformed);
        let mut over = key.clone();
        over["expired_at"] = sample["iat"].clone();
        assert_eq!(check(&over, token, body, 0), mismatch);
        let mut other = key.clone();
        other["x"] = key["y"].clone();
        assert_eq!(check(&other, token, body, 0), mismatch);
        let plaid = provider("plaid").unwrap();
        assert!(!Secret::new("correct-horse").unwrap().fits(plaid));
    }
}
