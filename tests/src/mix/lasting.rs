//! Exchanges that last until all is told to end. Whoever of them loses anything panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adit_shared::task::Tasks;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::Span;

use super::origin::{LITTLE, Ledger};
use super::visitor::{Door, Outcome, none};
use super::{Progress, Words};

/// A download.
pub(super) async fn flow(door: Door, ledger: Arc<Ledger>, id: u64, progress: Progress) {
    let request = door.request(Method::GET, &format!("/flow/{id}"), none());
    let (response, _connection) = door.send(request).await.expect("a download begins");
    assert_eq!(response.status(), 200, "a download begins");
    let (mut body, mut words) = (response.into_body(), Words::new(id));
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("a download goes on");
        let right = frame.data_ref().is_none_or(|data| words.check(data));
        assert!(right, "a download has the origin's bytes");
        progress.mark();
    }
    assert_eq!(Some(words.count()), ledger.sent(id), "a download is whole");
}

/// An upload; the origin says when something comes of it.
pub(super) async fn rise(door: Door, ledger: Arc<Ledger>, id: u64) {
    let sent = Arc::new(AtomicU64::new(0));
    let total = sent.clone();
    let pieces = unfold(Words::new(id), move |mut words| {
        let (ledger, total) = (ledger.clone(), total.clone());
        async move {
            tokio::time::sleep(ledger.pace).await;
            let piece = (!ledger.is_over()).then(|| words.take(LITTLE));
            total.store(words.count(), Ordering::Relaxed);
            piece.map(|piece| (Ok(Frame::data(piece)), words))
        }
    });
    let body = StreamBody::new(pieces).boxed_unsync();
    let request = door.request(Method::POST, &format!("/rise/{id}"), body);
    let (response, _connection) = door.send(request).await.expect("an upload has an answer");
    assert_eq!(response.status(), 200, "an upload is taken");
    let said = response.into_body().collect().await.expect("an answer");
    let said = String::from_utf8_lossy(&said.to_bytes()).into_owned();
    let all = format!("{} true", sent.load(Ordering::Relaxed));
    assert_eq!(said, all, "an upload arrives whole and unchanged");
}

/// Server-sent events.
pub(super) async fn events(door: Door, progress: Progress) {
    let request = door.request(Method::GET, "/events", none());
    let (response, _connection) = door.send(request).await.expect("events begin");
    assert_eq!(response.status(), 200, "events begin");
    let (mut body, mut text) = (response.into_body(), String::new());
    let mut expected = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("events go on");
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            assert_eq!(event, format!("data: {expected}"), "no event is lost");
            expected += 1;
            text = rest.to_owned();
            progress.mark();
        }
    }
    assert_eq!(text, "", "events end whole");
}

/// A switched protocol, in which a message is sent when the one before has come back.
pub(super) async fn socket(door: Door, ledger: Arc<Ledger>, progress: Progress) {
    let mut request = door.request(Method::GET, "/socket", none());
    let fields = request.headers_mut();
    fields.insert("connection", "upgrade".parse().unwrap());
    fields.insert("upgrade", "echo".parse().unwrap());
    let (response, _connection) = door.send(request).await.expect("a switch");
    assert_eq!(response.status(), 101, "a switch");
    let upgraded = hyper::upgrade::on(response).await.expect("a switch");
    let mut stream = TokioIo::new(upgraded);
    let (mut words, mut heard) = (Words::new(1), Words::new(1));
    let mut piece = vec![0; 100];
    while !ledger.is_over() {
        let said = stream.write_all(&words.take(piece.len())).await;
        said.expect("a socket takes more");
        stream
            .read_exact(&mut piece)
            .await
            .expect("a socket answers");
        assert!(heard.check(&piece), "a socket says what was said");
        progress.mark();
    }
    stream.shutdown().await.expect("a socket is closed");
    let left = stream.read(&mut piece).await.expect("a socket ends");
    assert_eq!(left, 0, "a socket ends");
}

/// A call over HTTP/2 that streams both ways and ends with trailers, as gRPC does.
pub(super) async fn call(door: Door, ledger: Arc<Ledger>, progress: Progress) {
    let stream = TcpStream::connect(door.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let tasks = Tasks::default();
    tasks.spawn(Span::none(), async move { drop(connection.await) });
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}/rpc", door.host))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let mut sender = sender.ready().await.unwrap();
    let (response, mut send) = sender.send_request(request, false).unwrap();
    let (mut words, mut heard) = (Words::new(2), Words::new(2));
    send.send_data(words.take(100), false).unwrap();
    let response = response.await.expect("a call begins");
    assert_eq!(response.status(), 200, "a call begins");
    let mut body = response.into_body();
    while !ledger.is_over() {
        while heard.count() < words.count() {
            let data = body.data().await.expect("a call goes on");
            let data = data.expect("a call goes on");
            body.flow_control().release_capacity(data.len()).unwrap();
            assert!(heard.check(&data), "a call says what was said");
        }
        progress.mark();
        send.send_data(words.take(100), false).unwrap();
    }
    send.send_data(Bytes::new(), true).unwrap();
    while let Some(data) = body.data().await {
        assert!(heard.check(&data.expect("a call ends")), "a call's end");
    }
    assert_eq!(heard.count(), words.count(), "a call is whole");
    let trailers = body.trailers().await.expect("a call ends");
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    tasks.abort();
}

/// Short requests, one after the other; every second is a POST.
pub(super) async fn requests(door: Door, ledger: Arc<Ledger>, first: u64, progress: Progress) {
    let mut id = first;
    while !ledger.is_over() {
        let outcome = if id.is_multiple_of(2) {
            door.small(id).await
        } else {
            door.post(id, 500).await
        };
        assert_eq!(outcome, Outcome::Whole, "request {id}");
        progress.mark();
        id += 1;
    }
}
