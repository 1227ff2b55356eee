//! The configuration file: TOML with the names of the flags as keys, all optional.
//!
//! Values are parsed while the file is read, so that a mistake is reported with its line and column.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use adit_shared::name::Host;
use adit_shared::quantity::Span;
use adit_shared::quic::Congestion;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ConfigError, inbox, limits, webhooks};
use crate::args::{Format, Listen, Network, Resolver};

/// The file as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(deserialize_with = "text")]
    pub(super) domain: Option<Host>,
    #[serde(deserialize_with = "text")]
    pub(super) http: Option<Listen>,
    #[serde(deserialize_with = "text")]
    pub(super) https: Option<Listen>,
    #[serde(deserialize_with = "text")]
    pub(super) quic: Option<Listen>,
    #[serde(deserialize_with = "text")]
    pub(super) admin: Option<Listen>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) acme_directory: Option<String>,
    pub(super) acme_email: Option<String>,
    pub(super) acme_ca: Option<PathBuf>,
    pub(super) acme_eab_id: Option<String>,
    pub(super) acme_eab_key: Option<PathBuf>,
    pub(super) acme_dns_hook: Option<PathBuf>,
    pub(super) acme_dns_cloudflare: Option<PathBuf>,
    pub(super) acme_dns_rfc2136: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub(super) acme_dns_wait: Option<Span>,
    #[serde(deserialize_with = "text")]
    pub(super) acme_resolver: Option<Resolver>,
    pub(super) open: Option<Open>,
    #[serde(deserialize_with = "text")]
    pub(super) hold: Option<Span>,
    #[serde(deserialize_with = "text")]
    pub(super) drain_grace: Option<Span>,
    #[serde(deserialize_with = "text")]
    pub(super) congestion: Option<Congestion>,
    #[serde(deserialize_with = "texts")]
    pub(super) trusted_proxy: Vec<Network>,
    #[serde(deserialize_with = "texts")]
    pub(super) proxy_protocol: Vec<Network>,
    pub(super) notice: Option<bool>,
    #[serde(deserialize_with = "text")]
    pub(super) reserve: Option<Span>,
    pub(super) shards: Option<u16>,
    pub(super) log_format: Option<Format>,
    pub(super) json: Option<bool>,
    pub(super) limits: limits::File,
    pub(super) inbox: inbox::File,
    pub(super) webhook: Vec<webhooks::File>,
}

impl File {
    /// Reads the file. Relative paths in it start at its own directory.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let mut file: Self =
            toml::from_str(&text).map_err(|error| ConfigError::Parse(path.to_owned(), error))?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let paths = [
            &mut file.state_dir,
            &mut file.cert,
            &mut file.key,
            &mut file.acme_ca,
            &mut file.acme_eab_key,
            &mut file.acme_dns_hook,
            &mut file.acme_dns_cloudflare,
            &mut file.acme_dns_rfc2136,
        ];
        let secrets = file.webhook.iter_mut();
        let secrets = secrets.map(|table| &mut table.secret_file);
        for path in paths.into_iter().chain(secrets).flatten() {
            *path = directory.join(&*path);
        }
        Ok(file)
    }
}

/// Whether agents need no token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Open {
    /// As the flag.
    Said(bool),
    /// Also where it is dangerous.
    Understood,
}

impl<'de> Deserialize<'de> for Open {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OpenVisitor;

        impl Visitor<'_> for OpenVisitor {
            type Value = Open;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "true, false or \"{UNDERSTOOD}\"")
            }

            fn visit_bool<E>(self, said: bool) -> Result<Open, E> {
                Ok(Open::Said(said))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Open, E> {
                if text == UNDERSTOOD {
                    Ok(Open::Understood)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }
        }

        from.deserialize_any(OpenVisitor)
    }
}

/// What an operator writes in the file to let everybody in on a public relay.
pub(super) const UNDERSTOOD: &str = "i-understand";

/// A value that is written as text, or as a number if its text could be one.
pub(super) fn text<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text")]
    enum Written {
        Text(String),
        Number(u64),
    }

    let text = match Written::deserialize(from)? {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    };
    text.parse().map(Some).map_err(D::Error::custom)
}

/// Several of them.
pub(super) fn texts<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let texts = Vec::<String>::deserialize(from)?;
    let parsed = texts.iter().map(|text| text.parse());
    parsed.collect::<Result<_, _>>().map_err(D::Error::custom)
}
