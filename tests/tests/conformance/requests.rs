//! Requests of the corpus, and what exactly an origin sees of them.

use adit_tests::World;
use adit_tests::corpus::{self, Expected, Row, SMUGGLED, filled};

use crate::recorder::{Heard, Recorder, Request};
use crate::verdicts::Verdicts;

/// Never two views of one request: the origin gets what the row says, on connections that the next request
/// uses too.
#[tokio::test]
async fn each_request_of_the_corpus_is_one_request_or_none() {
    let world = World::start().await;
    let recorder = Recorder::start().await;
    let _agent = world.agent("app", recorder.origin.address).await;
    let mut verdicts = Verdicts::default();
    for row in corpus::rows() {
        let seen = world.raw(&row.bytes()).await;
        let seen = String::from_utf8_lossy(&seen);
        // Whatever is under way to the origin has come when the next request has, which may be sent on the
        // same connection.
        let next = world.get("app", "/next").await.status;
        let heard = recorder.take();
        let result = if next == 200 {
            check(row, &seen, heard)
        } else {
            Err(format!("the next request got {next}: {heard:?}"))
        };
        verdicts.note(row.name, row.source, result);
    }
    verdicts.settle();
}

fn check(row: &Row, seen: &str, mut heard: Vec<Heard>) -> Result<(), String> {
    let statuses: Vec<_> = seen.lines().filter_map(status).collect();
    let Some(Heard::Whole(next)) = heard.pop() else {
        return Err(format!("the next request is not the last: {heard:?}"));
    };
    if next.target != "/next" {
        return Err(format!("not the next request: {next:?}"));
    }
    for one in &heard {
        proper(one, "http")?;
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
    match row.expected {
        Expected::Refused(status, code) => {
            let says = format!("adit-error: {code}\r\n");
            if statuses != [status] || !seen.contains(&says) {
                return Err(format!("not refused: {seen}"));
            }
            if heard.is_empty() {
                Ok(())
            } else {
                Err(format!("heard: {heard:?}"))
            }
        }
        Expected::Broken => {
            if statuses.len() > 1 || statuses.iter().any(|status| *status < 400) {
                return Err(format!("the visitor is told: {seen}"));
            }
            if whole.is_empty() && heard.len() < 2 {
                Ok(())
            } else {
                Err(format!("heard: {heard:?}"))
            }
        }
        Expected::Seen(requests) | Expected::Alone(requests) => {
            let mut expected: Vec<_> = requests
                .iter()
                .map(|(method, target, body)| (*method, *target, filled(body)))
                .collect();
            if matches!(row.expected, Expected::Seen(_)) {
                expected.push(("GET", "/last", String::new()));
            }
            let same = whole
                .iter()
                .map(|(method, target, body)| (*method, *target, (*body).to_owned()));
            if !same.eq(expected.iter().cloned()) || heard.len() != whole.len() {
                return Err(format!("heard: {heard:?}; said: {seen}"));
            }
            let finals = statuses.iter().filter(|status| **status >= 200);
            if finals.clone().any(|status| *status != 200) || finals.count() != expected.len() {
                return Err(format!("the visitor is told: {seen}"));
            }
            Ok(())
        }
    }
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// What holds of all that an origin hears, whatever was sent.
pub(crate) fn proper(heard: &Heard, proto: &str) -> Result<(), String> {
    let hidden = |text: &str| text.to_ascii_lowercase().contains("smuggled");
    match heard {
        Heard::Odd(why, text) => Err(format!("the origin got {why}: {text}")),
        Heard::Torn(text) => {
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
            if hidden(head) || hidden(&body.replace(SMUGGLED, "")) {
                return Err(format!("the origin got: {text}"));
            }
            Ok(())
        }
        Heard::Whole(request) => {
            if hidden(&request.around) {
                return Err(format!("the origin got: {}", request.around));
            }
            introduced(request, proto)
        }
    }
}

/// The relay's own word, and that alone, says whom the request is for and whom it comes from.
fn introduced(request: &Request, proto: &str) -> Result<(), String> {
    let host = request.all("host").concat();
    let lower = host.to_ascii_lowercase();
    let (bare, _port) = lower.split_once(':').unwrap_or((&lower, ""));
    if bare.trim_end_matches('.') != "app.localhost" {
        return Err(format!("the host is {host:?}"));
    }
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-proto", proto.to_owned()),
        ("x-forwarded-host", host.clone()),
        (
            "forwarded",
            format!("for=127.0.0.1;host=\"{host}\";proto={proto}"),
        ),
    ] {
        if request.all(name) != [&value] {
            return Err(format!("{name} is {:?}", request.all(name)));
        }
    }
    for hop in [
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "proxy-authorization",
    ] {
        if !request.all(hop).is_empty() {
            return Err(format!("{hop} went on"));
        }
    }
    Ok(())
}
