//! The server behind everything, as lean as it can be, so that what is measured is in front of it: one
//! read and one write for a small request, nothing allocated.
//!
//! - `GET /N`: N bytes;
//! - `GET /words/N`: N bytes, of which every eight say where they belong;
//! - `PUT` or `POST` anywhere: swallows the body and answers how many bytes it had;
//! - `/echo`: a WebSocket that echoes;
//! - `/stall`: never answers;
//! - `/sse`: an event every 100 ms.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{listener, say, spawn, until_closed};

pub(super) async fn run() -> anyhow::Result<()> {
    let (listener, address) = listener()?;
    say(&serde_json::json!({ "address": address }))?;
    let answers = Arc::new(Answers::new());
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = answers.clone();
            spawn(async move {
                // How a visitor leaves is its own business.
                drop(serve(stream, &answers).await);
            });
        }
    });
    until_closed().await
}

/// Answers that are ready to be written, and a block to make large ones of.
struct Answers {
    small: BTreeMap<u64, Bytes>,
    block: Bytes,
}

impl Answers {
    fn new() -> Self {
        let block = Bytes::from(vec![b'x'; BLOCK]);
        let whole = |size: u64| {
            let mut answer = head(size).into_bytes();
            answer.extend_from_slice(&block[..usize::try_from(size).unwrap_or(0)]);
            (size, Bytes::from(answer))
        };
        let small = [0, 1 << 10, 16 << 10].map(whole).into();
        Self { small, block }
    }
}

fn head(size: u64) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n")
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(READ);
    loop {
        let Some((taken, request)) = Request::parse(&buffer)? else {
            buffer.reserve(READ);
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        buffer.advance(taken);
        match request {
            Request::Get(size) => match answers.small.get(&size) {
                Some(answer) => stream.write_all(answer).await?,
                None => {
                    stream.write_all(head(size).as_bytes()).await?;
                    write_many(&mut stream, size, &answers.block).await?;
                }
            },
            Request::Words(size) => {
                stream.write_all(head(size).as_bytes()).await?;
                write_words(&mut stream, size).await?;
            }
            Request::Put(length) => {
                let taken = match length {
                    Length::Declared(size) => {
                        swallow(&mut stream, &mut buffer, size).await?;
                        size
                    }
                    Length::Chunked => swallow_chunks(&mut stream, &mut buffer).await?,
                };
                let body = taken.to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await?;
            }
            Request::Echo(accept) => return echo(stream, buffer, &accept).await,
            Request::Events => return events(stream).await,
            // Until the other side goes.
            Request::Stall => while stream.read_buf(&mut buffer).await? > 0 {},
            Request::Unknown => {
                stream
                    .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    .await?;
            }
        }
    }
}

enum Request {
    Get(u64),
    Words(u64),
    Put(Length),
    Echo(String),
    Events,
    Stall,
    Unknown,
}

enum Length {
    Declared(u64),
    Chunked,
}

impl Request {
    /// A request and the length of its head, once that is there.
    fn parse(bytes: &[u8]) -> io::Result<Option<(usize, Self)>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(taken) = head.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let field = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(found.value).ok()
        };
        let path = head.path.unwrap_or_default().trim_start_matches('/');
        let request = match (head.method.unwrap_or_default(), path) {
            ("PUT" | "POST", _) => match field("transfer-encoding") {
                Some(_) => Self::Put(Length::Chunked),
                None => {
                    let size = field("content-length").and_then(|length| length.parse().ok());
                    Self::Put(Length::Declared(size.unwrap_or(0)))
                }
            },
            (_, "echo") => Self::Echo(accept(field("sec-websocket-key").unwrap_or_default())),
            (_, "sse") => Self::Events,
            (_, "stall") => Self::Stall,
            (_, path) if path.starts_with("words/") => {
                path[6..].parse().map_or(Self::Unknown, Self::Words)
            }
            (_, path) => path.parse().map_or(Self::Unknown, Self::Get),
        };
        Ok(Some((taken, request)))
    }
}

async fn write_many(stream: &mut TcpStream, size: u64, block: &[u8]) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let some = left.min(block.len() as u64);
        stream
            .write_all(&block[..usize::try_from(some).unwrap_or(0)])
            .await?;
        left -= some;
    }
    Ok(())
}

