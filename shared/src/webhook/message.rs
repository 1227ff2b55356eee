//! A request, and what stands where in it.

use std::borrow::Cow;
use std::cell::OnceCell;

use percent_encoding::percent_decode;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::scheme::Source;
use crate::wire::fields::Fields;

/// A request that may be a webhook, whole.
#[derive(Debug)]
pub struct Message<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL that the sender used, byte for byte.
    pub url: &'a str,
    /// The header fields.
    pub fields: &'a Fields,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// The certificate that it names, where that is needed and was to be had.
    pub certificate: Option<CertificateDer<'static>>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Message<'a> {
    /// A request of these parts.
    pub fn new(method: &'a str, url: &'a str, fields: &'a Fields, body: &'a [u8]) -> Self {
        Self {
            method,
            url,
            fields,
            body,
            certificate: None,
            json: OnceCell::new(),
        }
    }

    /// What stands at `source`, if it stands there once.
    pub(super) fn at(&self, source: Source) -> Option<Cow<'_, [u8]>> {
        match source {
            Source::Field(name) => {
                let mut values = self.fields.get_all(name);
                let first = values.next()?;
                values.next().is_none().then_some(Cow::Borrowed(first))
            }
            Source::Json(pointer) => self.json_text(pointer).map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            Source::Form(key) => {
                let found = self.form()?.find(|(one, _)| one == key.as_bytes());
                found.map(|(_, value)| Cow::Owned(value))
            }
        }
    }

    /// A text, number or truth value of a JSON body.
    pub(super) fn json_text(&self, pointer: &str) -> Option<Cow<'_, str>> {
        match self.json()?.pointer(pointer)? {
            Value::String(text) => Some(text.as_str().into()),
            other @ (Value::Number(_) | Value::Bool(_)) => Some(other.to_string().into()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The body, if it is JSON: what it says it is does not matter, some say otherwise.
    pub(super) fn json(&self) -> Option<&Value> {
        let parse = || {
            let start = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
            let is_json = matches!(start, Some(b'{' | b'['));
            is_json.then(|| serde_json::from_slice(self.body).ok())?
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The keys and values of the body, if it is a form.
    pub(super) fn form(&self) -> Option<impl Iterator<Item = (Vec<u8>, Vec<u8>)>> {
        let kind = self.fields.get("content-type")?;
        let form = b"application/x-www-form-urlencoded";
        let is_form = kind.get(..form.len())?.eq_ignore_ascii_case(form);
        is_form.then(|| pairs(self.body))
    }

    /// A parameter of the URL, unescaped.
    pub(super) fn parameter(&self, key: &str) -> Option<Vec<u8>> {
        let (_, query) = self.url.split_once('?')?;
        let found = pairs(query.as_bytes()).find(|(one, _)| one == key.as_bytes());
        found.map(|(_, value)| value)
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let pairs = text.split(|byte| *byte == b'&');
    pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = match equals {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        (unescape(key), unescape(value))
    })
}

/// As forms are escaped (WHATWG URL, section 5.1).
fn unescape(text: &[u8]) -> Vec<u8> {
    let space = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
    let spaced: Vec<u8> = text.iter().map(space).collect();
    percent_decode(&spaced).collect()
}
