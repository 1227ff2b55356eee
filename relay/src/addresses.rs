//! What each address on the internet has of the relay, so that one cannot have it all: connections,
//! handshakes of agents, requests in flight, and how fast it asks for more of them.
//!
//! Of IPv6 the first 64 bits count as one address: nobody gets less than that, and everybody inside can take
//! any other. An address is known for as long as it has something, and a while longer if it was fast. What
//! is counted for requests is reached through the visitor's connection, without a look at the table.

pub(crate) mod rate;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use ipnet::IpNet;
use tokio::time::Instant;

use self::rate::Rate;

/// All addresses that have something of the relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Known>);

#[derive(Debug)]
struct Known {
    table: DashMap<IpAddr, Arc<Address>>,
    bounds: Bounds,
    /// Proxies speak for many.
    exempt: Vec<IpNet>,
    start: Instant,
}

/// What one address may have; 0 is no bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bounds {
    /// Connections at once, carriers of agents among them.
    pub connections: usize,
    /// New connections a second, on the average; as many as may be there at once can come in one burst.
    pub connects: usize,
    /// Requests in flight.
    pub exchanges: usize,
    /// Requests a second, on the average; ten seconds' worth can come in one burst.
    pub requests: usize,
    /// Agents that have not said who they are.
    pub handshakes: usize,
}

impl Bounds {
    /// New connections that may come at once.
    fn burst(&self) -> usize {
        self.connections.max(self.connects)
    }
}

/// What counts as one address with `ip`.
pub fn whole(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
        ip => ip,
    }
}

/// One address, or 64 bits of IPv6.
#[derive(Debug)]
struct Address {
    connections: AtomicUsize,
    exchanges: AtomicUsize,
    handshakes: AtomicUsize,
    connects: Rate,
    requests: Rate,
}

/// Which bound was met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// Connections at once.
    Connections,
    /// Connections a second.
    Connects,
    /// Requests in flight.
    Exchanges,
    /// Requests a second.
    Requests,
    /// Handshakes at once.
    Handshakes,
}

impl Bound {
    /// The name of the limit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections-per-address",
            Self::Connects => "connects-per-address",
            Self::Exchanges => "exchanges-per-address",
            Self::Requests => "requests-per-address",
            Self::Handshakes => "handshakes-per-address",
        }
    }
}

impl Addresses {
    /// None yet. Those in `exempt` networks are never counted.
    pub fn new(bounds: Bounds, exempt: Vec<IpNet>) -> Self {
        Self(Arc::new(Known {
            table: DashMap::new(),
            bounds,
            exempt,
            start: Instant::now(),
        }))
    }

    /// Counts a connection from `ip` until what it returns is dropped.
    ///
    /// # Errors
    ///
    /// The [`Bound`] that was met.
    pub fn connect(&self, ip: IpAddr) -> Result<Connected, Bound> {
        let bounds = &self.0.bounds;
        let counts = bounds.connections > 0 || bounds.connects > 0;
        let needed = counts || bounds.exchanges > 0 || bounds.requests > 0;
        let Some(key) = self.key(ip).filter(|_| needed) else {
            return Ok(Connected(None));
        };
        let address = self.with(key, |address| {
            if !take(&address.connections, bounds.connections) {
                return Err(Bound::Connections);
            }
            if !address
                .connects
                .allows(self.now(), bounds.connects, bounds.burst())
            {
                address.connections.fetch_sub(1, Ordering::Relaxed);
                return Err(Bound::Connects);
            }
            Ok(())
        })?;
        Ok(Connected(Some(Entry {
            addresses: self.clone(),
            key,
            address,
        })))
    }

