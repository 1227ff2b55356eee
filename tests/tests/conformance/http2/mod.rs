//! HTTP/2 as RFC 9113 and RFC 7541 have it, frame by frame, over TLS and without.
//!
//! A row sends frames and says what must come of it. What is malformed asks for `/outer` or says `smuggled`,
//! and no origin may hear of that as a whole request.

mod client;
mod fields;
mod frames;
mod headers;
mod wire;

use adit_tests::World;

use self::client::Client;
use crate::recorder::{Heard, Recorder};
use crate::requests::proper;
use crate::verdicts::Verdicts;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    source: &'static str,
    /// What is sent behind the preface and the settings; each piece when the streams of the one before it
    /// were answered.
    pieces: Vec<Vec<u8>>,
    expected: Expected,
}

/// What must come of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// A connection error of one of these codes, or just the end of the connection.
    Gone(&'static [u32]),
    /// An error of the stream of one of these codes, or the like of the connection.
    Reset(&'static [u32]),
    /// As `Reset`, or an answer that refuses it.
    Refused,
    /// This frame, by type and flags.
    Frame(u8, u8),
    /// A request on the same connection gets its answer.
    Fine,
    /// The same, and the origin heard this request before: method, target and body.
    Heard(&'static str, &'static str, &'static str),
}

fn row(name: &'static str, source: &'static str, sent: Vec<u8>, expected: Expected) -> Row {
    Row {
        name,
        source,
        pieces: vec![sent],
        expected,
    }
}

/// As [`row`], but what comes next is sent when what was asked for first was answered.
fn then(
    name: &'static str,
    source: &'static str,
    first: Vec<u8>,
    sent: Vec<u8>,
    expected: Expected,
) -> Row {
    Row {
        name,
        source,
        pieces: vec![first, sent],
        expected,
    }
}

#[tokio::test]
async fn each_rule_is_kept_without_tls() {
    all(false).await;
}

#[tokio::test]
async fn each_rule_is_kept_over_tls() {
    all(true).await;
}

async fn all(tls: bool) {
    let world = World::start().await;
    let recorder = Recorder::start().await;
    let _agent = world.agent("app", recorder.origin.address).await;
    let mut verdicts = Verdicts::default();
    for row in frames::rows()
        .into_iter()
        .chain(headers::rows())
        .chain(fields::rows())
    {
        let mut client = if tls {
            Client::tls(&world).await
        } else {
            Client::plain(&world).await
        };
        let mut result = client.run(&row.pieces, &row.expected).await;
        drop(client);
        let next = world.get("app", "/next").await.status;
        let heard = recorder.take();
        if next != 200 {
            result = Err(format!("the next request got {next}; {result:?}"));
        }
        let proto = if tls { "https" } else { "http" };
        let result = result.and_then(|()| check(&row.expected, &heard, proto));
        verdicts.note(row.name, row.source, result);
    }
    verdicts.settle();
}

fn check(expected: &Expected, heard: &[Heard], proto: &str) -> Result<(), String> {
    for one in heard {
        let by = if matches!(one, Heard::Whole(request) if request.target == "/next") {
            "http"
        } else {
            proto
        };
        proper(one, by)?;
    }
    let whole: Vec<_> = heard
        .iter()
        .filter_map(|one| match one {
            Heard::Whole(request) => Some((
                request.method.as_str(),
                request.target.as_str(),
                request.body.as_str(),
            )),
            Heard::Torn(_) | Heard::Odd(..) => None,
        })
        .collect();
    match expected {
        Expected::Heard(method, target, body) => {
            let same = |one: &&(&str, &str, &str)| **one == (*method, *target, *body);
            if whole.iter().filter(same).count() != 1 {
                return Err(format!("the origin heard: {whole:?}"));
            }
        }
        _ if whole.iter().any(|(_, target, _)| *target == "/outer") => {
            return Err(format!("the origin heard: {whole:?}"));
        }
        _ => {}
    }
    Ok(())
}
