//! WebSocket (RFC 6455), as much of it as an echo needs: whole messages out, masked; their echo in,
//! in as many fragments as the server likes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use super::Recipe;
use super::dial::{Dialer, Stream};
use super::http1::Head;
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::sizes::{Body, Dice};

/// One connection, opened anew when it is lost.
#[derive(Debug)]
pub(crate) struct WebSocket {
    dialer: Arc<Dialer>,
    recipe: Arc<Recipe>,
    stream: Option<Stream>,
    dice: Dice,
    input: Box<[u8]>,
    /// How much of it came and was not looked at.
    filled: usize,
    output: Vec<u8>,
    pong: Vec<u8>,
}

impl WebSocket {
    pub(crate) fn new(dialer: Arc<Dialer>, recipe: Arc<Recipe>) -> Self {
        Self {
            dialer,
            recipe,
            stream: None,
            dice: Dice::new(0x5ec),
            input: vec![0; INPUT].into(),
            filled: 0,
            output: Vec::new(),
            pong: Vec::new(),
        }
    }

    /// Opens the connection. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.stream = Some(self.open().await?);
        Ok(())
    }

    /// Sends a message and waits for its echo. Dropping it closes the connection.
    pub(crate) async fn exchange(&mut self, body: &Body, tally: &Tally) -> Result<Answer, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        self.output.clear();
        let mut echo = Echo {
            stream: &mut stream,
            input: &mut self.input,
            filled: &mut self.filled,
            output: &mut self.output,
            pong: &mut self.pong,
            written: 0,
            message: Masked::new(body, self.dice.roll()),
            body,
            frame: None,
            echoed: 0,
            differs: false,
        };
        poll_fn(|cx| echo.poll(cx, tally)).await?;
        if !self.recipe.close {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: 101,
            refusal: None,
        })
    }

    async fn open(&mut self) -> Result<Stream, Failure> {
        let mut stream = self.dialer.dial().await?;
        let (a, b) = (self.dice.roll(), self.dice.roll());
        let key = BASE64.encode((u128::from(a) << 64 | u128::from(b)).to_be_bytes());
        let mut head = self.recipe.head.clone();
        head.extend_from_slice(
            b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
        );
        head.extend_from_slice(format!("sec-websocket-key: {key}\r\n\r\n").as_bytes());
        stream.write_all(&head).await?;
        stream.flush().await?;
        self.filled = 0;
        loop {
            let came = stream.read(&mut self.input[self.filled..]).await?;
            self.filled += came;
            let parsed = Head::parse(&self.input[..self.filled])?;
            let (len, head) = match parsed {
                Some(parsed) => parsed,
                None if came == 0 => return Err(Failure::Reset),
                None if self.filled == self.input.len() => return Err(Failure::Protocol),
                None => continue,
            };
            if head.status == 101 {
                let expected = accept(&key);
                if head.accept.as_deref() != Some(expected.as_bytes()) {
                    return Err(Failure::Protocol);
                }
                self.input.copy_within(len..self.filled, 0);
                self.filled -= len;
                return Ok(stream);
            }
            let refused = Answer {
                status: head.status,
                refusal: head.refusal,
            };
            // A success is not what was asked for either.
            return Err(refused.verdict().err().unwrap_or(Failure::Protocol));
        }
    }
}

fn accept(key: &str) -> String {
    let proof = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()))
}

/// One message on its way, and its echo.
struct Echo<'a> {
    stream: &'a mut Stream,
    input: &'a mut [u8],
    filled: &'a mut usize,
    /// What is to be written now.
    output: &'a mut Vec<u8>,
    /// The answer to the last ping, which leaves behind the message.
    pong: &'a mut Vec<u8>,
    written: usize,
    message: Masked<'a>,
    body: &'a Body,
    /// The frame that is being read, from after its header.
    frame: Option<Frame>,
    echoed: u64,
    differs: bool,
}

