//! Where certificates are ordered, and how the relay shows that a host is its own.

use std::path::PathBuf;
use std::time::Duration;

use super::file::File;
use super::{Certificate, ConfigError, Mode, span};
use crate::args::{Listen, Resolver, Serve};

/// How certificates are ordered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acme {
    /// The URL of the authority's ACME directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// Where the authority writes when something is wrong.
    pub email: Option<String>,
    /// PEM roots of the directory's own server; none for those that this machine trusts.
    pub roots: Option<PathBuf>,
    /// An account that the authority knows otherwise (RFC 8555 section 7.3.4).
    pub binding: Option<Binding>,
    /// How DNS records are set, if they can be; then there is one certificate for all names.
    pub dns: Option<Dns>,
    /// How long it takes until such a record can be seen everywhere.
    pub dns_wait: Duration,
    /// Who says whether DNS leads a host here.
    pub resolver: Resolver,
}

/// An account that an authority knows otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The authority's name for it.
    pub id: String,
    /// The file of its key, base64url.
    pub key: PathBuf,
}

/// How DNS records are set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Dns {
    /// By a program.
    Hook(PathBuf),
    /// At Cloudflare, with the token in this file.
    Cloudflare(PathBuf),
    /// By signed updates, at the server in this file (RFC 2136).
    Rfc2136(PathBuf),
}

/// What to show when no files are given: in public mode, what an authority issues.
pub(super) fn certificate(
    typed: &Serve,
    file: &File,
    mode: Mode,
) -> Result<Certificate, ConfigError> {
    let flags = &typed.acme;
    let path =
        |typed: &Option<PathBuf>, file: &Option<PathBuf>| typed.as_ref().or(file.as_ref()).cloned();
    let directory = flags
        .acme_directory
        .as_ref()
        .or(file.acme_directory.as_ref());
    let directory = match directory.map(String::as_str) {
        Some("off") => return Ok(Certificate::Development),
        None if mode == Mode::Local => return Ok(Certificate::Development),
        None | Some("production") => PRODUCTION.to_owned(),
        Some("staging") => STAGING.to_owned(),
        Some(url) if url.starts_with("https://") => url.to_owned(),
        Some(other) => return Err(ConfigError::Directory(other.to_owned())),
    };
    let id = flags.acme_eab_id.as_ref().or(file.acme_eab_id.as_ref());
    let binding = match (id, path(&flags.acme_eab_key, &file.acme_eab_key)) {
        (Some(id), Some(key)) => Some(Binding {
            id: id.clone(),
            key,
        }),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::HalfBinding("acme-eab-id", "acme-eab-key")),
        (None, Some(_)) => return Err(ConfigError::HalfBinding("acme-eab-key", "acme-eab-id")),
    };
    let hook = path(&flags.acme_dns_hook, &file.acme_dns_hook);
    let cloudflare = path(&flags.acme_dns_cloudflare, &file.acme_dns_cloudflare);
    let rfc2136 = path(&flags.acme_dns_rfc2136, &file.acme_dns_rfc2136);
    let mut ways = [
        hook.map(Dns::Hook),
        cloudflare.map(Dns::Cloudflare),
        rfc2136.map(Dns::Rfc2136),
    ]
    .into_iter()
    .flatten();
    let dns = ways.next();
    if ways.next().is_some() {
        return Err(ConfigError::SeveralDns);
    }
    let is_off = |typed: Option<Listen>, file: Option<Listen>| typed.or(file) == Some(Listen::Off);
    if dns.is_none() && is_off(typed.https, file.https) {
        return Err(ConfigError::Unreachable);
    }
    Ok(Certificate::Acme(Acme {
        directory,
        email: flags
            .acme_email
            .as_ref()
            .or(file.acme_email.as_ref())
            .cloned(),
        roots: path(&flags.acme_ca, &file.acme_ca),
        binding,
        dns,
        dns_wait: span(flags.acme_dns_wait, file.acme_dns_wait).unwrap_or(DNS_WAIT),
        resolver: flags
            .acme_resolver
            .or(file.acme_resolver)
            .unwrap_or_default(),
    }))
}

/// Let's Encrypt, which issues to everybody.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The same for trying: nobody trusts its certificates, and its limits are high.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Most providers answer with a new record from all their servers within this time.
const DNS_WAIT: Duration = Duration::from_secs(30);
