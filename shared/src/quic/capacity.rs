//! What the system gives a UDP socket of ours: for checks that tell people.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use quinn::udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};

use super::endpoint::enlarge_buffers;

/// What a socket got.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Bytes that may wait to be received. [`SOCKET_BUFFER`](super::tuning::SOCKET_BUFFER) is asked
    /// for.
    pub receive_buffer: usize,
    /// Bytes that may wait to be sent.
    pub send_buffer: usize,
    /// Packets that one send may hand over (UDP_SEGMENT on Linux).
    pub send_segments: usize,
    /// Packets that one receive may return (UDP_GRO on Linux).
    pub receive_segments: usize,
}

/// Opens a socket as endpoints do, and asks what it got.
///
/// # Errors
///
/// Whatever the system says.
pub fn capacity() -> io::Result<Capacity> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    enlarge_buffers(&socket);
    let state = UdpSocketState::new((&socket).into())?;
    Ok(Capacity {
        receive_buffer: socket.recv_buffer_size()? / COUNTED,
        send_buffer: socket.send_buffer_size()? / COUNTED,
        send_segments: state.max_gso_segments(),
        receive_segments: state.gro_segments(),
    })
}

/// Linux counts its own bookkeeping too, and says twice what was set (socket(7)).
const COUNTED: usize = if cfg!(target_os = "linux") { 2 } else { 1 };
