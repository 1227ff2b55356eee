//! A visitor that sends frames as they are and reads what comes back.

use std::time::Duration;

use adit_shared::quic::tls::{self, Trust, read_certificates};
use adit_tests::{World, soon};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Expected;
use super::wire::{
    ACK, END_STREAM, GOAWAY, HEADERS, PREFACE, PROTOCOL, RST_STREAM, SETTINGS, frame, get,
};

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection whose preface and settings were sent.
pub(super) struct Client {
    io: Box<dyn Io>,
}

/// A frame that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?;
        code.try_into().ok().map(u32::from_be_bytes)
    }

    /// Whether it is the head of a 200 (`:status: 200` of RFC 7541's static table).
    fn is_ok(&self) -> bool {
        // An update of the table's size may come first.
        let mut bytes = self.payload.iter().skip_while(|byte| **byte & 0xe0 == 0x20);
        bytes.next() == Some(&0x88)
    }
}

impl Client {
    pub(super) async fn plain(world: &World) -> Self {
        Self::on(Box::new(world.dial().await)).await
    }

    pub(super) async fn tls(world: &World) -> Self {
        let trust = Trust::Roots(read_certificates(&world.ca()).unwrap());
        let config = std::sync::Arc::new(tls::client(&trust, &[b"h2"]).unwrap());
        let stream = tokio::net::TcpStream::connect(world.https).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = "app.localhost".try_into().unwrap();
        let connect = tokio_rustls::TlsConnector::from(config).connect(name, stream);
        Self::on(Box::new(soon("TLS", connect).await.unwrap())).await
    }

    async fn on(mut io: Box<dyn Io>) -> Self {
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        io.write_all(&hello).await.unwrap();
        Self { io }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The relay may have heard enough.
        drop(self.io.write_all(bytes).await);
        drop(self.io.flush().await);
    }

    /// Sends the pieces of a row, and sees whether what is expected comes.
    pub(super) async fn run(
        &mut self,
        pieces: &[Vec<u8>],
        expected: &Expected,
    ) -> Result<(), String> {
        let (last, first) = pieces.split_last().unwrap();
        for piece in first {
            self.send(piece).await;
            self.until(|frame| frame.flags & END_STREAM != 0 && frame.kind <= HEADERS)
                .await?;
        }
        self.send(last).await;
        match expected {
            Expected::Fine | Expected::Heard(..) => {
                self.send(&get(FINE, "/fine")).await;
                let came = self
                    .until(|frame| frame.stream == FINE || frame.kind == GOAWAY)
                    .await?;
                let ok = came.kind == HEADERS && came.is_ok();
                if ok {
                    Ok(())
                } else {
                    Err(format!("came: {came:?}"))
                }
            }
            Expected::Frame(kind, flags) => {
                let is_it = |frame: &Frame| frame.kind == *kind && frame.flags == *flags;
                self.until(is_it).await.map(drop)
            }
            Expected::Gone(codes) => match self.until(|frame| frame.kind == GOAWAY).await {
                Ok(frame) if is_one(&frame, codes) => Ok(()),
                Ok(frame) => Err(format!("came: {frame:?}")),
                Err(why) if why.starts_with(ENDED) => Ok(()),
                Err(why) => Err(why),
            },
            Expected::Reset(codes) => {
                let came = self.until(|frame| frame.error().is_some()).await;
                match came {
                    Ok(frame) if is_one(&frame, codes) => Ok(()),
                    Ok(frame) => Err(format!("came: {frame:?}")),
                    Err(why) => Err(why),
                }
            }
            Expected::Refused => {
                let came = self
                    .until(|frame| frame.error().is_some() || frame.kind == HEADERS)
                    .await?;
                if came.kind == HEADERS && came.is_ok() {
                    return Err(format!("came: {came:?}"));
                }
                Ok(())
            }
        }
    }

    /// The first frame that `is_it`.
    async fn until(&mut self, is_it: impl Fn(&Frame) -> bool) -> Result<Frame, String> {
        let mut others = String::new();
        let find = async {
            loop {
                let Some(frame) = self.next().await else {
                    return Err(());
                };
                if is_it(&frame) {
                    return Ok(frame);
                }
                if frame.kind != SETTINGS || frame.flags & ACK == 0 {
                    others.push_str(&format!("{frame:?} "));
                }
            }
        };
        match timeout(PATIENCE, find).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(())) => Err(format!("{ENDED} behind: {others}")),
            Err(_) => Err(format!("nothing came but: {others}")),
        }
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.io.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }
}

/// Whether a frame says one of these codes, or the generic one: the library under the relay often says that in
/// place of a more specific code, and the connection ends all the same (RFC 9113 section 5.4.1).
fn is_one(frame: &Frame, codes: &[u32]) -> bool {
    let said = frame.error().unwrap_or_default();
    codes.contains(&said) || frame.kind == GOAWAY && said == PROTOCOL
}

const ENDED: &str = "the connection ended";
/// A stream that no row uses.
const FINE: u32 = 999_999;
/// How long an answer may take: only a row that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
