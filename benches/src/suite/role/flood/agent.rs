//! Agents that were let in with a token, and want nothing but to keep the relay from its work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adit_shared::control::Receiver;
use adit_shared::identity::Identity;
use adit_shared::quic::endpoint::Dialer;
use adit_shared::quic::{Connection, SendStream};
use adit_shared::stream::{Parts, RecvHalf, SendHalf};
use adit_shared::wire::code::Reset;
use adit_shared::wire::control::{Claim, EXPORTER_LABEL, Hello, Message};
use adit_shared::wire::datagram::Datagram;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::frame::{self, Side};
use adit_shared::wire::head;
use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use futures_util::future::{join, join_all};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::Flood;
use super::act::{self, BUFFER};
use crate::suite::role::spawn;

/// An agent that answers what its own visitors ask, each request in another way that is none.
pub(super) async fn answers(flood: &Flood, _number: u64) -> anyhow::Result<()> {
    let evil = Evil::join(flood).await?;
    let serve = async {
        for number in 0.. {
            let (send, recv) = evil.connection.accept().await?;
            flood.sent();
            spawn(answer(number, send, recv));
        }
        anyhow::Ok(())
    };
    tokio::select! {
        served = serve => served,
        () = visit(flood, &evil.host, 8, "GET /", 0, PATIENCE) => Ok(()),
    }
}

/// The answer of this number, for as long as the relay takes it.
async fn answer(number: u64, send: SendStream, recv: adit_shared::quic::RecvStream) {
    let mut send = SendHalf::new(send);
    let _parts = Parts::new(RecvHalf::new(recv), Side::Request);
    let mut bytes = BytesMut::new();
    let mut again = Bytes::new();
    match number % 8 {
        0 => bytes.extend_from_slice(&[0xff; 4 << 10]),
        1 => again = head_of(103, &[("link", "</x>; rel=preload")]),
        // Half of a head, and nothing more.
        2 => bytes.extend_from_slice(&[2, 0x80, 0, 0x10, 0, 0, 200]),
        3 => return send.reset(Reset::Internal),
        4 => {
            bytes.extend_from_slice(&head_of(200, &[]));
            again = Bytes::from_static(&[0, 0]).repeat(EMPTY).into();
        }
        5 => {
            bytes.extend_from_slice(&head_of(200, &[]));
            again = Bytes::from_static(&[0, 1, b'x']).repeat(EMPTY).into();
        }
        6 => {
            bytes.extend_from_slice(&head_of(200, &[("content-length", "1")]));
            bytes.extend_from_slice(&[0, 10]);
            bytes.extend_from_slice(b"more of it");
        }
        _ => bytes.extend_from_slice(&head_of(101, &[("upgrade", "nothing")])),
    }
    if send.write(&mut [bytes.freeze()]).await.is_err() {
        return;
    }
    while !again.is_empty() && send.write(&mut [again.clone()]).await.is_ok() {}
    // Until nobody waits for it any more.
    send.stopped().await;
}

/// An agent that says what may be said, as fast as it can; every other one hears no answer.
pub(super) async fn messages(flood: &Flood, number: u64) -> anyhow::Result<()> {
    let Evil {
        connection,
        mut control,
        mut receiver,
        _dialer,
        ..
    } = Evil::join(flood).await?;
    let mut bytes = BytesMut::new();
    for at in 0..MESSAGES {
        match at % 16 {
            0 => put(&Message::Claim(claim("-no-name-")), &mut bytes)?,
            1 => put(&Message::Keep { session: at }, &mut bytes)?,
            _ => put(&Message::Ping { number: at }, &mut bytes)?,
        }
    }
    let bytes = bytes.freeze();
    let say = async {
        loop {
            control.write(&mut [bytes.clone()]).await?;
            flood.sent_many(MESSAGES);
            connection.knock(Datagram::Knock { number: 1 }.encode());
        }
    };
    let hear = async {
        while number.is_multiple_of(2) && receiver.next().await?.is_some() {}
        connection.closed().await;
        anyhow::Ok(())
    };
    tokio::select! {
        said = say => said,
        heard = hear => heard,
    }
}

/// An agent that claims as much as it may, and leaves in one of four ways.
pub(super) async fn names(flood: &Flood, number: u64) -> anyhow::Result<()> {
    let mut evil = Evil::join(flood).await?;
    for _ in 0..CLAIMS {
        evil.tell(&Message::Claim(claim(&name()))).await?;
    }
    for _ in 0..CLAIMS {
        evil.heard().await?;
        flood.sent();
    }
    match number % 4 {
        0 => evil.tell(&Message::Goodbye).await?,
        1 => evil.say(Bytes::from_static(&[1, 0x40])).await?,
        2 => {
            let mut send = evil.connection.open_one_way().await?;
            send.write_all(b"x").await?;
        }
        _ => return Ok(()),
    }
    drop(timeout(MOMENT, evil.connection.closed()).await);
    Ok(())
}