impl Echo<'_> {
    /// Sends and receives at once: a server may echo a message whose end it has not read.
    fn poll(&mut self, cx: &mut Context<'_>, tally: &Tally) -> Poll<Result<(), Failure>> {
        loop {
            let sent = self.poll_send(cx, tally)?.is_ready();
            if self.take(tally)? {
                if !sent || self.differs || self.echoed != self.body.len() {
                    return Poll::Ready(Err(Failure::Body));
                }
                return Poll::Ready(Ok(()));
            }
            if sent && !self.pong.is_empty() {
                continue;
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Ready when all is sent for now.
    fn poll_send(&mut self, cx: &mut Context<'_>, tally: &Tally) -> Poll<Result<(), Failure>> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                let len = self.message.write(self.output);
                tally.sent(len);
                if self.output.is_empty() {
                    self.output.append(self.pong);
                }
                if self.output.is_empty() {
                    return Pin::new(&mut *self.stream)
                        .poll_flush(cx)
                        .map_err(Into::into);
                }
            }
            let bytes = &self.output[self.written..];
            self.written += ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut buf = ReadBuf::new(&mut self.input[*self.filled..]);
        let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buf));
        let came = buf.filled().len();
        match read {
            Ok(()) if came > 0 => {
                *self.filled += came;
                Poll::Ready(Ok(()))
            }
            Ok(()) => Poll::Ready(Err(Failure::Reset)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Err(Failure::Reset))
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// Looks at what came: whether the echo is over.
    fn take(&mut self, tally: &Tally) -> Result<bool, Failure> {
        let mut at = 0;
        let is_over = loop {
            let bytes = &self.input[at..*self.filled];
            let Some(frame) = &mut self.frame else {
                let Some((len, frame)) = Frame::parse(bytes, self.echoed > 0)? else {
                    break false;
                };
                at += len;
                self.frame = Some(frame);
                continue;
            };
            if frame.is_control() {
                // It is small, and waits until it is whole.
                let Some(payload) = bytes.get(..frame.left as usize) else {
                    break false;
                };
                match frame.opcode {
                    CLOSE => return Err(Failure::Reset),
                    PING => pong(payload, self.pong),
                    _ => {}
                }
                at += payload.len();
                self.frame = None;
                continue;
            }
            let len = frame.left.min(bytes.len() as u64);
            let data = &bytes[..len as usize];
            tally.received(data);
            self.differs |= !is_next(self.body, self.echoed, data);
            self.echoed += len;
            frame.left -= len;
            at += data.len();
            if frame.left > 0 {
                break false;
            }
            let is_last = frame.is_last;
            self.frame = None;
            if is_last {
                break true;
            }
        };
        self.input.copy_within(at..*self.filled, 0);
        *self.filled -= at;
        Ok(is_over)
    }
}

/// Whether `data` is what follows the first `at` bytes of `body`.
fn is_next(body: &Body, mut at: u64, mut data: &[u8]) -> bool {
    while !data.is_empty() {
        let piece = body.peek(at);
        let len = piece.len().min(data.len());
        if len == 0 || piece[..len] != data[..len] {
            return false;
        }
        at += len as u64;
        data = &data[len..];
    }
    true
}

/// A message as a client must send it: in one frame, each byte combined with one of four.
#[derive(Debug)]
struct Masked<'a> {
    body: &'a Body,
    mask: [u8; 4],
    at: u64,
    has_begun: bool,
}

impl<'a> Masked<'a> {
    fn new(body: &'a Body, chance: u64) -> Self {
        Self {
            body,
            mask: (chance as u32).to_be_bytes(),
            at: 0,
            has_begun: false,
        }
    }

    /// Appends what comes next, if anything, and says how much of the message that was.
    fn write(&mut self, to: &mut Vec<u8>) -> u64 {
        if !self.has_begun {
            self.has_begun = true;
            header(BINARY, self.body.len(), self.mask, to);
        }
        let before = self.at;
        while self.at < self.body.len() && self.at - before < PIECE {
            let piece = self.body.peek(self.at);
            let piece = &piece[..piece.len().min(PIECE as usize)];
            let turn = (self.at % 4) as usize;
            let mut mask = self.mask;
            mask.rotate_left(turn);
            // Four bytes at a time, which the compiler makes many.
            let from = to.len();
            to.extend_from_slice(piece);
            for bytes in to[from..].chunks_mut(4) {
                for (byte, mask) in bytes.iter_mut().zip(mask) {
                    *byte ^= mask;
                }
            }
            self.at += piece.len() as u64;
        }
        self.at - before
    }
}

