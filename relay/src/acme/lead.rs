//! Whether DNS leads a host to this relay, which is found out before an authority is asked: it would count
//! the failure, and cannot say what is wrong with the record.
//!
//! What counts is where the relay's own domain leads, and not the addresses of this machine: a balancer may
//! stand before it, or a NAT.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adit_shared::name::Host;
use aws_lc_rs::rand;
use thiserror::Error;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::dns::message::{Answer, Family, Name, called, question};
use super::dns::server;
use crate::args::Resolver;

/// Looks where hosts lead.
pub(super) struct Lead {
    domain: Host,
    resolver: Resolver,
    /// Where the relay listens, as far as that says anything.
    listens: Vec<IpAddr>,
}

/// Why an authority need not be asked.
#[derive(Debug, Error)]
pub enum Astray {
    /// There is no such host, or it has no address.
    #[error("DNS has no address for {host}{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Nowhere {
        /// The host.
        host: String,
        /// What the resolver says.
        why: Option<String>,
    },
    /// It leads to another server.
    #[error(
        "DNS leads {host} to {}, and {domain} to {}",
        listed(found),
        listed(ours)
    )]
    Elsewhere {
        /// The host.
        host: String,
        /// Where it leads.
        found: BTreeSet<IpAddr>,
        /// The relay's domain.
        domain: Host,
        /// Where that leads, and the relay listens.
        ours: BTreeSet<IpAddr>,
    },
}

impl Lead {
    /// For a relay that listens at these addresses. Nothing when it is not to look.
    pub(super) fn new(domain: &Host, resolver: Resolver, listens: &[SocketAddr]) -> Option<Self> {
        let ips = listens.iter().map(|address| address.ip().to_canonical());
        (resolver != Resolver::Off).then(|| Self {
            domain: domain.clone(),
            resolver,
            listens: ips.filter(|ip| !ip.is_unspecified()).collect(),
        })
    }

    /// Whether the host leads here. It does if that cannot be known, because the relay's own domain cannot be
    /// resolved. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Astray`].
    pub(super) async fn check(&self, host: &str) -> Result<(), Astray> {
        if host == self.domain.as_str() {
            return Ok(());
        }
        let (ours, found) = tokio::join!(self.resolve(self.domain.as_str()), self.resolve(host));
        let mut ours = ours.unwrap_or_else(|error| {
            tracing::debug!(domain = %self.domain, error, "cannot resolve the relay's domain");
            BTreeSet::new()
        });
        if self.resolver == Resolver::System {
            // Many a machine has its own name in /etc/hosts.
            ours.retain(|ip| !ip.is_loopback());
        }
        if ours.is_empty() {
            return Ok(());
        }
        ours.extend(&self.listens);
        let nowhere = |why| Astray::Nowhere {
            host: host.to_owned(),
            why,
        };
        let found = found.map_err(|why| nowhere(Some(why)))?;
        if found.is_empty() {
            return Err(nowhere(None));
        }
        match leads(&found, &ours) {
            true => Ok(()),
            false => Err(Astray::Elsewhere {
                host: host.to_owned(),
                found,
                domain: self.domain.clone(),
                ours,
            }),
        }
    }

    async fn resolve(&self, name: &str) -> Result<BTreeSet<IpAddr>, String> {
        let found = match self.resolver {
            Resolver::Server(server) => ask(server, name).await?,
            Resolver::System | Resolver::Off => {
                let looked = timeout(PATIENCE, lookup_host((name, 0))).await;
                let looked = looked.map_err(|_| "the resolver does not answer".to_owned())?;
                let found = looked.map_err(|error| error.to_string())?;
                found.map(|address| address.ip()).collect()
            }
        };
        Ok(found.into_iter().map(|ip| ip.to_canonical()).collect())
    }
}

/// Whether a visitor or an authority who takes any of these addresses, of one family or the other, comes to
/// one of ours. A name may have many, of which each answer shows a few, so one of each family will do.
fn leads(found: &BTreeSet<IpAddr>, ours: &BTreeSet<IpAddr>) -> bool {
    [IpAddr::is_ipv4, IpAddr::is_ipv6].iter().all(|is_such| {
        let mut such = found.iter().filter(|ip| is_such(ip)).peekable();
        such.peek().is_none() || such.any(|ip| ours.contains(ip))
    })
}

async fn ask(server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, String> {
    let name = Name::parse(name).ok_or("it is no name")?;
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut id = [0; 2];
        rand::fill(&mut id).map_err(|_| "no random bytes")?;
        let id = u16::from_be_bytes(id);
        let bytes = server::ask(&[server], &question(id, &name, family)).await;
        let bytes = bytes.map_err(|error| format!("cannot ask {server}: {error}"))?;
        let answer = Answer::read(&bytes).filter(|answer| answer.id == id);
        let answer = answer.ok_or_else(|| format!("{server} answers nonsense"))?;
        if answer.code != 0 {
            return Err(format!("{server} answers {}", called(answer.code.into())));
        }
        found.extend(answer.addresses());
    }
    Ok(found)
}

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(", ")
}

/// As long as an own question may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn set(addresses: &str) -> BTreeSet<IpAddr> {
        let all = addresses.split_whitespace();
        all.map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn one_address_of_each_family_must_be_ours() {
        let ours = set("203.0.113.7 203.0.113.8 2001:db8::7");
        for (found, here) in [
            ("203.0.113.7", true),
            ("203.0.113.8 198.51.100.1", true),
            ("2001:db8::7", true),
            ("198.51.100.1", false),
            ("203.0.113.7 2001:db8::dead", false),
            ("203.0.113.7 2001:db8::7 2001:db8::8", true),
        ] {
            assert_eq!(leads(&set(found), &ours), here, "{found}");
        }
        // An old record for IPv6 is in the way also of a relay that has none.
        assert!(!leads(&set("203.0.113.7 2001:db8::1"), &set("203.0.113.7")));
    }

    #[tokio::test]
    async fn what_cannot_be_known_is_no_reason_to_order_nothing() {
        let domain: Host = "relay.invalid".parse().unwrap();
        let lead = Lead::new(&domain, Resolver::System, &[]).unwrap();
        assert!(lead.check("app.customer.invalid").await.is_ok());
        assert!(lead.check(domain.as_str()).await.is_ok());
        assert!(Lead::new(&domain, Resolver::Off, &[]).is_none());
    }
}
