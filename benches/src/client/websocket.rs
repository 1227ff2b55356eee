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
use super::frame::{CLOSE, Frame, Masked, PING, pong};
use super::head::Head;
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

/// Heads must fit; large messages come in pieces of this.
const INPUT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc() {
        let accepted = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
