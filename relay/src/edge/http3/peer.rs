//! The streams that a visitor opens for the connection as a whole (RFC 9114 section 6.2, RFC 9204 section 4.2):
//! its control stream, and those of its QPACK encoder and decoder. Each is there once at most, and never ends.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};

use adit_shared::quic::{ReadError, RecvStream};
use adit_shared::stream::RecvHalf;
use adit_shared::turn;
use adit_shared::wire::varint;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::code::{Code, Violation};
use super::frame::{Frames, On, Piece};
use super::link::Link;
use super::qpack::Malformed;
use super::qpack::instructions::{self, Decoder};
use super::settings;

/// Reads these streams until one of them breaks the protocol, or the connection has ended. Safe to drop.
pub(super) async fn listen(link: &Link) -> Option<Violation> {
    let seen = AtomicU8::new(0);
    let mut streams = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(ended) = streams.next(), if !streams.is_empty() => {
                if let Err(violation) = ended {
                    return Some(violation);
                }
            }
            accepted = link.connection.accept_one_way() => match accepted {
                // How many there are is bounded by QUIC.
                Ok(recv) => streams.push(read(recv, &seen, link)),
                Err(_) => return None,
            },
        }
    }
}

/// Reads one stream.
async fn read(recv: RecvStream, seen: &AtomicU8, link: &Link) -> Result<(), Violation> {
    let mut stream = Chunks(RecvHalf::of_protocol(
        recv,
        Code::StreamCreationError.number(),
    ));
    let Some((kind, rest)) = kind(&mut stream).await else {
        return Ok(());
    };
    match kind {
        CONTROL | ENCODER | DECODER => {
            let bit = 1 << kind;
            if seen.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
                let what = "a stream that is there once is opened twice";
                return Err(Violation::new(Code::StreamCreationError, what));
            }
        }
        PUSH => {
            let what = "a visitor opened a push stream";
            return Err(Violation::new(Code::StreamCreationError, what));
        }
        // Dropped, it tells the visitor that nobody reads it.
        _ => return Ok(()),
    }
    match kind {
        CONTROL => control(stream, rest, link).await,
        ENCODER => {
            each(stream, rest, Code::QpackEncoderStreamError, |bytes| {
                instructions::encoder(bytes)
            })
            .await
        }
        _ => {
            let mut decoder = Decoder::default();
            each(stream, rest, Code::QpackDecoderStreamError, |bytes| {
                decoder.read(bytes)
            })
            .await
        }
    }
}

/// Hands all bytes of a stream that must not end to `look`.
async fn each(
    mut stream: Chunks,
    first: Bytes,
    code: Code,
    mut look: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Violation> {
    let mut bytes = first;
    loop {
        look(&bytes).map_err(|error| Violation::new(code, error.0))?;
        bytes = match stream.next().await {
            Some(bytes) => bytes?,
            None => return Ok(()),
        };
    }
}

/// Reads the control stream. What it says changes nothing: we push nothing, and a visitor that goes away
/// asks for nothing more.
async fn control(mut stream: Chunks, first: Bytes, link: &Link) -> Result<(), Violation> {
    let mut frames = Frames::new(On::Control, 0);
    frames.push(first);
    let (mut has_settings, mut goaway, mut most_pushes) = (false, u64::MAX, 0);
    loop {
        while let Some(piece) = frames.take()? {
            let error = match piece {
                Piece::Settings(_) if has_settings => {
                    Some((Code::FrameUnexpected, "settings come twice"))
                }
                Piece::Settings(payload) => {
                    settings::check(payload)?;
                    has_settings = true;
                    None
                }
                Piece::Goaway(id) if id > goaway => Some((Code::IdError, "a GOAWAY takes back")),
                Piece::Goaway(id) => {
                    goaway = id;
                    None
                }
                Piece::MaxPushId(id) if id < most_pushes => {
                    Some((Code::IdError, "a MAX_PUSH_ID takes back"))
                }
                Piece::MaxPushId(id) => {
                    most_pushes = id;
                    None
                }
                Piece::CancelPush(_) => Some((Code::IdError, "nothing was pushed")),
                // Not on this stream.
                Piece::Data(_) | Piece::Headers(_) | Piece::TooLarge => None,
            };
            if let Some((code, what)) = error {
                return Err(Violation::new(code, what));
            }
        }
        link.came_idle(frames.take_idle())?;
        match stream.next().await {
            Some(bytes) => frames.push(bytes?),
            None => return Ok(()),
        }
    }
}

/// The type of a stream, and what follows it; nothing for a stream that ends before.
async fn kind(stream: &mut Chunks) -> Option<(u64, Bytes)> {
    let mut begun = BytesMut::new();
    loop {
        begun.extend_from_slice(&stream.next().await?.ok()?);
        let mut bytes = &begun[..];
        if let Ok(kind) = varint::get(&mut bytes) {
            begun.advance(begun.len() - bytes.len());
            return Some((kind, begun.freeze()));
        }
    }
}

/// A stream that must not end, in chunks.
struct Chunks(RecvHalf);

impl Chunks {
    /// The next chunk; none when the connection has ended.
    async fn next(&mut self) -> Option<Result<Bytes, Violation>> {
        poll_fn(turn::poll_begin).await;
        let mut chunk = [Bytes::new()];
        match poll_fn(|cx| self.0.poll_chunks(cx, &mut chunk)).await {
            Ok(Some(_)) => {
                let [chunk] = chunk;
                Some(Ok(chunk))
            }
            Ok(None) | Err(ReadError::Reset(_)) => Some(Err(Violation::new(
                Code::ClosedCriticalStream,
                "a stream that must last has ended",
            ))),
            Err(ReadError::Lost(_)) => None,
        }
    }
}

pub(super) const CONTROL: u64 = 0x00;
const PUSH: u64 = 0x01;
const ENCODER: u64 = 0x02;
const DECODER: u64 = 0x03;