    /// Counts a handshake of an agent from `ip` until what it returns is dropped. Only one that `is_proved`
    /// counts as a new connection too: the others may be somebody else's, who wants to use up what it has.
    ///
    /// # Errors
    ///
    /// The [`Bound`] that was met.
    pub fn handshake(&self, ip: IpAddr, is_proved: bool) -> Result<Handshaking, Bound> {
        let bounds = &self.0.bounds;
        let connects = if is_proved { bounds.connects } else { 0 };
        let Some(key) = self
            .key(ip)
            .filter(|_| bounds.handshakes > 0 || connects > 0)
        else {
            return Ok(Handshaking(None));
        };
        let address = self.with(key, |address| {
            if !take(&address.handshakes, bounds.handshakes) {
                return Err(Bound::Handshakes);
            }
            if !address
                .connects
                .allows(self.now(), connects, bounds.burst())
            {
                address.handshakes.fetch_sub(1, Ordering::Relaxed);
                return Err(Bound::Connects);
            }
            Ok(())
        })?;
        Ok(Handshaking(Some(Entry {
            addresses: self.clone(),
            key,
            address,
        })))
    }

    /// How many are known.
    pub fn count(&self) -> usize {
        self.0.table.len()
    }

    /// Forgets those that have nothing and were not fast. To be called now and then.
    pub fn sweep(&self) {
        let now = self.now();
        self.0.table.retain(|_, address| !address.is_idle(now));
    }

    /// Under which key it counts; nothing if it does not.
    fn key(&self, ip: IpAddr) -> Option<IpAddr> {
        let ip = ip.to_canonical();
        if self.0.exempt.iter().any(|net| net.contains(&ip)) {
            return None;
        }
        Some(whole(ip))
    }

    /// Takes something of an address while nobody can forget it.
    fn with(
        &self,
        key: IpAddr,
        take: impl FnOnce(&Address) -> Result<(), Bound>,
    ) -> Result<Arc<Address>, Bound> {
        let entry = self.0.table.entry(key).or_default();
        take(&entry).map(|()| entry.clone())
    }

    fn forget(&self, key: &IpAddr) {
        // With too many of them nobody's haste is remembered.
        let is_full = self.0.table.len() >= REMEMBERED;
        let now = self.now();
        self.0.table.remove_if(key, |_, address| {
            address.has_nothing() && (is_full || address.is_idle(now))
        });
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Default for Address {
    fn default() -> Self {
        Self {
            connections: AtomicUsize::new(0),
            exchanges: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            connects: Rate::default(),
            requests: Rate::default(),
        }
    }
}

impl Address {
    fn has_nothing(&self) -> bool {
        [&self.connections, &self.exchanges, &self.handshakes]
            .into_iter()
            .all(|count| count.load(Ordering::Relaxed) == 0)
    }

    fn is_idle(&self, now: u64) -> bool {
        self.has_nothing() && self.connects.is_fresh(now) && self.requests.is_fresh(now)
    }
}

/// One more of `count`, which may be `most`.
fn take(count: &AtomicUsize, most: usize) -> bool {
    let before = count.fetch_add(1, Ordering::Relaxed);
    let fits = most == 0 || before < most;
    if !fits {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    fits
}

#[derive(Debug)]
struct Entry {
    addresses: Addresses,
    key: IpAddr,
    address: Arc<Address>,
}

/// A connection of an address. Counts until it is dropped.
#[derive(Debug)]
pub struct Connected(Option<Entry>);

impl Connected {
    /// What the requests on this connection are counted on.
    pub fn asker(&self) -> Asker {
        let entry = self.0.as_ref();
        Asker(entry.map(|entry| (entry.addresses.clone(), entry.address.clone())))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            entry.address.connections.fetch_sub(1, Ordering::Relaxed);
            entry.addresses.forget(&entry.key);
        }
    }
}

/// A handshake of an address. Counts until it is dropped.
#[derive(Debug)]
pub struct Handshaking(Option<Entry>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            entry.address.handshakes.fetch_sub(1, Ordering::Relaxed);
            entry.addresses.forget(&entry.key);
        }
    }
}

/// An address that asks, through one of its connections.
#[derive(Clone, Debug, Default)]
pub struct Asker(Option<(Addresses, Arc<Address>)>);

impl Asker {
    /// Counts a request until what it returns is dropped.
    ///
    /// # Errors
    ///
    /// The [`Bound`] that was met.
    pub fn ask(&self) -> Result<Asked, Bound> {
        let Some((addresses, address)) = &self.0 else {
            return Ok(Asked(None));
        };
        let Bounds {
            exchanges,
            requests,
            ..
        } = addresses.0.bounds;
        if requests > 0
            && !address
                .requests
                .allows(addresses.now(), requests, requests.saturating_mul(BURST))
        {
            return Err(Bound::Requests);
        }
        if exchanges == 0 {
            return Ok(Asked(None));
        }
        take(&address.exchanges, exchanges)
            .then(|| Asked(Some(address.clone())))
            .ok_or(Bound::Exchanges)
    }
}

