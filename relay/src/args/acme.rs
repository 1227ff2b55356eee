//! The flags about certificates that an authority issues.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use super::Span;

/// How certificates are ordered by ACME, when no files are given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Acme {
    /// Order certificates here: an ACME directory, `staging`, or `off` [default: Let's Encrypt]
    ///
    /// In public mode without --cert the relay orders and renews its certificates by itself. Starting
    /// it accepts the authority's terms of service. `staging` is Let's Encrypt's server for trying,
    /// whose certificates nobody trusts; `off` makes a development CA instead.
    #[arg(long, value_name = "URL", env = "ADIT_ACME_DIRECTORY")]
    pub acme_directory: Option<String>,
    /// Where the authority writes when something is wrong
    #[arg(long, value_name = "ADDRESS", env = "ADIT_ACME_EMAIL")]
    pub acme_email: Option<String>,
    /// Trust an ACME directory with a certificate of this CA (PEM)
    #[arg(long, value_name = "FILE", env = "ADIT_ACME_CA")]
    pub acme_ca: Option<PathBuf>,
    /// The id of an account that the authority knows otherwise (external account binding)
    #[arg(long, value_name = "ID", env = "ADIT_ACME_EAB_ID")]
    pub acme_eab_id: Option<String>,
    /// The file with the key of that account, base64url
    #[arg(long, value_name = "FILE", env = "ADIT_ACME_EAB_KEY")]
    pub acme_eab_key: Option<PathBuf>,
    /// Run this program to set DNS records, for one certificate that names *.DOMAIN
    ///
    /// It is run without a shell as `PROGRAM present FQDN VALUE` to set a TXT record and as
    /// `PROGRAM cleanup FQDN VALUE` to remove it.
    #[arg(long, value_name = "PROGRAM", env = "ADIT_ACME_DNS_HOOK")]
    pub acme_dns_hook: Option<PathBuf>,
    /// Set DNS records at Cloudflare, with the API token in this file
    ///
    /// The token needs Zone:Read and DNS:Edit for the zone of DOMAIN.
    #[arg(long, value_name = "FILE", env = "ADIT_ACME_DNS_CLOUDFLARE")]
    pub acme_dns_cloudflare: Option<PathBuf>,
    /// Set DNS records at a server of your own, by signed updates (RFC 2136), as this file (TOML) says
    ///
    /// Its keys: `server` (HOST or HOST:PORT), `zone`, `key` (the name of the TSIG key), `secret` (base64),
    /// and `algorithm` (`hmac-sha256`, the default, `hmac-sha384` or `hmac-sha512`).
    #[arg(long, value_name = "FILE", env = "ADIT_ACME_DNS_RFC2136")]
    pub acme_dns_rfc2136: Option<PathBuf>,
    /// How long DNS records take to be seen everywhere [default: 30s]
    #[arg(long, value_name = "DURATION", env = "ADIT_ACME_DNS_WAIT")]
    pub acme_dns_wait: Option<Span>,
    /// Where to see whether DNS leads a host here, before a certificate is ordered for it [default: system]
    ///
    /// The address of a DNS server, `system`, or `off` to order without looking, as where something stands
    /// before the relay that has other addresses than its domain.
    #[arg(long, value_name = "ADDR", env = "ADIT_ACME_RESOLVER")]
    pub acme_resolver: Option<Resolver>,
}

/// Who says where hosts lead.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resolver {
    /// As all programs of this machine find out.
    #[default]
    System,
    /// This DNS server, which must ask others where it has to.
    Server(SocketAddr),
    /// Nobody: it is not asked.
    Off,
}

impl FromStr for Resolver {
    type Err = BadResolver;

    /// `system`, `off`, `IP` or `IP:PORT`.
    fn from_str(text: &str) -> Result<Self, BadResolver> {
        match text {
            "system" => Ok(Self::System),
            "off" => Ok(Self::Off),
            address => {
                let ip = address.parse::<IpAddr>().map(|ip| (ip, 53).into());
                let server = ip.or_else(|_| address.parse());
                server.map(Self::Server).map_err(|_| BadResolver)
            }
        }
    }
}

/// The text says nobody to ask.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("write the address of a DNS server such as 9.9.9.9 or [::1]:5353, `system` or `off`")]
pub struct BadResolver;
