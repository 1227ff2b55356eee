//! The flags about certificates that an authority issues.

use std::path::PathBuf;

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
    /// How long DNS records take to be seen everywhere [default: 30s]
    #[arg(long, value_name = "DURATION", env = "ADIT_ACME_DNS_WAIT")]
    pub acme_dns_wait: Option<Span>,
}
