//! The numbers of the transport, each with its reason.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::congestion::{self, Closing};

/// How many exchanges an agent takes at once. Each permitted stream costs its receiver a slot from
/// the start (about 80 bytes), and a relay answers 503 above it.
pub const EXCHANGES: u32 = 1024;

/// How much of one exchange may be under way in one direction, in bytes: what one reader that
/// stalls can cost. One stream reaches this much per round trip.
pub const STREAM_WINDOW: u32 = 1 << 20;

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
const MAX_DATAGRAM: u16 = 6500;

/// What QUIC may use on an Ethernet path: 1500 bytes less IPv6 and UDP headers.
const ETHERNET_DATAGRAM: u16 = 1452;

/// Bytes kept for retransmission on one connection: the bound of what all exchanges of an agent
/// together may have under way.
const SEND_WINDOW: u64 = 16 << 20;

/// The window of a connection whose peer has not yet proved itself, in bytes.
const STRANGER_WINDOW: u32 = 64 << 10;

pub(super) fn endpoint() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    // It fails only below 1200.
    drop(config.max_udp_payload_size(MAX_DATAGRAM));
    config
}

/// For the side that dials.
pub(super) fn agent(remote: SocketAddr, closing: &Closing) -> Arc<TransportConfig> {
    let mut config = both(remote, closing);
    config
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(EXCHANGES))
        .receive_window(VarInt::MAX);
    Arc::new(config)
}

/// For the side that listens. An agent opens one stream, so there is one slot.
pub(super) fn relay(remote: SocketAddr, closing: &Closing) -> Arc<TransportConfig> {
    let mut config = both(remote, closing);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW));
    Arc::new(config)
}

fn both(remote: SocketAddr, closing: &Closing) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    // Larger datagrams are for paths that surely carry them: on a 1500-byte path the search for
    // them delays finding the right size.
    mtu.upper_bound(if is_loopback(remote.ip()) {
        MAX_DATAGRAM
    } else {
        ETHERNET_DATAGRAM
    });
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IDLE.try_into().ok())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(congestion::factory(closing))
        .mtu_discovery_config(Some(mtu));
    config
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
