//! HTTP/1.1, as lean as it gets: one write for a small request, one read for a small answer, and no
//! allocation for either.

use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::Recipe;
use super::dial::{Dialer, Stream};
use super::head::{Head, Rest};
use crate::failure::{Answer, Failure};
use crate::load::tally::Tally;
use crate::sizes::Body;

/// One connection, opened anew when it is lost.
#[derive(Debug)]
pub(crate) struct Http1 {
    dialer: Arc<Dialer>,
    recipe: Arc<Recipe>,
    stream: Option<Stream>,
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Http1 {
    pub(crate) fn new(dialer: Arc<Dialer>, recipe: Arc<Recipe>) -> Self {
        Self {
            dialer,
            recipe,
            stream: None,
            input: vec![0; INPUT].into(),
            output: Vec::new(),
        }
    }

    /// Opens the connection. Safe to drop.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.stream = Some(self.dialer.dial().await?);
        Ok(())
    }

    /// Sends a request and takes its answer. Dropping it closes the connection.
    pub(crate) async fn exchange(&mut self, body: &Body, tally: &Tally) -> Result<Answer, Failure> {
        let mut stream = match alive(self.stream.take()).await {
            Some(stream) => stream,
            None => self.dialer.dial().await?,
        };
        let inlined = self.write_head(body);
        let mut exchange = Exchange {
            stream: &mut stream,
            input: &mut self.input,
            filled: 0,
            output: &self.output,
            written: 0,
            body,
            // What was copied behind the head goes with it.
            body_at: if inlined { body.len() } else { 0 },
            sending: true,
            broken: false,
            is_head: self.recipe.method == Method::HEAD,
            head: None,
            rest: Rest::None,
        };
        let (head, keep) = poll_fn(|cx| exchange.poll(cx, tally)).await?;
        if keep && !self.recipe.close {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: head.status,
            refusal: head.refusal,
        })
    }

    /// Makes the request's head, with the body behind it if that is small.
    fn write_head(&mut self, body: &Body) -> bool {
        self.output.clear();
        self.output.extend_from_slice(&self.recipe.head);
        if !body.is_empty() || self.recipe.has_body {
            // Writing to memory does not fail.
            drop(write!(self.output, "content-length: {}\r\n", body.len()));
        }
        self.output.extend_from_slice(b"\r\n");
        let is_small = body.len() <= SMALL;
        if is_small {
            let mut at = 0;
            while at < body.len() {
                let piece = body.peek(at);
                self.output.extend_from_slice(piece);
                at += piece.len() as u64;
            }
        }
        is_small
    }
}

/// A connection that was not used for a while, if it is still open. To look costs no system call
/// while nothing came.
async fn alive(stream: Option<Stream>) -> Option<Stream> {
    let mut stream = stream?;
    let is_idle = poll_fn(|cx| {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut stream).poll_read(cx, &mut buf);
        Poll::Ready(read.is_pending())
    })
    .await;
    is_idle.then_some(stream)
}

/// One request on its way, and its answer.
struct Exchange<'a> {
    stream: &'a mut Stream,
    input: &'a mut [u8],
    filled: usize,
    output: &'a [u8],
    written: usize,
    body: &'a Body,
    body_at: u64,
    sending: bool,
    broken: bool,
    is_head: bool,
    head: Option<Head>,
    rest: Rest,
}

impl Exchange<'_> {
    /// Sends and receives at once: a server may answer, or echo, while it still reads.
    fn poll(&mut self, cx: &mut Context<'_>, tally: &Tally) -> Poll<Result<(Head, bool), Failure>> {
        if self.sending && self.poll_send(cx, tally).is_ready() {
            self.sending = false;
        }
        ready!(self.poll_take(cx, tally))?;
        let Some(head) = self.head.take() else {
            return Poll::Ready(Err(Failure::Protocol));
        };
        // What is left of an upload would be taken for the next request.
        let keep = head.keep && !self.sending && !self.broken;
        Poll::Ready(Ok((head, keep)))
    }

    /// Ready when there is no more to send, or no way to send it: then the answer says why.
    fn poll_send(&mut self, cx: &mut Context<'_>, tally: &Tally) -> Poll<()> {
        loop {
            let body = self.body.peek(self.body_at);
            let head = &self.output[self.written..];
            if head.is_empty() && body.is_empty() {
                return Pin::new(&mut *self.stream).poll_flush(cx).map(drop);
            }
            let stream = Pin::new(&mut *self.stream);
            let wrote = if head.is_empty() {
                stream.poll_write(cx, body)
            } else if body.is_empty() {
                stream.poll_write(cx, head)
            } else {
                stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)])
            };
            let Ok(wrote) = ready!(wrote) else {
                self.written = self.output.len();
                self.body_at = self.body.len();
                self.broken = true;
                return Poll::Ready(());
            };
            let of_head = wrote.min(head.len());
            self.written += of_head;
            let of_body = (wrote - of_head) as u64;
            self.body_at += of_body;
            tally.sent(of_body);
            if self.written == self.output.len() && of_head > 0 && self.body.len() <= SMALL {
                tally.sent(self.body.len());
            }
        }
    }

    /// Ready at the end of the answer.
    fn poll_take(&mut self, cx: &mut Context<'_>, tally: &Tally) -> Poll<Result<(), Failure>> {
        loop {
            let mut buf = ReadBuf::new(&mut self.input[self.filled..]);
            let read = ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buf));
            let came = buf.filled().len();
            match read {
                Ok(()) if came > 0 => self.filled += came,
                Ok(()) => return Poll::Ready(self.end(true)),
                // TLS that ends without saying so: it may have been cut.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(self.end(false));
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            let mut at = 0;
            if self.head.is_none() {
                match self.take_heads()? {
                    Some(len) => at = len,
                    None => continue,
                }
            }
            let bytes = &self.input[at..self.filled];
            let (used, ended) = self.rest.take(bytes, tally)?;
            if ended {
                if let Some(head) = &mut self.head {
                    head.keep &= used == bytes.len();
                }
                return Poll::Ready(Ok(()));
            }
            self.filled = 0;
        }
    }

    /// Reads heads up to the one that is the answer, and says where that ends.
    fn take_heads(&mut self) -> Result<Option<usize>, Failure> {
        let mut at = 0;
        while let Some((len, head)) = Head::parse(&self.input[at..self.filled])? {
            at += len;
            match head.status {
                101 => return Err(Failure::Protocol),
                100..200 => {}
                _ => {
                    self.rest = head.rest(self.is_head);
                    self.head = Some(head);
                    return Ok(Some(at));
                }
            }
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        if self.filled == self.input.len() {
            return Err(Failure::Protocol);
        }
        Ok(None)
    }

    /// The connection ended: whether that is the end of the answer.
    fn end(&mut self, clean: bool) -> Result<(), Failure> {
        match (&mut self.head, self.rest) {
            (None, _) => Err(Failure::Reset),
            (Some(head), Rest::UntilClose) if clean => {
                head.keep = false;
                Ok(())
            }
            _ => Err(Failure::Body),
        }
    }
}

/// Bodies up to here are copied behind their head, to leave in one write.
const SMALL: u64 = 16 << 10;
/// Heads must fit; large bodies come in pieces of this.
const INPUT: usize = 64 << 10;
