//! TCP listeners for visitors.

use std::io;
use std::net::{SocketAddr, TcpListener as Bound};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::field::Empty;
use tracing::{debug, debug_span};

use super::connection::{self, Admitted};
use super::serve::Service;

/// What a listener does with its connections.
#[derive(Clone)]
pub enum Role {
    /// Serves requests without TLS.
    Plain,
    /// Sends visitors to HTTPS at this port.
    Redirect {
        /// The port of the HTTPS listener.
        https: u16,
    },
    /// Serves requests over TLS.
    Tls(Arc<ServerConfig>),
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Redirect { .. } => "Redirect",
            Self::Tls(_) => "Tls",
        })
    }
}

/// Binds a listener; port 0 takes a free one, and `[::]` serves IPv4 too. No runtime drives it yet.
///
/// # Errors
///
/// Whatever the system says.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    listening(address, false)
}

/// Binds a listener for each of `shards` on one address, as [`bind`] does. The system spreads
/// connections over them.
///
/// # Errors
///
/// Whatever the system says, also when another program has the address; then none is bound.
pub fn bind_group(address: SocketAddr, shards: u16) -> io::Result<Vec<Bound>> {
    // Bound without sharing, so that an address which anybody has is an error, another relay's
    // group included.
    let first = bind(address)?;
    let address = first.local_addr()?;
    if shards > 1 {
        SockRef::from(&first).set_reuse_port(true)?;
    }
    let others = (1..shards).map(|_| listening(address, true));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn listening(address: SocketAddr, shared: bool) -> io::Result<Bound> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Not every system can; then the socket serves IPv6 alone.
        drop(socket.set_only_v6(false));
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections until the service's tasks are stopped, and those that wait by then: the system would
/// reset them, and their visitors have been told that they are connected. `connections` has a permit for
/// each that may be open, over all listeners of all shards. Dropping it closes the listener, and no
/// connection.
pub async fn listen(
    listener: TcpListener,
    role: Role,
    service: Arc<Service>,
    connections: Arc<Semaphore>,
) {
    let admit = |stream: TcpStream, remote: SocketAddr| {
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            return service.refuse_visitor("visitors");
        };
        let address = match service.addresses.connect(remote.ip()) {
            Ok(address) => address,
            Err(bound) => {
                debug!(%remote, limit = bound.name(), "visitor refused");
                return service.refuse_visitor(bound.name());
            }
        };
        // Whom it comes from is not known yet when a proxy passes it on.
        let span = if service.proxies.contain(remote.ip()) {
            debug_span!("visitor", proxy = %remote, remote = Empty)
        } else {
            debug_span!("visitor", %remote)
        };
        let admitted = Admitted::new(remote, permit, address, &service);
        let work = connection::serve(stream, role.clone(), admitted, service.clone());
        service.tasks.spawn(span, work);
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = service.tasks.stopped() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => admit(stream, remote),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Most likely out of file descriptors: room comes when connections end.
                tracing::warn!(%error, "cannot accept visitors");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    // Asked without the runtime, which may not have heard of them yet.
    let Ok(waiting) = listener.into_std() else {
        return;
    };
    while let Ok((stream, remote)) = waiting.accept() {
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            admit(stream, remote);
        }
    }
}

/// Errors of accept that say something about one visitor, not about this machine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset
    )
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long accepting pauses when the system has no room.
const RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_shares_its_address_with_nobody() {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = group[0].local_addr().unwrap();
        assert!(group.iter().all(|one| one.local_addr().unwrap() == address));
        for shards in [1, 3] {
            let error = bind_group(address, shards).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(group);
        let single = bind(address).unwrap();
        let error = bind_group(address, 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(single);
    }
}
