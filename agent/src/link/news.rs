//! What the system says about changes of links, addresses and routes: only that there was one.

/// Such news, where the system has any.
#[derive(Debug)]
pub(super) struct News(#[cfg(target_os = "linux")] Option<tokio::net::UdpSocket>);

#[cfg(target_os = "linux")]
impl News {
    /// All news from now on. A system that gives none is no error: who waits must look as well.
    pub(super) fn subscribe() -> Self {
        Self(
            netlink()
                .inspect_err(|error| tracing::debug!(%error, "no news of the network"))
                .ok(),
        )
    }

    /// Waits for news; those that came meanwhile are one. Safe to drop.
    pub(super) async fn any(&mut self) {
        let Some(socket) = &self.0 else {
            return std::future::pending().await;
        };
        let mut message = [0; 256];
        // What does not fit is cut off, and what was lost since the buffer was full is news, too.
        if let Err(error) = socket.recv(&mut message).await
            && error.raw_os_error() != Some(nix::errno::Errno::ENOBUFS as i32)
        {
            tracing::debug!(%error, "no more news of the network");
            self.0 = None;
            return;
        }
        while socket.try_recv(&mut message).is_ok() {}
    }
}

/// A netlink socket reads like any that carries datagrams.
#[cfg(target_os = "linux")]
fn netlink() -> std::io::Result<tokio::net::UdpSocket> {
    use nix::sys::socket::{
        AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
    };
    use std::os::fd::AsRawFd as _;

    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    tokio::net::UdpSocket::from_std(socket.into())
}

/// rtnetlink(7): links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes.
#[cfg(target_os = "linux")]
const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x40 | 0x400;

#[cfg(not(target_os = "linux"))]
impl News {
    /// Other systems have no safe way to hear of them.
    pub(super) fn subscribe() -> Self {
        Self()
    }

    /// Waits for ever.
    pub(super) async fn any(&mut self) {
        std::future::pending().await
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_lets_us_hear_its_news() {
        assert!(News::subscribe().0.is_some());
    }
}
