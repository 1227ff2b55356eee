//! The halves of a stream: what is dropped unfinished resets, and finishing is explicit.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_relay::edge::tls::Certificates;
use adit_shared::quic::endpoint::{Dialer, Listener};
use adit_shared::quic::tls::{self, Trust};
use adit_shared::quic::{Connection, ReadError};
use adit_shared::stream::{RecvHalf, SendHalf};
use adit_shared::wire::ALPN;
use adit_shared::wire::code::Reset;
use adit_tests::soon;
use adit_tests::world::Scratch;
use bytes::Bytes;

/// A relay's end that takes any agent, what an agent has to know, and what they stand on.
pub(super) fn listening() -> (Listener, Arc<rustls::ClientConfig>, Scratch) {
    let state = Scratch::new();
    let domain = "localhost".parse().unwrap();
    let certificates = Arc::new(Certificates::development(state.path(), &domain).unwrap());
    let pin = certificates.pin().unwrap();
    let server = tls::server(certificates, &[ALPN]).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), server).unwrap();
    let client = Arc::new(tls::client(&Trust::Pin(pin), &[ALPN]).unwrap());
    (listener, client, state)
}

/// The relay's and the agent's end of a connection, which goes to `address`.
pub(super) async fn connect(
    listener: &Listener,
    client: Arc<rustls::ClientConfig>,
    address: SocketAddr,
) -> (Connection, Connection, Dialer) {
    let dialer = Dialer::bind(address).unwrap();
    let accept = async {
        listener
            .accept()
            .await
            .unwrap()
            .accept()
            .await
            .unwrap()
            .connection
    };
    let dial = async { dialer.dial(address, "localhost", client).await.unwrap() };
    let (relay, agent) = soon("a connection", async { tokio::join!(accept, dial) }).await;
    (relay, agent, dialer)
}

/// Two ends of one connection; what is dropped with them ends it.
pub(super) async fn connected() -> (Connection, Connection, impl Sized) {
    let (listener, client, state) = listening();
    let address = listener.local().unwrap();
    let (relay, agent, dialer) = connect(&listener, client, address).await;
    (relay, agent, (listener, dialer, state))
}

/// What the peer reads of a stream until it ends.
async fn read(recv: &mut RecvHalf) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        let mut chunk = [Bytes::new()];
        let read = std::future::poll_fn(|cx| recv.poll_chunks(cx, &mut chunk));
        match soon("the end of a stream", read).await? {
            Some(_) => all.extend_from_slice(&chunk[0]),
            None => return Ok(all),
        }
    }
}

#[tokio::test]
async fn a_half_that_is_dropped_unfinished_resets() {
    let (relay, agent, _keep) = connected().await;
    let (send, _recv) = agent.open().await.unwrap();
    let mut send = SendHalf::new(send);
    send.write(&mut [Bytes::from_static(b"half")])
        .await
        .unwrap();
    let (_, recv) = soon("the stream", relay.accept()).await.unwrap();
    drop(send);
    let end = read(&mut RecvHalf::new(recv)).await;
    assert!(
        matches!(end, Err(ReadError::Reset(Reset::Cancelled))),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_half_that_is_finished_ends_cleanly() {
    let (relay, agent, _keep) = connected().await;
    let (send, _recv) = agent.open().await.unwrap();
    let mut send = SendHalf::new(send);
    send.write(&mut [Bytes::from_static(b"whole")])
        .await
        .unwrap();
    send.finish();
    drop(send);
    let (_, recv) = soon("the stream", relay.accept()).await.unwrap();
    assert_eq!(read(&mut RecvHalf::new(recv)).await.unwrap(), b"whole");
}

#[tokio::test]
async fn a_reader_that_is_dropped_stops_the_writer() {
    let (relay, agent, _keep) = connected().await;
    let (send, _recv) = agent.open().await.unwrap();
    let mut send = SendHalf::new(send);
    let stopped = send.stopped();
    send.write(&mut [Bytes::from_static(b"more")])
        .await
        .unwrap();
    let (_, recv) = soon("the stream", relay.accept()).await.unwrap();
    drop(RecvHalf::new(recv));
    assert_eq!(
        soon("the writer is told", stopped).await,
        Some(Reset::Cancelled)
    );
}
