//! The numbers of the transport, each with its reason.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use quinn::{EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::congestion::{Congestion, factory};
use super::gate::Gate;

/// How many exchanges an agent takes at once. Each permitted stream costs its receiver a slot from
/// the start (about 80 bytes), and a relay answers 503 above it.
pub const EXCHANGES: u32 = 1024;

/// How much of one exchange may be under way in one direction: what one reader that stalls can
/// cost, and what one stream can carry per round trip. It stands from the handshake on, before
/// anybody knows the round-trip time, and the QUIC library cannot change it later.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Window {
    /// What the way to the peer is likely to need: [`NEAR`] on this machine, else [`FAR`]. That a
    /// private address is near cannot be known: networks of containers hide who is behind them.
    #[default]
    ByPath,
    /// This many bytes.
    Bytes(u32),
}

/// The window of peers on this machine, in bytes: a round trip is well below a millisecond, and
/// 1 MiB of each is 1 GiB/s.
pub const NEAR: u32 = 1 << 20;

/// The window of all other peers, in bytes. 500 Mbit/s with a round trip of 80 ms have 5 MB under
/// way; and an eighth of a window may have been read without the sender's having heard of it yet.
pub const FAR: u32 = 6 << 20;

/// What a window may be set to, in bytes. A head must fit, and a window of less would stop every body again
/// and again; what one connection keeps to send again makes one of more useless.
pub const WINDOWS: RangeInclusive<usize> = 128 << 10..=SEND_WINDOW as usize;

/// After this much silence a connection is lost. It must outlive the outages that migration is for:
/// a change of Wi-Fi takes 2 to 5 s, of a mobile cell 2 to 10 s.
pub const IDLE: Duration = Duration::from_secs(30);

/// How often an idle agent makes itself heard. The agent must do it, not the relay: only packets
/// from inside keep a NAT's mapping alive, and one that only receives sends nothing by itself.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Kernel buffers of the UDP socket, in bytes. The usual default of 208 KiB is less than one
/// stream's window, and what does not fit is lost as if by congestion.
pub const SOCKET_BUFFER: usize = 4 << 20;

/// The largest datagram that either end accepts. Ten segments of it still fit into the 64 KiB of
/// one segmentation-offloaded send.
pub(super) const MAX_DATAGRAM: u16 = 6500;

/// The smallest that QUIC works with (RFC 9000 section 14).
const LEAST_DATAGRAM: u16 = 1200;

/// What QUIC may use where nothing is known of the route: Ethernet's 1500 bytes less IPv6 and UDP
/// headers.
const ETHERNET_DATAGRAM: u16 = 1452;

/// Bytes in flight before anything is known of the way: 32 small packets, as the widest used QUIC
/// stacks begin with. On a narrow way (5 Mbit/s, 40 ms) no more is lost than with the usual 10; with
/// four times as much it was twice as much.
const FAR_START: u64 = 32 * 1200;

/// The same on this machine, where nothing is narrow.
const NEAR_START: u64 = 256 << 10;

/// Bytes kept for retransmission on one connection: the bound of what all exchanges of an agent
/// together may have under way. An agent that acknowledges nothing costs the relay this much; one
/// that does but reads nothing costs nothing here, since what its windows took is its own to keep.
const SEND_WINDOW: u64 = 16 << 20;

/// Bytes of datagrams that wait to be read, or to be sent: a few knocks and their bookkeeping. What
/// comes on top takes the place of the oldest.
const DATAGRAMS: usize = 512;

/// The window of a connection whose peer has not yet proved itself, in bytes.
const STRANGER_WINDOW: u32 = 64 << 10;

/// The least time between two stateless resets of an endpoint: all agents of a relay that was killed hear
/// theirs within a second, each with its first packet. A reset is smaller than the packet that it answers
/// (RFC 9000 section 10.3.3), so what this bounds is work: five thousand a second take some per cent of a
/// processor. A PING that keeps alive is large enough to be answered.
const RESETS: Duration = Duration::from_micros(200);

/// For an endpoint that receives datagrams of at most `datagram` bytes.
pub(super) fn endpoint(datagram: u16) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // It fails only below 1200.
    drop(config.max_udp_payload_size(datagram));
    config.min_reset_interval(RESETS);
    config
}

