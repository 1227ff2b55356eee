//! What a row of the table says: how one provider names, signs and checks its webhooks.

use std::time::Duration;

pub use super::issued::Place;

/// A sender of webhooks.
#[derive(Debug)]
pub struct Provider {
    /// As people write it, such as `github`.
    pub name: &'static str,
    /// What a request of this provider has, any of them.
    pub marks: &'static [Mark],
    /// Where the type of the event stands; the first that is there counts.
    pub event: &'static [Source],
    /// Where that stands which is the same each time that an event is delivered.
    pub id: &'static [Source],
    /// How it signs, newest first; a request needs to satisfy one of them.
    pub schemes: &'static [Scheme],
    /// How it asks whether an endpoint is who it should be.
    pub challenge: Option<Challenge>,
}

/// There is one of each name.
impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A field by which a provider is recognised.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// One of this name.
    Field(&'static str),
    /// One of this name whose value begins like this.
    Value(&'static str, &'static str),
}

/// Where something stands in a request.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// In the field of this name.
    Field(&'static str),
    /// In a JSON body, at this pointer (RFC 6901).
    Json(&'static str),
    /// In a form, under this key.
    Form(&'static str),
}

/// One way to sign a request.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// Where signatures stand: in any of these.
    pub at: &'static [Source],
    /// What stands between several signatures and other items of one value.
    pub between: char,
    /// What an item begins with that is a signature.
    pub prefix: &'static str,
    /// How the signature is made.
    pub algorithm: Algorithm,
    /// How it is written.
    pub encoding: Encoding,
    /// How the secret is written.
    pub key: KeyText,
    /// What is signed.
    pub signed: &'static [Piece],
    /// The field with the id that is signed too.
    pub id: Option<&'static str>,
    /// The time that is signed too.
    pub time: Option<Time>,
    /// What a request must say to be signed in this way.
    pub when: Option<(Source, &'static str)>,
    /// Where that stands which must be the secret: of providers that sign alike for all their customers.
    pub audience: Option<Source>,
    /// Where the certificate is whose key has signed.
    pub certificate: Option<Certificate>,
}

/// A certificate that a request names.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    /// Where its URL stands.
    pub at: Source,
    /// Where it may be: at any of these.
    pub places: &'static [Place],
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// HMAC with SHA-1 (RFC 2104); no attack on it is known.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256, in DER.
    EcdsaP256,
    /// RSA (PKCS #1 1.5) with SHA-1, which only the oldest scheme of Amazon still uses.
    RsaSha1,
    /// RSA (PKCS #1 1.5) with SHA-256.
    RsaSha256,
    /// A JWT in ES256 with a digest of the body.
    Jwt,
    /// The secret itself, unsigned.
    Plain,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// Two digits a byte, in either case.
    Hex,
    /// RFC 4648 section 4, with or without padding.
    Base64,
    /// As it is.
    Text,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyText {
    /// The bytes of the text are the key.
    Raw,
    /// Base64 of the key.
    Base64,
    /// `whsec_` or nothing, then base64 of the key (Standard Webhooks).
    Whsec,
    /// `whpk_`, then base64 of a public key; or `whsk_` and a private key, which can sign too.
    Whpk,
    /// A public key in hexadecimal.
    Hex,
    /// A public key as base64 of its DER (`SubjectPublicKeyInfo`).
    Der,
    /// A public key as JSON (RFC 7517).
    Jwk,
    /// No key, but what tells us from other customers of the provider: the key is in a certificate.
    Audience,
}

/// A piece of what is signed.
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// This text.
    Text(&'static str),
    /// The value of the scheme's id field.
    Id,
    /// The time, as it is written in the request.
    Time,
    /// The method.
    Method,
    /// The URL that the sender used.
    Url,
    /// That, with what HubSpot leaves unescaped unescaped.
    UnescapedUrl,
    /// The body, byte for byte.
    Body,
    /// The body's form: its keys and values, sorted by key. For another body, its digest must stand in this
    /// parameter of the URL.
    Form(Option<&'static str>),
    /// A value of the JSON body.
    Json(&'static str),
    /// Of these keys of the JSON body that are there, name and value, each with a line feed behind it.
    Lines(&'static [&'static str]),
    /// The secret itself.
    Secret,
    /// The CRC-32 of the body, as a decimal number.
    Crc32,
    /// Path and query of the URL, escaped as Contentful does.
    EscapedTarget,
    /// The fields that the field of this name lists, by name, as `name:value` with `;` between. It must list
    /// itself and the time's.
    Fields(&'static str),
}

/// The time that a signature holds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Where it stands.
    pub at: TimeAt,
    /// What it counts.
    pub unit: Unit,
    /// How far it may be from now, either way; `None` when the provider does not say.
    pub tolerance: Option<Duration>,
}

/// Where the time of a signature stands.
#[derive(Clone, Copy, Debug)]
pub enum TimeAt {
    /// By itself.
    Source(Source),
    /// Beside the signature: an item that begins with this.
    Item(&'static str),
}

/// What a time counts.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// A date, RFC 3339.
    Date,
}

/// How a provider asks whether an endpoint belongs to whom it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenge {
    /// A signed event whose `challenge` is to be sent back.
    Slack,
    /// A signed event whose token is to be sent back signed.
    Zoom,
    /// A GET whose `hub.challenge` is to be sent back.
    Meta,
    /// A GET whose `crc_token` is to be sent back signed.
    X,
    /// A GET whose `challenge` is to be sent back.
    Dropbox,
    /// A POST whose `validationToken` is to be sent back.
    MicrosoftGraph,
    /// Requests without events: 200 when signed, 401 when not.
    Xero,
    /// A HEAD, which takes any success.
    Trello,
    /// A signed PING.
    Discord,
    /// A signed message with a URL that is to be asked for.
    Sns,
}
