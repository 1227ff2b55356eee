//! A connection to the origin that speaks HTTP/1.1, one request at a time.

use std::io;
use std::task::{Context, Poll, Waker};

use adit_shared::chunks::Chunks;
use adit_shared::intake::Intake;
use adit_shared::wire::fields::FieldsMut;
use tokio::io::{ReadHalf, WriteHalf};

use super::super::dial::Io;

/// A connection that a request can be sent on.
#[derive(Debug)]
pub struct Connection {
    pub(super) io: Box<dyn Io>,
    pub(super) intake: Intake,
    pub(super) out: Chunks,
    /// Where the fields of responses are put together.
    pub(super) fields: FieldsMut,
    /// Whether a request was sent on it before: then the origin may close it at any moment.
    pub(super) used: bool,
}

impl Connection {
    /// A connection on which nothing was said. Boxed, since it is moved about for each request.
    pub fn new(io: Box<dyn Io>) -> Box<Self> {
        Box::new(Self {
            io,
            intake: Intake::default(),
            out: Chunks::default(),
            fields: FieldsMut::with_capacity(FIELDS),
            used: false,
        })
    }

    /// Whether it still waits for a request: the origin has not closed it, nor said anything unasked.
    pub fn is_idle(&mut self) -> bool {
        // Nobody is to be woken: this only looks.
        let mut cx = Context::from_waker(Waker::noop());
        self.intake.poll_fill(&mut cx, &mut self.io).is_pending()
    }
}

/// Room for the fields of a few usual responses, in bytes.
const FIELDS: usize = 1 << 10;

/// Where a response is read from.
#[derive(Debug)]
pub(super) enum Source {
    /// A connection whose request was sent.
    Whole(Box<Connection>),
    /// One whose request is still being sent, beside the response.
    Half(ReadHalf<Box<dyn Io>>, Intake),
}

impl Source {
    /// Takes a connection apart, so that the rest of the request can be sent beside the response.
    pub(super) fn split(connection: Connection) -> (Self, WriteHalf<Box<dyn Io>>, Chunks) {
        let Connection {
            io, intake, out, ..
        } = connection;
        let (read, write) = tokio::io::split(io);
        (Self::Half(read, intake), write, out)
    }

    pub(super) fn intake(&mut self) -> &mut Intake {
        match self {
            Self::Whole(connection) => &mut connection.intake,
            Self::Half(_, intake) => intake,
        }
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Whole(connection) => connection.intake.poll_fill(cx, &mut connection.io),
            Self::Half(read, intake) => intake.poll_fill(cx, read),
        }
    }
}
