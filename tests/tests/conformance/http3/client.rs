//! A visitor that opens streams with any bytes and reads what comes back.

use std::fmt::{self, Display};
use std::time::Duration;

use adit_relay::edge::http3::frame::{Frames, On, Piece};
use adit_relay::edge::http3::qpack::{self, Limit};
use adit_tests::World;
use adit_tests::http3::Quic;
use quinn::{ConnectionError, ReadError, ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::wire::{CONTROL, MESSAGE, get, numbers, settings};
use super::{End, Expected, Row};

/// A connection.
pub(super) struct Client {
    quic: Quic,
    /// What must not be dropped before the end, or it would say something.
    kept: Vec<(SendStream, Option<RecvStream>)>,
}

/// What came of a request.
enum Came {
    /// A response: its status and the relay's code.
    Answer(u16, String),
    /// The stream was reset.
    Reset(u64),
    /// Something else, or nothing.
    Else(String),
}

impl Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status, code) => write!(f, "answered {status} {code}"),
            Self::Reset(code) => write!(f, "reset with {code:#x}"),
            Self::Else(what) => write!(f, "came: {what}"),
        }
    }
}

impl Client {
    pub(super) async fn dial(world: &World) -> Self {
        let quic = world
            .quic_as_visitor("app.localhost", Default::default())
            .await;
        Self {
            quic,
            kept: Vec::new(),
        }
    }

    /// Opens the streams of a row, and sees whether what is expected comes.
    pub(super) async fn run(&mut self, row: &Row) -> Result<(), String> {
        if row.introduced {
            let hello = [numbers(&[CONTROL]), settings(&[])].concat();
            let send = self.quic.open_one_way(&hello).await;
            self.kept.push((send, None));
        }
        let mut request = None;
        for stream in &row.streams {
            let (mut send, recv) = if stream.is_request {
                let (send, recv) = self.quic.open(&stream.bytes, false).await;
                (send, Some(recv))
            } else {
                (self.quic.open_one_way(&stream.bytes).await, None)
            };
            if !stream.is_request && matches!(stream.end, End::Reset) {
                // What is reset before it was read may never arrive.
                let (own, answer) = self.quic.open(&get("/fine"), true).await;
                self.kept.push((own, None));
                came(answer).await;
            }
            match stream.end {
                End::Open => {}
                End::Whole => drop(send.finish()),
                End::Reset => drop(send.reset(VarInt::from_u32(0x10c))),
            }
            let Some(recv) = recv else {
                self.kept.push((send, None));
                continue;
            };
            if let Some((send, recv)) = request.replace((send, recv)) {
                self.kept.push((send, Some(recv)));
            }
        }
        if let Expected::Closed(code) = row.expected {
            return match timeout(PATIENCE, self.quic.connection.closed()).await {
                Ok(ConnectionError::ApplicationClosed(close))
                    if close.error_code.into_inner() == code =>
                {
                    Ok(())
                }
                Ok(other) => Err(format!("came: {other}")),
                Err(_) => Err("the connection goes on".to_owned()),
            };
        }
        if let Some((send, recv)) = request {
            let came = came(recv).await;
            self.kept.push((send, None));
            let is_it = match (&row.expected, &came) {
                (Expected::Reset(code), Came::Reset(said)) => said == code,
                (Expected::Malformed, Came::Reset(said)) => *said == MESSAGE,
                (Expected::Malformed, Came::Answer(status, _)) => *status == 400,
                (Expected::Answer(status, code), Came::Answer(said, says)) => {
                    status == said && code == says
                }
                (
                    Expected::Heard(..)
                    | Expected::Field(..)
                    | Expected::Without(_)
                    | Expected::Fine,
                    Came::Answer(200, _),
                ) => true,
                _ => false,
            };
            if !is_it {
                return Err(came.to_string());
            }
        }
        let (send, recv) = self.quic.open(&get("/fine"), true).await;
        self.kept.push((send, None));
        match came(recv).await {
            Came::Answer(200, _) => Ok(()),
            other => Err(format!("the connection does not go on: {other}")),
        }
    }
}

/// Reads a response to its end.
async fn came(mut recv: RecvStream) -> Came {
    let bytes = match timeout(PATIENCE, recv.read_to_end(1 << 20)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(ReadToEndError::Read(ReadError::Reset(code)))) => {
            return Came::Reset(code.into_inner());
        }
        Ok(Err(other)) => return Came::Else(other.to_string()),
        Err(_) => return Came::Else("nothing".to_owned()),
    };
    let mut frames = Frames::new(On::Request, 1 << 20);
    frames.push(bytes.into());
    let Ok(Some(Piece::Headers(block))) = frames.take() else {
        return Came::Else("no HEADERS".to_owned());
    };
    let limit = Limit {
        bytes: 1 << 20,
        fields: 100,
    };
    let section = qpack::decode(&block, limit).unwrap();
    let value = |wanted: &str| {
        let mut all = section
            .iter()
            .filter(|(name, _)| *name == wanted.as_bytes());
        all.next()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let status = value(":status").and_then(|status| status.parse().ok());
    Came::Answer(
        status.unwrap_or_default(),
        value("adit-error").unwrap_or_default(),
    )
}

/// How long an answer may take: only a row that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
