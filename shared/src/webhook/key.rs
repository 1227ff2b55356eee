//! Secrets, as providers hand them out, and the keys that they hold.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::scheme::{Algorithm, Encoding, KeyText, Provider, Scheme};
use super::token::PublicKey;

/// What a provider signs with, or a public key of it. It is never shown: only
/// [`reveal`](Self::reveal) gives it away.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text, unless it is empty or nothing but white space.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether requests of `provider` can be checked with it.
    pub fn fits(&self, provider: &Provider) -> bool {
        let is_key = |scheme: &Scheme| match scheme.key {
            KeyText::Audience => true,
            KeyText::Jwk => PublicKey::of(self).is_some(),
            text => Key::of(self, scheme.algorithm, text).is_some(),
        };
        provider.schemes.iter().any(is_key)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The key in a secret.
pub(super) enum Key {
    Hmac(Box<hmac::Key>),
    Ed25519(Vec<u8>),
    Ed25519Pair(Box<Ed25519KeyPair>),
    EcdsaP256(Vec<u8>),
    Rsa(&'static RsaParameters, Vec<u8>),
    Plain(Vec<u8>),
}

impl Key {
    /// Nothing when the secret is none for this algorithm.
    pub(super) fn of(secret: &Secret, algorithm: Algorithm, text: KeyText) -> Option<Self> {
        let secret = secret.reveal();
        let bytes = match text {
            KeyText::Raw => secret.as_bytes().to_vec(),
            KeyText::Base64 | KeyText::Der => from_base64(secret.as_bytes())?,
            KeyText::Hex => from_hex(secret.as_bytes())?,
            KeyText::Whsec => {
                from_base64(secret.strip_prefix("whsec_").unwrap_or(secret).as_bytes())?
            }
            KeyText::Whpk => match secret.strip_prefix("whsk_") {
                Some(private) => return Self::pair(&from_base64(private.as_bytes())?),
                None => from_base64(secret.strip_prefix("whpk_")?.as_bytes())?,
            },
            KeyText::Jwk | KeyText::Audience => return None,
        };
        match algorithm {
            Algorithm::HmacSha1 => {
                let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
                Some(Self::Hmac(Box::new(hmac::Key::new(algorithm, &bytes))))
            }
            Algorithm::HmacSha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
                Some(Self::Hmac(Box::new(key)))
            }
            Algorithm::Ed25519 => (bytes.len() == 32).then_some(Self::Ed25519(bytes)),
            Algorithm::EcdsaP256 => Some(Self::EcdsaP256(bytes)),
            Algorithm::Plain => Some(Self::Plain(bytes)),
            Algorithm::RsaSha1 | Algorithm::RsaSha256 => Self::rsa(algorithm, bytes),
            Algorithm::Jwt => None,
        }
    }

    /// The key of a certificate (a `SubjectPublicKeyInfo`); nothing when it is for another algorithm.
    pub(super) fn rsa(algorithm: Algorithm, key: Vec<u8>) -> Option<Self> {
        let parameters = match algorithm {
            Algorithm::RsaSha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
            _ => return None,
        };
        Some(Self::Rsa(parameters, key))
    }

    /// A private key: its seed, with or without the public key behind it.
    fn pair(bytes: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(bytes.get(..32)?).ok()?;
        Some(Self::Ed25519Pair(Box::new(pair)))
    }

    /// Whether `signature` is one of `content`. Takes the same time wherever two differ.
    pub(super) fn verifies(&self, content: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, content, signature).is_ok(),
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key)
                .verify(content, signature)
                .is_ok(),
            Self::Ed25519Pair(pair) => {
                let key = pair.public_key().as_ref();
                UnparsedPublicKey::new(&ED25519, key)
                    .verify(content, signature)
                    .is_ok()
            }
            Self::EcdsaP256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                .verify(content, signature)
                .is_ok(),
            Self::Rsa(parameters, key) => UnparsedPublicKey::new(*parameters, key)
                .verify(content, signature)
                .is_ok(),
            Self::Plain(secret) => verify_slices_are_equal(secret, signature).is_ok(),
        }
    }

    /// A signature of `content`; nothing when the key is a public one.
    pub(super) fn sign(&self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hmac(key) => Some(hmac::sign(key, content).as_ref().to_vec()),
            Self::Ed25519Pair(pair) => Some(pair.sign(content).as_ref().to_vec()),
            Self::Ed25519(_) | Self::EcdsaP256(_) | Self::Rsa(..) => None,
            Self::Plain(secret) => Some(secret.clone()),
        }
    }
}

impl Encoding {
    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => from_hex(text),
            Self::Base64 => from_base64(text),
            Self::Text => Some(text.to_vec()),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Text => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

/// The bytes that hexadecimal digits of either case stand for.
pub(super) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text).ok()
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