async fn write_words(stream: &mut TcpStream, size: u64) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK);
    for first in (0..size).step_by(BLOCK) {
        block.clear();
        let count = (size - first).min(BLOCK as u64).div_ceil(8);
        (first / 8..first / 8 + count)
            .for_each(|word| block.extend_from_slice(&word.to_le_bytes()));
        block.truncate(usize::try_from(size - first).unwrap_or(BLOCK).min(BLOCK));
        stream.write_all(&block).await?;
    }
    Ok(())
}

async fn swallow(stream: &mut TcpStream, buffer: &mut BytesMut, size: u64) -> io::Result<()> {
    let mut left = size;
    loop {
        let here = left.min(buffer.len() as u64);
        buffer.advance(usize::try_from(here).unwrap_or(0));
        left -= here;
        if left == 0 {
            return Ok(());
        }
        // What follows the body stays where it is: no more is read than the body has.
        let most = left.min(BLOCK as u64);
        buffer.reserve(usize::try_from(most).unwrap_or(0));
        if (&mut *stream).take(most).read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn swallow_chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<u64> {
    let mut taken = 0;
    loop {
        match httparse::parse_chunk_size(buffer).map_err(|_| io::ErrorKind::InvalidData)? {
            httparse::Status::Complete((line, size)) => {
                buffer.advance(line);
                // The chunk and the end of its line; the last chunk has that line alone.
                swallow(stream, buffer, size + 2).await?;
                taken += size;
                if size == 0 {
                    return Ok(taken);
                }
            }
            httparse::Status::Partial => {
                buffer.reserve(READ);
                if stream.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Sends back what comes, frame by frame (RFC 6455 section 5).
async fn echo(mut stream: TcpStream, mut buffer: BytesMut, accept: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut out = BytesMut::with_capacity(READ);
    loop {
        while let Some((taken, is_close)) = answer_frame(&buffer, &mut out) {
            buffer.advance(taken);
            if is_close {
                return stream.write_all(&out).await;
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        buffer.reserve(READ);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Puts the echo of the first frame of `bytes` into `out`, if the frame is whole. Says how long it was,
/// and whether it closes.
fn answer_frame(bytes: &[u8], out: &mut BytesMut) -> Option<(usize, bool)> {
    let (&first, rest) = bytes.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = match rest.get(..extended)? {
        [] => usize::from(second & 0x7f),
        bytes => bytes
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte)),
    };
    let masked = second & 0x80 != 0;
    let mask_at = 2 + extended;
    let body_at = mask_at + if masked { 4 } else { 0 };
    let end = body_at.checked_add(length)?;
    let body = bytes.get(body_at..end)?;
    let opcode = match first & 0x0f {
        PING => PONG,
        other => other,
    };
    out.extend_from_slice(&[first & 0xf0 | opcode, second & 0x7f]);
    out.extend_from_slice(&bytes[2..mask_at]);
    let start = out.len();
    out.extend_from_slice(body);
    if masked {
        let mask = &bytes[mask_at..body_at];
        for (at, byte) in out[start..].iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
    }
    Some((end, opcode == CLOSE))
}

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What proves that a server understood a WebSocket's handshake (RFC 6455 section 4.2.2).
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

async fn events(mut stream: TcpStream) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut ticks = tokio::time::interval(EVENT);
    for number in 0_u64.. {
        ticks.tick().await;
        stream
            .write_all(format!("id: {number}\ndata: tick\n\n").as_bytes())
            .await?;
    }
    Ok(())
}

/// Room for what is read at once.
const READ: usize = 16 << 10;
/// What large bodies are made of.
const BLOCK: usize = 256 << 10;
const EVENT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_standard() {
        let accept = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_masked_frame_is_echoed_without_its_mask() {
        // "Hello" as a client sends it (RFC 6455 section 5.7).
        let frame = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        for cut in 0..frame.len() {
            let mut out = BytesMut::new();
            assert!(answer_frame(&frame[..cut], &mut out).is_none());
        }
        let mut out = BytesMut::new();
        assert_eq!(answer_frame(&frame, &mut out), Some((frame.len(), false)));
        assert_eq!(&out[..], b"\x81\x05Hello");
    }
}
