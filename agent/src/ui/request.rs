//! A request that ended, as a line for people.

use std::time::SystemTime;

use adit_shared::webhook::Seen;
use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::escape::escape;
use super::style::{BOLD, DIM, GREEN, RED, YELLOW, brief, size, words};
use crate::status::{Outcome, Request};

/// One line, which no visitor can break. With several tunnels it says which (`is_one_of_many`); times are of `zone`.
pub(super) fn line(request: &Request, zone: &TimeZone, is_one_of_many: bool) -> String {
    let time = clock(request.at, zone);
    let method = escape(request.method.as_str(), MAX_METHOD);
    let path = escape(&request.path, MAX_PATH);
    let (style, status) = match request.status {
        Some(status) => (of_status(status), status.to_string()),
        None => (DIM, "---".to_owned()),
    };
    let took = brief(request.took);
    let bytes = size(request.sent);
    let mut line = format!(
        "{DIM}{time}{DIM:#} {method:<7} {path:<32} {style}{status}{style:#} {took:>7} {bytes:>8}"
    );
    match request.outcome {
        Outcome::Done => {}
        Outcome::VisitorLeft => line.push_str(&format!("  {YELLOW}visitor left{YELLOW:#}")),
        Outcome::Answered(code) => line.push_str(&format!("  {YELLOW}{code}{YELLOW:#}")),
        Outcome::Failed(code) => line.push_str(&format!("  {RED}{code}{RED:#}")),
    }
    if let Some(webhook) = &request.webhook {
        line.push_str(&seen(webhook));
    }
    if is_one_of_many {
        let tunnel = words(&request.tunnel);
        line.push_str(&format!("  {DIM}{tunnel}{DIM:#}"));
    }
    line
}

fn clock(at: SystemTime, zone: &TimeZone) -> String {
    let at = Timestamp::try_from(at).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// What is known of a webhook: whose it is, what happened, which one it is, and whether it is genuine.
fn seen(webhook: &Seen) -> String {
    let mut text = format!("  {BOLD}{}{BOLD:#}", webhook.provider);
    if let Some(event) = &webhook.event {
        text.push_str(&format!(" {}", escape(event, MAX_EVENT)));
    }
    if let Some(id) = &webhook.id {
        text.push_str(&format!(" {DIM}{}{DIM:#}", escape(id, MAX_ID)));
    }
    match webhook.verified {
        Some(true) => text.push_str(&format!(" {GREEN}✓{GREEN:#}")),
        Some(false) => {
            let why = webhook.why.unwrap_or_default();
            text.push_str(&format!(" {RED}✗ {why}{RED:#}"));
        }
        None => {}
    }
    if webhook.attempt > 1 {
        let attempt = webhook.attempt;
        text.push_str(&format!(" {YELLOW}attempt {attempt}{YELLOW:#}"));
    }
    text
}

fn of_status(status: u16) -> Style {
    match status {
        200..=299 => AnsiColor::Green.on_default(),
        300..=399 => AnsiColor::Cyan.on_default(),
        400..=499 => YELLOW,
        500..=599 => RED,
        _ => DIM,
    }
}

/// In characters.
const MAX_PATH: usize = 80;
const MAX_METHOD: usize = 16;
const MAX_EVENT: usize = 48;
const MAX_ID: usize = 48;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;

    #[test]
    fn a_request_is_one_line_that_no_visitor_can_break() {
        let mut request = Request {
            id: "r1".into(),
            tunnel: "web".into(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(3661),
            method: Method::POST,
            path: "/a\n\u{1b}[2J".into(),
            status: Some(200),
            took: Duration::from_micros(1_250),
            received: 0,
            sent: 1234,
            outcome: Outcome::Done,
            webhook: None,
        };
        let plain = |request: &Request| {
            let line = line(request, &TimeZone::UTC, true);
            anstream::adapter::strip_str(&line).to_string()
        };
        assert_eq!(
            plain(&request),
            "01:01:01 POST    /a\\n\\x1b[2J                      200  1.2 ms   1.2 kB  web"
        );
        let github = adit_shared::webhook::provider("github").unwrap();
        request.webhook = Some(Seen {
            event: Some("push".into()),
            id: Some("7\u{1b}2".into()),
            verified: Some(false),
            why: Some("mismatch"),
            attempt: 2,
            ..Seen::new(github)
        });
        assert!(
            plain(&request).ends_with("1.2 kB  github push 7\\x1b2 ✗ mismatch attempt 2  web"),
            "{}",
            plain(&request)
        );
        request.webhook = None;
        request.status = Some(401);
        request.outcome = Outcome::Answered("webhook-unverified");
        assert!(plain(&request).ends_with("401  1.2 ms   1.2 kB  webhook-unverified  web"));
        request.status = None;
        request.outcome = Outcome::Failed("origin-refused");
        assert!(plain(&request).ends_with("---  1.2 ms   1.2 kB  origin-refused  web"));
    }
}
