//! Time of the ways that bodies and raw bytes take over one QUIC connection of loopback, with relay
//! and agent's settings of the transport and both ends on one thread.

#![allow(missing_docs, reason = "criterion's macros make functions without")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use adit_micro::heads;
use adit_shared::body::recv::FromStream;
use adit_shared::body::send::send;
use adit_shared::intake::Intake;
use adit_shared::pump::{QuicSource, Sink, SocketSink, SocketSource, Source, pump};
use adit_shared::quic::Connection;
use adit_shared::quic::endpoint::{Dialer, Listener};
use adit_shared::quic::tls::{self, Pin, Trust};
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::task::Tasks;
use adit_shared::wire::ALPN;
use adit_shared::wire::frame::{self, Side};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http_body_util::{BodyExt as _, Full};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tracing::Span;

/// A request with a body there, the same body back: one stream each time.
fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body");
    let link = Link::new();
    let peer = link.far.clone();
    link.serve(async move {
        while let Ok((to, from)) = peer.accept().await {
            let mut parts = Parts::new(RecvHalf::new(from), Side::Request);
            parts.next().await.unwrap();
            let body = FromStream::new(Box::new(parts), false, None);
            let mut head = BytesMut::new();
            frame::put_response(&mut head, &heads::response()).unwrap();
            send(head, pin!(body), &mut SendHalf::new(to))
                .await
                .unwrap();
        }
    });
    for (name, size) in [("1 KiB there and back", 1 << 10), ("8 MiB", BULK)] {
        let body = Bytes::from(vec![b'b'; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| link.runtime.block_on(exchange(&link.near, body.clone())));
        });
    }
}

async fn exchange(connection: &Connection, body: Bytes) {
    let (to, from) = connection.open().await.unwrap();
    let (mut to, size) = (SendHalf::new(to), body.len());
    let mut head = BytesMut::with_capacity(512);
    frame::put_request(&mut head, &heads::request()).unwrap();
    let receive = async {
        let mut parts = Parts::new(RecvHalf::new(from), Side::Response);
        parts.next().await.unwrap();
        let mut body = FromStream::new(Box::new(parts), false, None);
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        received
    };
    let body = pin!(Full::new(body));
    let (sent, received) = tokio::join!(send(head, body, &mut to), receive);
    assert_eq!((sent.unwrap(), received), (size as u64, size));
}

/// Raw bytes from a socket through a stream to an echo and back, as after an upgrade.
fn raw(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pump");
    let link = Link::new();
    let peer = link.far.clone();
    link.serve(async move {
        while let Ok((to, from)) = peer.accept().await {
            let from = QuicSource::new((Vec::new(), RecvHalf::new(from)));
            echo(from, SendHalf::new(to)).await;
        }
    });
    let mut visitor = link.runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let visitor = TcpStream::connect(listener.local_addr().unwrap());
        let (visitor, accepted) = tokio::join!(visitor, listener.accept());
        let (visitor, socket) = (visitor.unwrap(), accepted.unwrap().0);
        visitor.set_nodelay(true).unwrap();
        socket.set_nodelay(true).unwrap();
        let (to, from) = link.near.open().await.unwrap();
        link.serve(async move {
            let (read, write) = socket.into_split();
            let left = (
                SocketSource::new(Intake::default(), read),
                SocketSink::new(write),
            );
            let from = QuicSource::new((Vec::new(), RecvHalf::new(from)));
            // It ends with the visitor.
            drop(pump(left, (from, SendHalf::new(to))).await);
        });
        visitor
    });
    let mut buffer = vec![0; 64 << 10];
    for (name, size) in [("1 KiB there and back", 1 << 10), ("8 MiB", BULK)] {
        let bytes = vec![b'b'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let echo = round(&mut visitor, &bytes, &mut buffer);
                link.runtime.block_on(echo);
            });
        });
    }
}

async fn round(visitor: &mut TcpStream, bytes: &[u8], buffer: &mut [u8]) {
    let (mut read, mut write) = visitor.split();
    let send = async { write.write_all(bytes).await.unwrap() };
    let receive = async {
        let mut left = bytes.len();
        while left > 0 {
            left -= read.read(buffer).await.unwrap();
        }
    };
    tokio::join!(send, receive);
}

async fn echo(mut from: impl Source, mut to: impl Sink) {
    let mut chunks = Vec::new();
    loop {
        chunks.clear();
        let read = poll_fn(|cx| from.poll_read(cx, &mut chunks)).await;
        if read.is_err() || chunks.is_empty() || to.write(&mut chunks).await.is_err() {
            return;
        }
    }
}

/// Two ends of a connection on one thread.
struct Link {
    runtime: Runtime,
    /// Which opens streams, as a relay does.
    near: Connection,
    /// Which accepts them, as an agent does.
    far: Connection,
    tasks: Tasks,
    _endpoints: (Listener, Dialer),
}

impl Link {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (near, far, endpoints) = runtime.block_on(async {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let certificate = made.cert.der().clone();
            let pin = Pin::of(&certificate).unwrap();
            let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
            let provider = tls::provider();
            let key = provider.key_provider.load_private_key(key).unwrap();
            let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
            let server = tls::server(Arc::new(shown), &[ALPN]).unwrap();
            let client = Arc::new(tls::client(&Trust::Pin(pin), &[ALPN]).unwrap());

            let listener = Listener::bind(([127, 0, 0, 1], 0).into(), server).unwrap();
            let remote = listener.local().unwrap();
            let dialer = Dialer::bind(remote).unwrap();
            let accept = async { listener.accept().await.unwrap().accept().await.unwrap() };
            let dial = dialer.dial(remote, "localhost", client);
            let (near, far) = tokio::join!(accept, dial);
            near.connection.lift_connection_window();
            (near.connection, far.unwrap(), (listener, dialer))
        });
        Self {
            runtime,
            near,
            far,
            tasks: Tasks::default(),
            _endpoints: endpoints,
        }
    }

    fn serve(&self, work: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.tasks.spawn(Span::none(), work);
    }
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .without_plots()
}

criterion_group! {
    name = benches;
    config = quick();
    targets = bodies, raw
}
criterion_main!(benches);

const BULK: usize = 8 << 20;
