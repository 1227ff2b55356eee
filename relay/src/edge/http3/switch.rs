//! Raw bytes after an extended CONNECT: what DATA frames carry (RFC 9220).

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use adit_shared::chunks::Chunks;
use adit_shared::pump::{Sink, Source};
use adit_shared::stream::SendHalf;
use bytes::Bytes;

use super::code::{Code, Violation};
use super::frame::{self, Piece};
use super::inflow::{Fault, Inflow};
use super::link::{Link, Uploading};

/// From the visitor.
#[derive(Debug)]
pub(super) struct FromVisitor {
    inflow: Inflow,
    link: Arc<Link>,
    _uploading: Option<Uploading>,
}

impl FromVisitor {
    pub(super) fn new(inflow: Inflow, link: &Arc<Link>) -> Self {
        Self {
            inflow,
            _uploading: link.uploading(None),
            link: link.clone(),
        }
    }
}

impl Source for FromVisitor {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: &mut Vec<Bytes>) -> Poll<io::Result<()>> {
        let violation = match ready!(self.inflow.poll_piece(cx)) {
            Ok(Some(Piece::Data(data))) => {
                to.push(data);
                return Poll::Ready(Ok(()));
            }
            Ok(None) => return Poll::Ready(Ok(())),
            // RFC 9114 section 4.4.
            Ok(Some(_)) => Violation::new(
                Code::FrameUnexpected,
                "a frame other than DATA follows a CONNECT",
            ),
            Err(Fault::Violation(violation)) => violation,
            Err(Fault::Left(error)) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, error)));
            }
        };
        self.link.close(&violation);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation)))
    }
}

/// To the visitor. Dropped before its end, it says that the stream was cut.
#[derive(Debug)]
pub(super) struct ToVisitor {
    send: SendHalf,
    out: Chunks,
}

impl ToVisitor {
    pub(super) fn new(send: SendHalf) -> Self {
        Self {
            send,
            out: Chunks::default(),
        }
    }
}

impl Sink for ToVisitor {
    async fn write(&mut self, chunks: &mut [Bytes]) -> io::Result<()> {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        frame::put_data(len, self.out.small());
        self.out.extend(chunks.iter_mut().map(std::mem::take));
        let written = self.send.write(self.out.as_slices()).await;
        self.out.clear();
        written.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))
    }

    async fn end(&mut self) -> io::Result<()> {
        self.send.finish();
        Ok(())
    }
}

impl Drop for ToVisitor {
    fn drop(&mut self) {
        self.send.reset_as(Code::RequestCancelled.number());
    }
}
