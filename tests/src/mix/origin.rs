//! The origin of every kind of exchange. It keeps a ledger of what reached it.
//!
//! - `GET /small/ID`: a short body;
//! - `GET /down/ID/LEN`: LEN bytes;
//! - `GET /slow/ID/LEN`: the same, a KiB at a time and of a length that is not told;
//! - `GET /flow/ID`: bytes until all is told to end;
//! - `GET /events`: an event every 20 ms until then;
//! - `GET /socket` with `Upgrade`: says everything back;
//! - `POST /once/ID`: takes a body, and must never come twice;
//! - `POST /rise/ID`: takes a body of any length;
//! - `POST /rpc`: says everything back, with trailers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, unfold};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::{Progress, Words};

/// A body of ours.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What reached the origin, and what it sent.
#[derive(Debug)]
pub struct Ledger {
    delivered: Mutex<HashMap<u64, u32>>,
    sent: Mutex<HashMap<u64, u64>>,
    /// How often a little more of what lasts is sent.
    pub(super) pace: Duration,
    /// When something of an upload that lasts came.
    pub(super) risen: Progress,
    end: watch::Receiver<bool>,
}

impl Ledger {
    pub(super) fn new(pace: Duration, end: watch::Receiver<bool>) -> Self {
        Self {
            pace,
            risen: Progress::default(),
            delivered: Mutex::default(),
            sent: Mutex::default(),
            end,
        }
    }

    /// How often the head of this POST came.
    pub fn delivered(&self, id: u64) -> u32 {
        *self.delivered.lock().unwrap().get(&id).unwrap_or(&0)
    }

    /// The POSTs that came more than once.
    pub fn doubled(&self) -> Vec<u64> {
        let delivered = self.delivered.lock().unwrap();
        let doubled = delivered.iter().filter(|(_, times)| **times > 1);
        doubled.map(|(id, _)| *id).collect()
    }

    /// How many bytes of this flow were sent, once it has ended.
    pub(super) fn sent(&self, id: u64) -> Option<u64> {
        self.sent.lock().unwrap().get(&id).copied()
    }

    pub(super) fn is_over(&self) -> bool {
        *self.end.borrow()
    }
}

/// What the origin answers.
pub(super) async fn answer(ledger: Arc<Ledger>, mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let mut parts = path[1..].split('/');
    let kind = parts.next().unwrap_or_default();
    let numbers: Vec<u64> = parts.map(|part| part.parse().unwrap()).collect();
    let body = match (kind, numbers.as_slice()) {
        ("small", [id]) => full(Words::new(*id).take(SMALL)),
        ("down", [id, len]) => {
            let (mut words, len) = (Words::new(*id), *len);
            let pieces = move |left: u64| {
                let some = left.min(PIECE as u64);
                (some > 0).then(|| (words.take(some as usize), left - some))
            };
            let body = pieces_of(len, pieces);
            return Response::builder()
                .header("content-length", len)
                .body(body)
                .unwrap();
        }
        ("slow", [id, len]) => {
            let pieces = unfold((Words::new(*id), *len), move |(mut words, left)| {
                let pace = ledger.pace;
                async move {
                    tokio::time::sleep(pace).await;
                    let some = left.min(LITTLE as u64);
                    let piece = (some > 0).then(|| words.take(some as usize));
                    piece.map(|piece| (Ok(Frame::data(piece)), (words, left - some)))
                }
            });
            StreamBody::new(pieces).boxed_unsync()
        }
        ("flow", [id]) => {
            let (id, words) = (*id, Words::new(*id));
            let pieces = unfold(words, move |mut words| {
                let ledger = ledger.clone();
                async move {
                    tokio::time::sleep(ledger.pace).await;
                    if ledger.is_over() {
                        ledger.sent.lock().unwrap().insert(id, words.count());
                        return None;
                    }
                    Some((Ok(Frame::data(words.take(LITTLE))), words))
                }
            });
            StreamBody::new(pieces).boxed_unsync()
        }
        ("events", []) => {
            let events = unfold(0_u64, move |number| {
                let over = ledger.is_over();
                async move {
                    tokio::time::sleep(EVENT).await;
                    let event = Bytes::from(format!("data: {number}\n\n"));
                    (!over).then(|| (Ok(Frame::data(event)), number + 1))
                }
            });
            StreamBody::new(events).boxed_unsync()
        }
        ("once", [id]) => {
            *ledger.delivered.lock().unwrap().entry(*id).or_default() += 1;
            full(swallow(*id, &mut request, || ()).await)
        }
        ("rise", [id]) => full(swallow(*id, &mut request, || ledger.risen.mark()).await),
        ("rpc", []) => echo(request.into_body()),
        ("socket", []) => return switch(&mut request),
        _ => panic!("nothing is at {path}"),
    };
    Response::new(body)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn pieces_of<S: Send + 'static>(
    start: S,
    mut next: impl FnMut(S) -> Option<(Bytes, S)> + Send + 'static,
) -> Body {
    let pieces = unfold(start, move |state| {
        let piece = next(state);
        async move { piece.map(|(bytes, state)| (Ok(Frame::data(bytes)), state)) }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// Takes a body, and says what it was.
async fn swallow(id: u64, request: &mut Request<Incoming>, each: impl Fn()) -> String {
    let (mut words, mut right) = (Words::new(id), true);
    while let Some(frame) = request.body_mut().frame().await {
        let Ok(frame) = frame else {
            return "cut".into();
        };
        if let Some(data) = frame.data_ref() {
            right &= words.check(data);
            each();
        }
    }
    format!("{} {right}", words.count())
}

fn echo(body: Incoming) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let data = body
        .into_data_stream()
        .take_while(|data| std::future::ready(data.is_ok()))
        .filter_map(|data| std::future::ready(data.ok()))
        .map(|data| Ok(Frame::data(data)));
    let end = futures_util::stream::once(std::future::ready(Ok(Frame::trailers(trailers))));
    StreamBody::new(data.chain(end)).boxed_unsync()
}

fn switch(request: &mut Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(request);
    #[allow(clippy::disallowed_methods, reason = "it ends with its connection")]
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut stream = pin!(TokioIo::new(upgraded));
        let mut piece = vec![0; PIECE];
        while let Ok(len) = stream.read(&mut piece).await {
            if len == 0 || stream.write_all(&piece[..len]).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(full(""))
        .unwrap()
}

/// Bytes of a small body, and of what a large one is made of.
pub(super) const SMALL: usize = 300;
const PIECE: usize = 8 << 10;
/// What is sent at a time of what lasts.
pub(super) const LITTLE: usize = 1 << 10;
/// How often an event comes.
const EVENT: Duration = Duration::from_millis(20);