/// A request of an address. Counts until it is dropped.
#[derive(Debug, Default)]
pub struct Asked(Option<Arc<Address>>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(address) = &self.0 {
            address.exchanges.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Addresses that are remembered though they have nothing: some 20 MiB of them.
const REMEMBERED: usize = 100_000;
/// How many seconds' worth of requests may come at once.
const BURST: usize = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections: 2,
        connects: 0,
        exchanges: 2,
        requests: 0,
        handshakes: 1,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_address_has_is_bounded_and_forgotten() {
        let addresses = Addresses::new(BOUNDS, Vec::new());
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let first = addresses.connect(one).unwrap();
        let second = addresses.connect(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(addresses.connect(one).unwrap_err(), Bound::Connections);
        let _other = addresses.connect(other).unwrap();

        let asker = first.asker();
        let asked = (asker.ask().unwrap(), second.asker().ask().unwrap());
        assert_eq!(asker.ask().unwrap_err(), Bound::Exchanges);
        drop(asked);
        drop(asker.ask().unwrap());

        let handshake = addresses.handshake(one, true).unwrap();
        let another = addresses.handshake(one, true);
        assert_eq!(another.unwrap_err(), Bound::Handshakes);
        drop((first, second));
        assert_eq!(addresses.count(), 2);
        drop(handshake);
        assert_eq!(addresses.count(), 1);
        drop(addresses.connect(one).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn ipv6_counts_by_its_network() {
        let addresses = Addresses::new(BOUNDS, Vec::new());
        let _one = addresses.connect(ip("2001:db8::1")).unwrap();
        let _two = addresses.connect(ip("2001:db8::ffff:1")).unwrap();
        let third = addresses.connect(ip("2001:db8::2:3:4:5"));
        assert_eq!(third.unwrap_err(), Bound::Connections);
        assert!(addresses.connect(ip("2001:db8:0:1::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn proxies_and_whatever_has_no_bound_are_not_counted() {
        let addresses = Addresses::new(BOUNDS, vec!["10.0.0.0/8".parse().unwrap()]);
        let many: Vec<_> = (0..10).map(|_| addresses.connect(ip("10.1.2.3"))).collect();
        assert!(many.iter().all(Result::is_ok));
        let addresses = Addresses::new(Bounds::default(), Vec::new());
        let many: Vec<_> = (0..10).map(|_| addresses.connect(ip("10.1.2.3"))).collect();
        assert!(many.iter().all(Result::is_ok));
        assert_eq!(addresses.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn haste_is_bounded_and_remembered_for_a_while() {
        let bounds = Bounds {
            connects: 10,
            requests: 1,
            ..Bounds::default()
        };
        let addresses = Addresses::new(bounds, Vec::new());
        let ip = ip("192.0.2.1");
        let fits = || (0..100).filter(|_| addresses.connect(ip).is_ok()).count();
        assert!(addresses.handshake(ip, true).is_ok());
        assert_eq!(fits(), 9);
        assert_eq!(addresses.handshake(ip, true).unwrap_err(), Bound::Connects);
        assert!(addresses.handshake(ip, false).is_ok());
        assert_eq!(addresses.count(), 1);
        tokio::time::advance(Duration::from_millis(501)).await;
        assert_eq!(fits(), 5);
        tokio::time::advance(Duration::from_secs(2)).await;
        addresses.sweep();
        assert_eq!(addresses.count(), 0);

        let asker = addresses.connect(ip).unwrap().asker();
        let asked = || (0..100).filter(|_| asker.ask().is_ok()).count();
        assert_eq!(asked(), 10);
        assert_eq!(asker.ask().unwrap_err(), Bound::Requests);
        tokio::time::advance(Duration::from_millis(3_001)).await;
        assert_eq!(asked(), 3);
    }
}
