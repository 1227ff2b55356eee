//! Certificates from an authority, ordered when a name is first claimed and renewed in time
//! (ACME, RFC 8555).
//!
//! A claim only says what is wanted, through [`Acme::want`]; one task, the `keeper`, decides what
//! is ordered and when. No order is ever made because of a handshake.

mod account;
pub mod certificate;
mod challenge;
pub mod dns;
mod error;
pub mod http;
mod keeper;
mod lead;
mod order;
pub mod revoke;
mod timing;

use std::net::IpAddr;
use std::sync::Arc;

use adit_shared::name::Host;
use tokio::sync::mpsc;

pub use self::challenge::Kind;
pub use self::dns::DnsError;
pub use self::error::AcmeError;
pub use self::http::HttpError;
pub(crate) use self::keeper::Keeper;
pub use self::lead::Astray;
use crate::edge::tls::issued::Issued;

/// Where to say that a host needs a certificate. Cheap to clone.
#[derive(Clone)]
pub struct Acme {
    wanted: mpsc::Sender<Wanted>,
    issued: Arc<Issued>,
    /// The domain, when one certificate is for all names below it.
    wildcard: Option<Host>,
}

/// A host without a certificate.
struct Wanted {
    host: Host,
    /// A token, or an identity where there are no tokens.
    account: String,
}

impl Acme {
    /// Has a certificate ordered for a host that was granted to `account`, unless there is one. Returns
    /// at once; from then on handshakes for the host wait for it. When too many wait, the host is left out
    /// until it is claimed again.
    pub fn want(&self, host: &Host, account: String) {
        let is_below = |domain: &Host| host.label_under(domain).is_some();
        if self.wildcard.as_ref().is_some_and(is_below)
            || self.issued.covers(host.as_str())
            || !is_orderable(host)
        {
            return;
        }
        let Ok(place) = self.wanted.try_reserve() else {
            tracing::warn!(%host, "no certificate is ordered: too many hosts wait for one");
            return;
        };
        // Before the agent is told its URL, and not when the keeper comes to it: a visitor may be as quick.
        self.issued.wait_for(host.as_str());
        place.send(Wanted {
            host: host.clone(),
            account,
        });
    }
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acme")
    }
}

/// Authorities issue for public names only.
fn is_orderable(host: &Host) -> bool {
    let text = host.as_str();
    let is_address = text.starts_with('[') || text.parse::<IpAddr>().is_ok();
    !is_address && text.contains('.') && !text.ends_with(".localhost")
}

/// Hosts that may wait to be looked at.
const WAITING: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn handshakes_wait_from_the_claim_on_for_what_will_be_looked_at() {
        let issued = Arc::new(Issued::new("relay.test".parse().unwrap()));
        let (wanted, _keeper) = mpsc::channel(1);
        let acme = Acme {
            wanted,
            issued: issued.clone(),
            wildcard: None,
        };
        let waited = async |host: &str| {
            let start = Instant::now();
            acme.want(&host.parse().unwrap(), "account".into());
            issued.arrived(host).await;
            start.elapsed()
        };
        assert!(waited("app.relay.test").await > Duration::ZERO);
        // There is no room for another.
        assert_eq!(waited("other.relay.test").await, Duration::ZERO);
        // That does not let go of those who wait for what is on its way.
        assert!(waited("app.relay.test").await > Duration::ZERO);
    }
}
