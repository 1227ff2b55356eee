//! What this machine gives the UDP sockets of either program.

use super::Row;
use crate::quic::capacity::{Capacity, capacity};
use crate::quic::tuning::SOCKET_BUFFER;

/// The buffers that the system grants, against those that we ask for.
pub fn udp_buffers() -> Row {
    let capacity = match capacity() {
        Ok(capacity) => capacity,
        Err(error) => return Row::fail(BUFFERS, error, NO_SOCKET),
    };
    let Capacity {
        receive_buffer: receive,
        send_buffer: send,
        ..
    } = capacity;
    let wanted = kib(SOCKET_BUFFER);
    if receive.min(send) >= SOCKET_BUFFER {
        return Row::ok(BUFFERS, format!("{wanted} to receive and to send"));
    }
    let seen = format!(
        "{} to receive and {} to send, of {wanted} asked for: fast transfers lose packets",
        kib(receive),
        kib(send)
    );
    Row::warn(BUFFERS, seen, RAISE)
}

/// Whether many packets go through the kernel at once, which is what makes QUIC cheap.
pub fn udp_offload() -> Row {
    let (send, receive) = match capacity() {
        Ok(capacity) => (capacity.send_segments, capacity.receive_segments),
        Err(error) => return Row::fail(OFFLOAD, error, NO_SOCKET),
    };
    let sends = match send {
        0 | 1 => "packets are sent one by one (no GSO)".to_owned(),
        many => format!("{many} packets a send (GSO)"),
    };
    let receives = match receive {
        0 | 1 => "received one by one (no GRO)".to_owned(),
        many => format!("{many} a receive (GRO)"),
    };
    let seen = format!("{sends}, {receives}");
    if send > 1 && receive > 1 {
        Row::ok(OFFLOAD, seen)
    } else if cfg!(target_os = "linux") {
        Row::warn(OFFLOAD, seen, KERNEL)
    } else {
        // Other systems have none that could be switched on.
        Row::ok(OFFLOAD, seen)
    }
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes >> 10)
}

const BUFFERS: &str = "udp buffers";
const OFFLOAD: &str = "udp offload";
const NO_SOCKET: &str = "allow this program to open udp sockets";
const RAISE: &str = if cfg!(target_os = "linux") {
    "sudo sysctl -w net.core.rmem_max=7500000 net.core.wmem_max=7500000, and the same in \
     /etc/sysctl.d to keep it"
} else {
    "raise the system's limit for socket buffers; everything works without, only slower"
};
const KERNEL: &str = "run on Linux 5.0 or newer, outside of sandboxes that emulate the kernel; \
                      everything works without, only slower";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Verdict;

    #[test]
    fn a_socket_of_this_machine_is_described() {
        for row in [udp_buffers(), udp_offload()] {
            assert_ne!(row.verdict, Verdict::Fail, "{row:?}");
            assert_eq!(row.verdict == Verdict::Warn, !row.fix.is_empty(), "{row:?}");
        }
    }
}