/// An agent that takes requests, and reads nothing of their bodies.
pub(super) async fn deaf(flood: &Flood, _number: u64) -> anyhow::Result<()> {
    let evil = Evil::join(flood).await?;
    let take = async {
        let mut taken = Vec::new();
        loop {
            taken.push(evil.connection.accept().await?);
        }
    };
    let take: std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> = Box::pin(take);
    tokio::select! {
        taken = take => taken,
        () = visit(flood, &evil.host, 32, "PUT /", 64 << 20, STAY) => Ok(()),
    }
}

/// Visitors of `host` that ask for the same again and again, each with a body of so many bytes.
async fn visit(
    flood: &Flood,
    host: &str,
    visitors: usize,
    line: &str,
    body: usize,
    patience: Duration,
) {
    let visitor = async |at: usize| {
        // One after the other.
        sleep(MOMENT * u32::try_from(at).unwrap_or(0) / 8).await;
        loop {
            let asked = async {
                let mut stream = act::dial(flood, flood.target.http, BUFFER).await?;
                let head =
                    format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {body}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                let (mut read, mut write) = stream.split();
                let write = async {
                    let piece = vec![b'x'; 64 << 10];
                    for _ in 0..body / piece.len() {
                        if write.write_all(&piece).await.is_err() {
                            break;
                        }
                    }
                };
                let read = async {
                    let mut bytes = vec![0; 64 << 10];
                    // A visitor of an endless answer leaves after a while.
                    let all =
                        async { while read.read(&mut bytes).await.is_ok_and(|len| len > 0) {} };
                    drop(timeout(patience, all).await);
                };
                tokio::select! {
                    () = read => {}
                    ((), ()) = join(write, std::future::pending()) => {}
                }
                anyhow::Ok(())
            };
            drop(asked.await);
            sleep(MOMENT).await;
        }
    };
    join_all((0..visitors).map(visitor)).await;
}

/// A session that serves one name.
struct Evil {
    connection: Connection,
    control: SendHalf,
    receiver: Receiver,
    host: String,
    _dialer: Dialer,
}

impl Evil {
    async fn join(flood: &Flood) -> anyhow::Result<Self> {
        let dialer = Dialer::bind(flood.target.quic)?;
        let dial = dialer.dial(flood.target.quic, "localhost", flood.agents.clone());
        let connection = timeout(PATIENCE, dial).await??;
        let (send, recv) = connection.open().await?;
        let identity = Identity::generate()?;
        let material = connection.export(EXPORTER_LABEL).context("no proof")?;
        let hello = Hello {
            key: identity.public_key(),
            signature: identity.sign(&material),
            instance: [0; 16],
            token: flood.token.clone(),
            version: "flood".into(),
            exchanges: adit_shared::quic::tuning::EXCHANGES.into(),
        };
        let name = name();
        let mut evil = Self {
            connection,
            control: SendHalf::new(send),
            receiver: Receiver::new(RecvHalf::new(recv)),
            host: format!("{name}.localhost"),
            _dialer: dialer,
        };
        evil.tell(&Message::Hello(hello)).await?;
        evil.tell(&Message::Claim(claim(&name))).await?;
        loop {
            match timeout(PATIENCE, evil.heard()).await?? {
                Message::Granted(_) => return Ok(evil),
                Message::Welcome(_) => {}
                other => bail!("not granted: {other:?}"),
            }
        }
    }

    async fn tell(&mut self, message: &Message) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        put(message, &mut bytes)?;
        self.say(bytes.freeze()).await
    }

    async fn say(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        Ok(self.control.write(&mut [bytes]).await?)
    }

    async fn heard(&mut self) -> anyhow::Result<Message> {
        let message = self.receiver.next().await?;
        message.context("the relay finished the control stream")
    }
}

fn put(message: &Message, to: &mut BytesMut) -> anyhow::Result<()> {
    message.encode(to).context("a message that is too long")
}

/// A name that nobody had before.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("evil-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn claim(name: &str) -> Claim {
    Claim {
        tunnel: 0,
        label: "evil".into(),
        name: name.into(),
        host: String::new(),
    }
}

fn head_of(status: u16, pairs: &[(&'static str, &'static str)]) -> Bytes {
    let mut bytes = BytesMut::new();
    let head = head::Response {
        status: StatusCode::from_u16(status).unwrap_or_default(),
        fields: Fields::from_pairs(pairs.iter().copied()).unwrap_or_default(),
        end: false,
    };
    // It fails only above the protocol's limits.
    let _ = frame::put_response(&mut bytes, &head);
    bytes.freeze()
}

/// Messages of one write.
const MESSAGES: u64 = 8 << 10;
/// Frames of one write.
const EMPTY: usize = 8 << 10;
/// Claims of one session beside the first.
const CLAIMS: usize = 16;
const MOMENT: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);
const STAY: Duration = Duration::from_secs(30);
