//! What the network on this end takes.

use std::net::SocketAddr;

/// The largest packet that the route to `remote` takes on its first hop, or as far as this machine
/// knows, in bytes.
#[cfg(target_os = "linux")]
pub fn mtu(remote: SocketAddr) -> Option<u32> {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    use rustix::net::sockopt;

    // To connect a socket sends nothing: it only looks the route up.
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let local: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).ok()?;
    socket.connect(remote).ok()?;
    let mtu = match remote {
        SocketAddr::V4(_) => sockopt::ip_mtu(&socket),
        SocketAddr::V6(_) => sockopt::ipv6_mtu(&socket),
    };
    mtu.ok()
}

/// Other systems have no safe way to ask.
#[cfg(not(target_os = "linux"))]
pub fn mtu(_: SocketAddr) -> Option<u32> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn loopback_takes_large_packets() {
        let mtu = mtu("127.0.0.1:9".parse().unwrap());
        assert!(mtu.is_some_and(|mtu| mtu > 6600), "{mtu:?}");
    }
}
