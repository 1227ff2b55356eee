//! Several sockets on one address: an agent stays with the one that it came to, wherever it moves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use adit_relay::edge::tls::Certificates;
use adit_shared::quic::Connection;
use adit_shared::quic::endpoint::{Bound, Dialer, EndpointError, Listener};
use adit_shared::quic::tls::{self, Trust};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::ALPN;
use adit_tests::world::Scratch;
use adit_tests::{eventually, soon};
use bytes::Bytes;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const SHARDS: u16 = 4;
const ANY: &str = "127.0.0.1:0";

struct Trusted {
    server: ServerConfig,
    client: Arc<ClientConfig>,
    _state: Scratch,
}

fn trusted() -> Trusted {
    let state = Scratch::new();
    let domain = "localhost".parse().unwrap();
    let certificates = Arc::new(Certificates::development(state.path(), &domain).unwrap());
    let trust = Trust::Pin(certificates.pin().unwrap());
    Trusted {
        server: tls::server(certificates, &[ALPN]).unwrap(),
        client: Arc::new(tls::client(&trust, &[ALPN]).unwrap()),
        _state: state,
    }
}

/// The shards' sockets, each of which says what comes to it.
fn listen(server: ServerConfig) -> (SocketAddr, mpsc::Receiver<(usize, Connection)>) {
    let (say, came) = mpsc::channel(1);
    let group = Bound::group(ANY.parse().unwrap(), SHARDS, server).unwrap();
    let listeners: Vec<Listener> = group.into_iter().map(|one| one.listen().unwrap()).collect();
    let address = listeners[0].local().unwrap();
    for (number, listener) in listeners.into_iter().enumerate() {
        assert_eq!(listener.local(), Some(address));
        let say = say.clone();
        tokio::spawn(async move {
            while let Some(incoming) = listener.accept().await {
                let connection = incoming.accept().await.unwrap().connection;
                say.send((number, connection)).await.unwrap();
            }
        });
    }
    (address, came)
}

/// A word from the relay's end to the agent's and back.
async fn talk(relay: &Connection, agent: &Connection) {
    let echo = async {
        let (send, recv) = agent.accept().await.unwrap();
        let heard = whole(RecvHalf::new(recv)).await;
        let mut send = SendHalf::new(send);
        send.write(&mut [heard.into()]).await.unwrap();
        send.finish();
    };
    let ask = async {
        let (send, recv) = relay.open().await.unwrap();
        let mut send = SendHalf::new(send);
        send.write(&mut [Bytes::from_static(b"word")])
            .await
            .unwrap();
        send.finish();
        assert_eq!(whole(RecvHalf::new(recv)).await, b"word");
    };
    soon("a word and its echo", async { tokio::join!(echo, ask) }).await;
}

async fn whole(mut recv: RecvHalf) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [Bytes::new()];
    while std::future::poll_fn(|cx| recv.poll_chunks(cx, &mut chunk))
        .await
        .unwrap()
        .is_some()
    {
        all.extend_from_slice(&chunk[0]);
    }
    all
}

#[tokio::test]
async fn an_agent_that_moves_stays_on_its_shard() {
    let trusted = trusted();
    let (address, mut came) = listen(trusted.server);
    let mut shards = BTreeSet::new();
    let mut agents = Vec::new();
    for _ in 0..48 {
        let dialer = Dialer::bind(address).unwrap();
        let dial = dialer.dial(address, "localhost", trusted.client.clone());
        let (agent, relay) = tokio::join!(soon("a connection", dial), came.recv());
        let (shard, relay) = relay.unwrap();
        shards.insert(shard);
        agents.push((dialer, agent.unwrap(), relay));
    }
    // By chance alone one has none in one of 250,000 runs.
    assert_eq!(shards.len(), usize::from(SHARDS), "all shards have agents");
    for _ in 0..4 {
        for (dialer, agent, relay) in &agents {
            let before = dialer.local().unwrap();
            dialer.rebind().unwrap();
            let after = dialer.local().unwrap();
            assert_ne!(before.port(), after.port());
            talk(relay, agent).await;
            eventually("the relay sees the move", || async {
                relay.remote().port() == after.port()
            })
            .await;
        }
    }
    for (_, agent, relay) in &agents {
        assert!(agent.close_reason().is_none() && relay.close_reason().is_none());
    }
    assert!(came.try_recv().is_err(), "nobody came twice");
}

#[tokio::test]
async fn garbage_harms_no_shard() {
    let trusted = trusted();
    let (address, mut came) = listen(trusted.server);
    let dialer = Dialer::bind(address).unwrap();
    let dial = dialer.dial(address, "localhost", trusted.client.clone());
    let (agent, relay) = tokio::join!(soon("a connection", dial), came.recv());
    let (agent, (_, relay)) = (agent.unwrap(), relay.unwrap());
    let stranger = UdpSocket::bind(ANY).await.unwrap();
    for first in [0x00, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
        for length in [0, 1, 2, 3, 6, 7, 8, 9, 20, 40, 1200] {
            let mut datagram = vec![0x5a; length];
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            stranger.send_to(&datagram, address).await.unwrap();
        }
    }
    talk(&relay, &agent).await;
}

#[tokio::test]
async fn a_group_shares_its_address_with_nobody() {
    let trusted = trusted();
    let group = Bound::group(ANY.parse().unwrap(), SHARDS, trusted.server.clone()).unwrap();
    let address = group[0].local().unwrap();
    let is_taken = |error: EndpointError| match error {
        EndpointError::Bind(_, error) => error.kind() == std::io::ErrorKind::AddrInUse,
        _ => false,
    };
    for shards in [1, 2, SHARDS] {
        let other = Bound::group(address, shards, trusted.server.clone());
        assert!(is_taken(other.unwrap_err()));
    }
    drop(group);
    let single = Bound::group(address, 1, trusted.server.clone()).unwrap();
    let other = Bound::group(address, SHARDS, trusted.server);
    assert!(is_taken(other.unwrap_err()));
    drop(single);
}
