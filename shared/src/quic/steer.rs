//! Which of several sockets on one address a packet goes to.
//!
//! A relay with several shards has one UDP socket for each, all on one port (`SO_REUSEPORT`). By
//! itself the kernel chooses among them by the addresses of a packet, so a peer that moves would
//! end up at a socket that does not know it. What stays when a peer moves is its connection: so the
//! ids of connections say whose they are, and the kernel is given a program that reads them.
//!
//! The first two bytes of a connection id, taken as a number modulo the number of sockets, are the
//! socket's place in the order in which they were bound. A peer that begins chooses its first id at
//! random and lands anywhere; the id that it is given there has the place in it, and every later
//! packet leads back. The kernel is trusted with nothing else: a packet that comes to the wrong
//! socket all the same is dropped there without an answer, see `ConnectionIds::validate`.

use std::io;
use std::net::UdpSocket;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid, RandomConnectionIdGenerator};
use socket2::SockRef;

/// How many sockets there may be: more shards than this have never been tried.
pub const MAX_SHARDS: u16 = 64;

/// One of several sockets on one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Its number in the order of binding, from zero.
    pub(super) number: u16,
    /// How many there are.
    pub(super) of: u16,
}

impl Place {
    fn owns(self, id: &[u8]) -> bool {
        matches!(id, [high, low, ..] if u16::from_be_bytes([*high, *low]) % self.of == self.number)
    }
}

/// Which of `of` places the datagram is for, if it says so: one of a connection that exists does. One
/// that begins a connection (an Initial or 0-RTT packet, RFC 9000 section 17.2) may go anywhere.
pub fn shard(datagram: &[u8], of: u16) -> Option<u16> {
    let id = match datagram {
        [first, ..] if first & 0x80 == 0 => datagram.get(1..3)?,
        [first, ..] if first & 0x20 != 0 => datagram.get(6..8)?,
        _ => return None,
    };
    Some(u16::from_be_bytes([id[0], id[1]]) % of)
}

/// Makes connection ids that lead to one place. All else in them is random.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionIds(pub(super) Place);

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let Place { number, of } = self.0;
        let mut id = [0; LENGTH];
        id.copy_from_slice(&RandomConnectionIdGenerator::new(LENGTH).generate_cid());
        let random = u16::from_be_bytes([id[0], id[1]]);
        // Rounded down to a multiple; of the last one there may not be room for all places.
        let multiple = (random / of * of).min(u16::MAX / of * of - of);
        id[..2].copy_from_slice(&(multiple + number).to_be_bytes());
        ConnectionId::new(&id)
    }

    /// An unknown id is answered with a reset only where it would have been made: a packet that was
    /// led astray must not end a connection that is alive elsewhere.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        if self.0.owns(id) {
            Ok(())
        } else {
            Err(InvalidCid)
        }
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// Lets a socket share its address with others that do. The first may be bound by then.
///
/// # Errors
///
/// As [`steer`].
#[cfg(target_os = "linux")]
pub(super) fn share(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// Gives the kernel the program for `sockets` sockets on one address, of which `socket` is one.
///
/// # Errors
///
/// Whatever the system says; on systems other than Linux, that it cannot be done.
#[cfg(target_os = "linux")]
pub(super) fn steer(socket: &UdpSocket, sockets: u16) -> io::Result<()> {
    use nix::libc::sock_fprog;
    use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};

    let mut program = program(sockets);
    let program = sock_fprog {
        len: program.len() as u16,
        // The kernel copies it before the call returns.
        filter: program.as_mut_ptr(),
    };
    setsockopt(socket, AttachReusePortCbpf, &program).map_err(io::Error::from)
}

/// As on Linux, where alone it can be done.
#[cfg(not(target_os = "linux"))]
pub(super) fn share(_: &SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// As on Linux, where alone it can be done.
#[cfg(not(target_os = "linux"))]
pub(super) fn steer(_: &UdpSocket, _: u16) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Classic BPF over a UDP payload that answers with the place of its socket (the invariants of QUIC,
/// RFC 8999 section 5). A datagram too short to read goes to the first one.
#[cfg(target_os = "linux")]
fn program(sockets: u16) -> [nix::libc::sock_filter; 7] {
    let step = |code, jt, jf, k| nix::libc::sock_filter { code, jt, jf, k };
    [
        step(LOAD_BYTE, 0, 0, 0),
        // A long header: version and the length of the id come before it.
        step(JUMP_IF_SET, 0, 2, 0x80),
        step(LOAD_TWO_BYTES, 0, 0, 6),
        step(JUMP, 0, 0, 1),
        // A short header.
        step(LOAD_TWO_BYTES, 0, 0, 1),
        step(MODULO, 0, 0, u32::from(sockets)),
        step(RETURN, 0, 0, 0),
    ]
}

/// Instructions as <linux/bpf_common.h> has them.
#[cfg(target_os = "linux")]
mod instruction {
    /// BPF_LD, BPF_B, BPF_ABS.
    pub(super) const LOAD_BYTE: u16 = 0x30;
    /// BPF_LD, BPF_H, BPF_ABS.
    pub(super) const LOAD_TWO_BYTES: u16 = 0x28;
    /// BPF_JMP, BPF_JSET, BPF_K.
    pub(super) const JUMP_IF_SET: u16 = 0x45;
    /// BPF_JMP, BPF_JA.
    pub(super) const JUMP: u16 = 0x05;
    /// BPF_ALU, BPF_MOD, BPF_K.
    pub(super) const MODULO: u16 = 0x94;
    /// BPF_RET, BPF_A.
    pub(super) const RETURN: u16 = 0x16;
}
#[cfg(target_os = "linux")]
use instruction::{JUMP, JUMP_IF_SET, LOAD_BYTE, LOAD_TWO_BYTES, MODULO, RETURN};

/// Bytes of a connection id, as many as the library makes by itself.
const LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_to_where_it_was_made_and_nowhere_else() {
        for of in [1, 2, 3, 48, 63, 64] {
            for number in 0..of {
                let mut ids = ConnectionIds(Place { number, of });
                for _ in 0..200 {
                    let id = ids.generate_cid();
                    assert_eq!(id.len(), LENGTH);
                    for other in 0..of {
                        let there = ConnectionIds(Place { number: other, of });
                        assert_eq!(there.validate(&id).is_ok(), other == number);
                    }
                }
            }
        }
    }

    #[test]
    fn a_datagram_that_came_otherwise_leads_to_the_same_place() {
        let mut ids = ConnectionIds(Place { number: 2, of: 3 });
        let id = ids.generate_cid();
        let short = [&[0x40], &id[..], &[0; 20]].concat();
        let long = |kind: u8| [&[kind, 0, 0, 0, 1, 8], &id[..], &[0; 20]].concat();
        assert_eq!(shard(&short, 3), Some(2));
        assert_eq!(shard(&long(0xe0), 3), Some(2), "a handshake goes on");
        for begins in [0xc0, 0xd0] {
            assert_eq!(shard(&long(begins), 3), None);
        }
        for length in 0..3 {
            assert_eq!(shard(&short[..length], 3), None);
        }
        assert_eq!(shard(&long(0xe0)[..7], 3), None);
    }

    #[test]
    fn too_short_an_id_is_nobodys() {
        let ids = ConnectionIds(Place { number: 0, of: 2 });
        assert!(ids.validate(&ConnectionId::new(&[0])).is_err());
        assert!(ids.validate(&ConnectionId::new(&[])).is_err());
    }
}