fn pong(payload: &[u8], to: &mut Vec<u8>) {
    to.clear();
    // Any mask will do; this one leaves the payload as it is.
    header(PONG, payload.len() as u64, [0; 4], to);
    to.extend_from_slice(payload);
}

/// The header of a frame that is a whole message.
fn header(opcode: u8, len: u64, mask: [u8; 4], to: &mut Vec<u8>) {
    to.push(0x80 | opcode);
    match len {
        0..=125 => to.push(0x80 | len as u8),
        126..=0xffff => {
            to.push(0x80 | 126);
            to.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            to.push(0x80 | 127);
            to.extend_from_slice(&len.to_be_bytes());
        }
    }
    to.extend_from_slice(&mask);
}

/// A frame that a server sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Frame {
    opcode: u8,
    is_last: bool,
    left: u64,
}

impl Frame {
    /// Reads a header, and says how long it is; none while it is not whole.
    fn parse(bytes: &[u8], is_within: bool) -> Result<Option<(usize, Self)>, Failure> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (len, left) = match second {
            // A server does not mask.
            0x80.. => return Err(Failure::Protocol),
            126 => match rest.first_chunk() {
                Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(len) => (10, u64::from_be_bytes(*len)),
                None => return Ok(None),
            },
            len => (2, u64::from(*len)),
        };
        let frame = Self {
            opcode: first & 0x0f,
            is_last: first & 0x80 != 0,
            left,
        };
        let fits = match frame.opcode {
            CONTINUED => true,
            TEXT | BINARY => !is_within,
            CLOSE | PING | PONG => frame.is_last && len == 2,
            _ => false,
        };
        if !fits || first & 0x70 != 0 {
            return Err(Failure::Protocol);
        }
        Ok(Some((len, frame)))
    }

    fn is_control(self) -> bool {
        self.opcode >= CLOSE
    }
}

const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The part of a large message that is masked at once; a multiple of four.
const PIECE: u64 = 64 << 10;
/// Heads must fit; large messages come in pieces of this.
const INPUT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::{Bodies, Sizes};

    #[test]
    fn the_accept_of_the_rfc() {
        let accepted = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_masked_message_is_the_message() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 600_001] {
            let body = Bodies::noise(Sizes::Fixed(len)).draw(&mut Dice::new(5));
            let mut message = Masked::new(&body, 0x0102_0304);
            let mut frame = Vec::new();
            while message.write(&mut frame) > 0 {}
            let header = match len {
                0..126 => 6,
                126..65_536 => 8,
                _ => 14,
            };
            let mut payload = frame.split_off(header);
            assert_eq!(frame[header - 4..], [1, 2, 3, 4]);
            for (byte, mask) in payload.iter_mut().zip([1, 2, 3, 4].into_iter().cycle()) {
                *byte ^= mask;
            }
            assert_eq!(payload.len() as u64, len);
            assert!(is_next(&body, 0, &payload));
        }
    }

    #[test]
    fn frames_that_no_server_may_send_are_refused() {
        let parse = |bytes: &[u8]| Frame::parse(bytes, false);
        for bytes in [[0x82, 0x81], [0xc2, 1], [0x83, 1], [0x09, 0], [0x89, 126]] {
            let mut whole = bytes.to_vec();
            whole.extend([0; 8]);
            assert_eq!(parse(&whole), Err(Failure::Protocol), "{bytes:x?}");
        }
        let echo = Frame {
            opcode: BINARY,
            is_last: true,
            left: 300,
        };
        assert_eq!(parse(&[0x82, 126, 1, 44]), Ok(Some((4, echo))));
        assert_eq!(parse(&[0x82, 126, 1]), Ok(None));
        assert_eq!(Frame::parse(&[0x82, 0], true), Err(Failure::Protocol));
    }
}
