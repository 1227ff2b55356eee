//! HTTP/3 as RFC 9114, RFC 9204 and RFC 9220 have it, frame by frame.
//!
//! A row opens streams and says what must come of it. What is malformed asks for `/outer` or says `smuggled`,
//! and no origin may hear of that as a whole request.

mod client;
mod fields;
mod frames;
mod heads;
mod qpack;
mod streams;
mod wire;

use adit_tests::World;

use self::client::Client;
use self::wire::numbers;
use crate::recorder::{Heard, Recorder, Request};
use crate::requests::proper;
use crate::verdicts::Verdicts;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    source: &'static str,
    /// Whether a control stream that is as it should be is opened first.
    introduced: bool,
    /// What is opened then, one after the other. Of the last request it is seen what comes.
    streams: Vec<Stream>,
    expected: Expected,
}

/// A stream that a visitor opens.
#[derive(Debug)]
pub(super) struct Stream {
    is_request: bool,
    bytes: Vec<u8>,
    end: End,
}

/// What becomes of a stream when its bytes were sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// It stays open.
    Open,
    /// It ends.
    Whole,
    /// It is reset.
    Reset,
}

/// What must come of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// The connection is closed with this code.
    Closed(u64),
    /// The stream is reset with this code, and the connection goes on.
    Reset(u64),
    /// The message is malformed: the stream is reset as such, or refused with 400 before (RFC 9114 section
    /// 4.1.2), and the connection goes on.
    Malformed,
    /// An answer of the relay with this status and code; the connection goes on.
    Answer(u16, &'static str),
    /// The connection goes on.
    Fine,
    /// The same, and the origin heard this request: method, target and body.
    Heard(&'static str, &'static str, &'static str),
    /// The origin heard `GET /outer`, with this field and this value once.
    Field(&'static str, &'static str),
    /// The same, and this field is gone.
    Without(&'static str),
}

/// A request, sent to its end.
fn whole(bytes: Vec<u8>) -> Stream {
    Stream {
        is_request: true,
        bytes,
        end: End::Whole,
    }
}

/// A request whose stream stays open.
fn open(bytes: Vec<u8>) -> Stream {
    Stream {
        is_request: true,
        bytes,
        end: End::Open,
    }
}

/// A stream in one direction of this type.
fn one_way(kind: u64, bytes: &[u8], end: End) -> Stream {
    Stream {
        is_request: false,
        bytes: [&numbers(&[kind]), bytes].concat(),
        end,
    }
}

/// A row with one request, sent to its end.
fn row(name: &'static str, source: &'static str, sent: Vec<u8>, expected: Expected) -> Row {
    with(name, source, vec![whole(sent)], expected)
}

/// A row with several streams behind a control stream.
fn with(name: &'static str, source: &'static str, streams: Vec<Stream>, expected: Expected) -> Row {
    Row {
        name,
        source,
        introduced: true,
        streams,
        expected,
    }
}

/// A row whose streams are all that there is.
fn bare(name: &'static str, source: &'static str, streams: Vec<Stream>, expected: Expected) -> Row {
    Row {
        introduced: false,
        ..with(name, source, streams, expected)
    }
}

#[tokio::test]
async fn each_rule_is_kept_over_http3() {
    let world = World::start().await;
    let recorder = Recorder::start().await;
    let _agent = world.agent("app", recorder.origin.address).await;
    let mut verdicts = Verdicts::default();
    let rows = [streams::rows(), frames::rows(), qpack::rows()];
    for row in rows
        .into_iter()
        .flatten()
        .chain(heads::rows())
        .chain(fields::rows())
    {
        let mut client = Client::dial(&world).await;
        let mut result = client.run(&row).await;
        drop(client);
        let next = world.get("app", "/next").await.status;
        let heard = recorder.take();
        if next != 200 {
            result = Err(format!("the next request got {next}; {result:?}"));
        }
        let result = result.and_then(|()| check(&row.expected, &heard));
        verdicts.note(row.name, row.source, result);
    }
    verdicts.settle();
}

fn check(expected: &Expected, heard: &[Heard]) -> Result<(), String> {
    let mut whole: Vec<&Request> = Vec::new();
    for one in heard {
        let Heard::Whole(request) = one else {
            proper(one, "https")?;
            continue;
        };
        let is_next = request.target == "/next";
        proper(one, if is_next { "http" } else { "https" })?;
        if !is_next && request.target != "/fine" {
            whole.push(request);
        }
    }
    let outer = match *expected {
        Expected::Heard(method, target, body) => (method, target, body),
        Expected::Field(..) | Expected::Without(_) => ("GET", "/outer", ""),
        _ => {
            return match whole.iter().find(|one| one.target != "/one") {
                Some(request) => Err(format!("the origin heard: {request:?}")),
                None => Ok(()),
            };
        }
    };
    let &[request] = &whole[..] else {
        return Err(format!("the origin heard: {whole:?}"));
    };
    let seen = (
        request.method.as_str(),
        request.target.as_str(),
        request.body.as_str(),
    );
    let is_right = match *expected {
        Expected::Field(name, value) => request.all(name) == [value],
        Expected::Without(name) => request.all(name).is_empty(),
        _ => true,
    };
    if seen == outer && is_right {
        Ok(())
    } else {
        Err(format!("the origin heard: {request:?}"))
    }
}
