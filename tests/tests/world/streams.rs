//! The halves of a stream: what is dropped unfinished resets, and finishing is explicit.

use std::net::SocketAddr;
use std::sync::Arc;

use adit_relay::edge::tls::Certificates;
use adit_shared::control::Receiver;
use adit_shared::quic::endpoint::{Dialer, Listener};
use adit_shared::quic::tls::{self, Trust};
use adit_shared::quic::{Connection, ReadError};
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::ALPN;
use adit_shared::wire::code::Reset;
use adit_shared::wire::control::Message;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::frame::{self, Side};
use adit_shared::wire::head;
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

/// How often something else had its turn while this was done.
async fn turns_beside(work: impl Future<Output = ()>) -> usize {
    let mut turns = 0;
    let count = async {
        loop {
            tokio::task::yield_now().await;
            turns += 1;
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = count => {}
    }
    turns
}

/// A stream that has all of this already, and whose end was said.
async fn filled_with(
    bytes: Vec<u8>,
    (relay, agent): (&Connection, &Connection),
) -> (RecvHalf, impl Sized) {
    relay.lift_connection_window();
    let (send, theirs) = agent.open().await.unwrap();
    let mut send = SendHalf::new(send);
    send.write(&mut [bytes.into()]).await.unwrap();
    send.finish();
    let (ours, recv) = soon("the stream", relay.accept()).await.unwrap();
    soon("all of it has come", send.stopped()).await;
    (RecvHalf::new(recv), (theirs, ours))
}

/// A peer may fill a window with what has next to nothing in it, or nothing at all. Whoever reads that does not keep
/// the thread.
#[tokio::test]
async fn others_run_while_a_window_of_tiny_frames_is_read() {
    // A response of 200 without fields.
    let mut head = bytes::BytesMut::new();
    let response = head::Response {
        status: http::StatusCode::OK,
        fields: Fields::new(),
        end: false,
    };
    frame::put_response(&mut head, &response).unwrap();
    // DATA frames of one byte, and of none.
    for (tiny, least) in [(&[0, 1, b'x'][..], 100), (&[0, 0], 20)] {
        let (relay, agent, _keep) = connected().await;
        let bytes = [&head[..], &tiny.repeat(200_000)].concat();
        let (recv, _streams) = filled_with(bytes, (&relay, &agent)).await;
        let mut parts = Parts::new(recv, Side::Response);
        let read = async { while let Ok(Some(_)) = parts.next().await {} };
        let turns = turns_beside(read).await;
        assert!(turns > least, "{turns}");
    }
}

#[tokio::test]
async fn others_run_while_a_window_of_messages_is_read() {
    let (relay, agent, _keep) = connected().await;
    let mut ping = bytes::BytesMut::new();
    Message::Ping { number: 1 }.encode(&mut ping).unwrap();
    let bytes = ping.repeat(100_000);
    let (recv, _streams) = filled_with(bytes, (&relay, &agent)).await;
    let mut receiver = Receiver::new(recv);
    let read = async { while let Ok(Some(_)) = receiver.next().await {} };
    let turns = turns_beside(read).await;
    assert!(turns > 100, "{turns}");
}