/// What is settled of a connection before its handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// Bytes of one exchange that may be under way to us.
    pub(super) window: u32,
    /// The largest datagram that may fit through.
    pub(super) datagram: u16,
    /// Bytes in flight to begin with.
    pub(super) start: u64,
}

impl Way {
    /// The way to `remote`, whose route takes packets of `mtu` bytes, if that is known.
    pub(super) fn to(remote: SocketAddr, window: Window, mtu: Option<u32>) -> Self {
        let ip = remote.ip().to_canonical();
        let is_near = ip.is_loopback();
        let window = match window {
            Window::Bytes(bytes) => bytes,
            Window::ByPath if is_near => NEAR,
            Window::ByPath => FAR,
        };
        let start = if is_near { NEAR_START } else { FAR_START };
        let headers = if ip.is_ipv4() { 20 + 8 } else { 40 + 8 };
        let datagram = mtu.map_or(ETHERNET_DATAGRAM, |mtu| {
            let room = mtu.saturating_sub(headers);
            u16::try_from(room).unwrap_or(u16::MAX)
        });
        let datagram = datagram.clamp(LEAST_DATAGRAM, MAX_DATAGRAM);
        Self {
            window,
            datagram,
            start,
        }
    }
}

/// For the side that dials, which makes itself heard every so often.
pub(super) fn agent(
    way: Way,
    congestion: Congestion,
    gate: &Gate,
    keep_alive: Option<Duration>,
) -> Arc<TransportConfig> {
    let mut config = both(way, congestion, gate);
    config
        .keep_alive_interval(keep_alive)
        .max_concurrent_bidi_streams(VarInt::from_u32(EXCHANGES))
        .receive_window(VarInt::MAX);
    Arc::new(config)
}

/// For the side that listens, which does not know yet who comes. An agent opens one stream, so there is one
/// slot; HTTP/3 needs three of one direction, and clients give up that may not open them at once.
pub(super) fn relay(way: Way, congestion: Congestion, gate: &Gate) -> Arc<TransportConfig> {
    let mut config = both(way, congestion, gate);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(3))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW));
    Arc::new(config)
}

fn both(way: Way, congestion: Congestion, gate: &Gate) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    // The search must not begin above what our own network takes, nor does it above what the peer's
    // takes, which the peer says: on a 1500-byte path every size that is too large costs it three
    // lost probes.
    mtu.upper_bound(way.datagram);
    let usual = congestion.controllers(way.start);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IDLE.try_into().ok())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(way.window))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS)
        .congestion_controller_factory(factory(usual, gate))
        .mtu_discovery_config(Some(mtu));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(remote: &str, mtu: Option<u32>) -> (u32, u16) {
        let way = Way::to(remote.parse().unwrap(), Window::ByPath, mtu);
        (way.window, way.datagram)
    }

    #[test]
    fn windows_follow_from_where_the_peer_is() {
        assert_eq!(way("127.0.0.1:1", None).0, NEAR);
        assert_eq!(way("[::1]:1", None).0, NEAR);
        assert_eq!(way("[::ffff:127.0.0.1]:1", None).0, NEAR);
        assert_eq!(way("10.0.0.1:1", None).0, FAR);
        assert_eq!(way("[2001:db8::1]:1", None).0, FAR);
        let other = Way::to("192.0.2.1:1".parse().unwrap(), Window::Bytes(7), None);
        assert_eq!(other.window, 7);
    }

    #[test]
    fn datagrams_are_as_large_as_the_route_takes_but_not_too_large() {
        assert_eq!(way("192.0.2.1:1", Some(1500)).1, 1472);
        assert_eq!(way("[2001:db8::1]:1", Some(1500)).1, 1452);
        assert_eq!(way("[::ffff:192.0.2.1]:1", Some(1500)).1, 1472);
        assert_eq!(way("192.0.2.1:1", Some(1420)).1, 1392);
        assert_eq!(way("192.0.2.1:1", Some(9001)).1, MAX_DATAGRAM);
        assert_eq!(way("127.0.0.1:1", Some(65536)).1, MAX_DATAGRAM);
        assert_eq!(way("192.0.2.1:1", Some(68)).1, LEAST_DATAGRAM);
        assert_eq!(way("192.0.2.1:1", None).1, ETHERNET_DATAGRAM);
    }
}
