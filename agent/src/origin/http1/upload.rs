//! A request on its way to the origin: its head, then its body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use adit_shared::chunks::Chunks;
use adit_shared::hop;
use adit_shared::http1::chunked;
use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HOST};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

/// What is left to send of a request.
#[derive(Debug)]
pub(super) struct Upload<B> {
    /// The rest of the body, until all of it waits to be written.
    body: Option<B>,
    /// Bytes of it that the head declares and that have not come; none for a body in chunks.
    left: Option<u64>,
    /// Bytes of the request that were written.
    pub(super) written: u64,
}

/// Why a request could not be sent whole.
#[derive(Debug)]
pub(super) enum UploadError {
    /// Its body ended too early, or is not as long as its head says.
    Body,
    /// The origin takes no more.
    Write(io::Error),
}

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    /// A request whose head was written to where it leaves from. `declared` is the length of the body,
    /// none if that comes in chunks.
    pub(super) fn new(body: Option<B>, declared: Option<u64>) -> Self {
        Self {
            body,
            left: declared,
            written: 0,
        }
    }

    /// Sends as much as can be sent now; ready when all was sent.
    ///
    /// # Errors
    ///
    /// [`UploadError`].
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut to: &mut (impl AsyncWrite + Unpin + ?Sized),
        out: &mut Chunks,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            self.gather(cx, out)?;
            if out.is_empty() {
                // TLS keeps what the socket did not take.
                ready!(Pin::new(&mut to).poll_flush(cx)).map_err(UploadError::Write)?;
                return match self.body {
                    Some(_) => Poll::Pending,
                    None => Poll::Ready(Ok(())),
                };
            }
            while out.has_remaining() {
                match ready!(out.poll_write(cx, to)) {
                    Ok(0) => return Poll::Ready(Err(write_error(io::ErrorKind::WriteZero.into()))),
                    Ok(count) => self.written += count as u64,
                    Err(error) => return Poll::Ready(Err(write_error(error))),
                }
            }
        }
    }

    /// Takes what is ready of the body, so that one write takes many pieces of it.
    fn gather(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Result<(), UploadError> {
        while let Some(body) = &mut self.body
            && !out.is_full()
        {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => self.push(frame, out)?,
                Poll::Ready(Some(Err(_))) => return Err(UploadError::Body),
                Poll::Ready(None) => self.end(&HeaderMap::new(), out)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame<Bytes>, out: &mut Chunks) -> Result<(), UploadError> {
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => {
                let mut fields = frame.into_trailers().unwrap_or_default();
                hop::strip_fixed(&mut fields);
                // Behind the body it is too late to say whose it is or how long it was.
                fields.remove(HOST);
                fields.remove(CONTENT_LENGTH);
                return self.end(&fields, out);
            }
        };
        match &mut self.left {
            Some(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or(UploadError::Body)?;
                out.push(data);
            }
            None => chunked::put(data, out),
        }
        Ok(())
    }

    fn end(&mut self, fields: &HeaderMap, out: &mut Chunks) -> Result<(), UploadError> {
        self.body = None;
        match self.left {
            Some(0) => Ok(()),
            Some(_) => Err(UploadError::Body),
            None => {
                chunked::put_last(fields, out.small());
                Ok(())
            }
        }
    }
}

fn write_error(error: io::Error) -> UploadError {
    UploadError::Write(error)
}
