//! Notices that this machine's way to the relay begins at another address, so that the session moves
//! with it at once; and that something else happened to its network, so that the way is looked into.
//!
//! A socket that is bound to no address follows the routes by itself, but silently: a session that
//! only receives would send nothing, and the relay would go on sending to where we were. While there
//! is no route at all, nothing is reported: there is nowhere to move to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::news::News;
use super::rest::CALM;

/// Where the way to the relay begins, as last seen.
#[derive(Debug)]
pub(super) struct Watch<F = fn(SocketAddr) -> Option<IpAddr>> {
    relay: SocketAddr,
    last: Option<IpAddr>,
    look: F,
    news: News,
    /// When news that changed no address are told.
    tells: Option<Instant>,
}

/// What happened to this machine's network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// The way begins at another address than until now.
    Moved {
        /// Until now.
        before: IpAddr,
        /// From now on.
        now: IpAddr,
    },
    /// Something else: the way begins where it did, but may lead through another NAT, or nowhere.
    Other,
}

impl Watch {
    /// Watches the way to `relay`.
    pub(super) fn new(relay: SocketAddr) -> Self {
        Self::with(relay, source)
    }
}

impl<F: FnMut(SocketAddr) -> Option<IpAddr>> Watch<F> {
    fn with(relay: SocketAddr, mut look: F) -> Self {
        Self {
            relay,
            last: look(relay),
            look,
            news: News::subscribe(),
            tells: None,
        }
    }

    /// Waits for a change. One of address is told at once; a burst of others once, when it has had some
    /// time. Safe to drop.
    pub(super) async fn changed(&mut self) -> Change {
        loop {
            let due = self.tells.filter(|tells| *tells <= Instant::now());
            if due.is_some() {
                self.tells = None;
                return Change::Other;
            }
            // The system's word makes it fast; looking all the same makes it sure.
            let look = Instant::now() + LOOK;
            let look = self.tells.map_or(look, |tells| tells.min(look));
            let is_news = timeout_at(look, self.news.any()).await.is_ok();
            if let Some((before, now)) = self.change() {
                self.tells = None;
                return Change::Moved { before, now };
            }
            if is_news {
                self.tells.get_or_insert_with(|| Instant::now() + CALM);
                // Routes of others change, too, and sometimes many at once.
                sleep(REST).await;
            }
        }
    }

    fn change(&mut self) -> Option<(IpAddr, IpAddr)> {
        let now = (self.look)(self.relay)?;
        let before = self.last.replace(now)?;
        (before != now).then_some((before, now))
    }
}

/// The address that the system would send from; nothing is sent.
fn source(relay: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match relay {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(relay).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Between two looks at the least.
const REST: Duration = Duration::from_millis(20);
/// How often to look where the system says nothing.
const LOOK: Duration = if cfg!(target_os = "linux") {
    Duration::from_secs(1)
} else {
    Duration::from_millis(300)
};

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn each_change_is_reported_once_and_no_route_is_no_change() {
        let [home, phone] = ["192.0.2.1", "198.51.100.7"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let seen = [
            Some(home),
            Some(home),
            None,
            Some(home),
            Some(phone),
            Some(phone),
            None,
        ];
        let mut seen = seen.into_iter();
        let mut watch = Watch::with(([203, 0, 113, 1], 443).into(), |_| seen.next().unwrap());
        let changes: Vec<_> = (0..6).map(|_| watch.change()).collect();
        assert_eq!(changes, [None, None, None, Some((home, phone)), None, None]);
    }

    /// The session used to be left alone then, and to stall if a NAT on the way had forgotten it.
    #[tokio::test(start_paused = true)]
    async fn news_without_another_address_are_told_and_a_burst_of_them_once() {
        let (news, tell) = News::told();
        let home: IpAddr = [192, 0, 2, 1].into();
        let mut watch = Watch::with(([203, 0, 113, 1], 443).into(), |_| Some(home));
        watch.news = news;
        let quiet = timeout(Duration::from_secs(30), watch.changed()).await;
        assert!(quiet.is_err(), "nothing has happened");
        let began = Instant::now();
        let burst = async {
            for _ in 0..3 {
                tell.notify_one();
                sleep(CALM / 5).await;
            }
        };
        let (change, ()) = tokio::join!(watch.changed(), burst);
        assert_eq!(change, Change::Other);
        assert!(began.elapsed() <= 2 * CALM, "{:?}", began.elapsed());
        let more = timeout(Duration::from_secs(30), watch.changed()).await;
        assert!(more.is_err(), "it was one burst");
    }

    #[test]
    fn the_way_to_loopback_begins_on_loopback() {
        let ip = source(([127, 0, 0, 1], 443).into()).unwrap();
        assert!(ip.is_loopback());
    }
}
