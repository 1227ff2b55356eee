//! What the system says about changes of links, addresses and routes: only that there was one.

/// Such news, where the system has any.
#[derive(Debug)]
pub(super) enum News {
    /// From a netlink socket.
    #[cfg(target_os = "linux")]
    Netlink(tokio::net::UdpSocket),
    /// From a test.
    #[cfg(test)]
    Told(std::sync::Arc<tokio::sync::Notify>),
    /// Never any.
    None,
}

impl News {
    /// All news from now on. A system that gives none is no error: who waits must look as well.
    pub(super) fn subscribe() -> Self {
        #[cfg(target_os = "linux")]
        match netlink() {
            Ok(socket) => return Self::Netlink(socket),
            Err(error) => tracing::debug!(%error, "no news of the network"),
        }
        // Other systems have no safe way to hear of them.
        Self::None
    }

    /// Those that a test tells, and how it does.
    #[cfg(test)]
    pub(super) fn told() -> (Self, std::sync::Arc<tokio::sync::Notify>) {
        let tell = std::sync::Arc::<tokio::sync::Notify>::default();
        (Self::Told(tell.clone()), tell)
    }

    /// Waits for news; those that came meanwhile are one. Safe to drop.
    pub(super) async fn any(&mut self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Netlink(socket) => {
                let mut message = [0; 256];
                // What does not fit is cut off, and what was lost since the buffer was full is news, too.
                if let Err(error) = socket.recv(&mut message).await
                    && error.raw_os_error() != Some(nix::errno::Errno::ENOBUFS as i32)
                {
                    tracing::debug!(%error, "no more news of the network");
                    *self = Self::None;
                    return;
                }
                while socket.try_recv(&mut message).is_ok() {}
            }
            #[cfg(test)]
            Self::Told(tell) => tell.notified().await,
            Self::None => std::future::pending().await,
        }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_lets_us_hear_its_news() {
        assert!(matches!(News::subscribe(), News::Netlink(_)));
    }
}
