//! What the inspector of an agent that runs keeps, from the command line: shown, sent again, compared.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use adit_shared::task::Tasks;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::capture::{Capture, Limits};
use crate::cli::{Again, Requests};
use crate::config::{BadConfig, Given};
use crate::inspect::{BindError, bind, serve};
use crate::origin::OriginError;
use crate::status::Status;
use crate::ui::escape::escape;

/// Why nothing could be shown or sent.
#[derive(Debug, Error)]
pub enum RequestsError {
    /// There is nobody to ask.
    #[error(
        "no agent's inspector answers at {0}; is an agent running? Name another with --inspect ADDR"
    )]
    Away(SocketAddr, #[source] io::Error),
    /// The agent's answer is none.
    #[error("what answers at {0} is no inspector of this release")]
    Other(SocketAddr),
    /// The agent said no.
    #[error("the agent says: {0}")]
    Said(String),
    /// The file cannot be read.
    #[error("cannot read {0}")]
    File(PathBuf, #[source] io::Error),
    /// Nobody reads what is written.
    #[error("cannot write to stdout")]
    Write(#[from] io::Error),
    /// What is to be asserted is no status.
    #[error("--assert-status: {0:?} is no status, such as 200 or 2xx")]
    Status(String),
    /// The server that requests are to be sent to is none.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// Nothing can be sent to it.
    #[error("cannot use the server")]
    Origin(#[from] OriginError),
    /// There is nothing to send from.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Does what `what` says, with the inspector at `address`. Says whether all is as it should be.
///
/// # Errors
///
/// [`RequestsError`].
pub fn requests(what: &Requests, address: SocketAddr, json: bool) -> Result<bool, RequestsError> {
    let agent = Inspector(address);
    let mut out = io::stdout().lock();
    match what {
        Requests::List { filter, limit } => {
            let path = format!("/api/v1/requests?limit={limit}&filter={}", encoded(filter));
            let found = agent.json("GET", &path, None)?;
            for row in array(&found["requests"]) {
                let line = if json { row.to_string() } else { line(row) };
                writeln!(out, "{line}")?;
            }
        }
        Requests::Show { id } => {
            let path = format!("/api/v1/requests/{id}");
            let one = agent.json("GET", &path, None)?;
            if json {
                writeln!(out, "{one}")?;
                return Ok(true);
            }
            for (side, start) in [
                (
                    "request",
                    format!("{} {}", text(&one["method"]), text(&one["target"])),
                ),
                ("response", one["status"].to_string()),
            ] {
                if one[side].is_null() {
                    writeln!(out, "no response: {}", text(&one["outcome"]))?;
                    continue;
                }
                writeln!(out, "{}", shown(&start))?;
                for pair in array(&one[side]["headers"]) {
                    writeln!(
                        out,
                        "{}: {}",
                        shown(&text(&pair[0])),
                        shown(&text(&pair[1]))
                    )?;
                }
                writeln!(out)?;
                let body = agent.ask("GET", &format!("{path}/{side}/body"), None)?;
                out.write_all(&body)?;
                if !body.is_empty() && !body.ends_with(b"\n") {
                    writeln!(out)?;
                }
            }
        }
        Requests::Replay { id, times, again } => {
            let wanted = Wanted::of(again)?;
            let path = format!("/api/v1/requests/{id}");
            let before = agent.json("GET", &path, None)?;
            return replay(&agent, &before, *times, &wanted, json, &mut out);
        }
        Requests::Export { filter, secrets } => {
            let secrets = u8::from(*secrets);
            let path = format!("/api/v1/har?secrets={secrets}&filter={}", encoded(filter));
            out.write_all(&agent.ask("GET", &path, None)?)?;
        }
    }
    Ok(true)
}

/// Sends the requests of a HAR file to the origin of the agent at `address`. Says whether all answers are as they
/// should be.
///
/// # Errors
///
/// [`RequestsError`].
pub fn replay_file(
    file: &str,
    again: &Again,
    address: SocketAddr,
    json: bool,
) -> Result<bool, RequestsError> {
    let agent = Inspector(address);
    let wanted = Wanted::of(again)?;
    let har = fs::read(file).map_err(|error| RequestsError::File(file.into(), error))?;
    let taken = agent.json("POST", "/api/v1/har", Some(&har))?;
    let mut out = io::stdout().lock();
    let mut is_well = true;
    for id in array(&taken["ids"]) {
        let before = agent.json("GET", &format!("/api/v1/requests/{id}"), None)?;
        is_well &= replay(&agent, &before, 1, &wanted, json, &mut out)?;
        // It was taken in only to be sent.
        agent.ask("DELETE", &format!("/api/v1/requests/{id}"), None)?;
    }
    Ok(is_well)
}

/// Sends the requests of a HAR file to the origin that `given` names, without an agent: by an inspector that is
/// there for nothing else. Says whether all answers are as they should be. Not safe to drop: what is under way is
/// sent to its end.
///
/// # Errors
///
/// [`RequestsError`].
pub async fn replay_to_origin(
    file: String,
    again: Again,
    given: &Given,
) -> Result<bool, RequestsError> {
    let tunnels = given.tunnels()?;
    let limits = Limits {
        // All of the file is needed.
        requests: MAX_REQUESTS,
        memory: MAX_MEMORY,
        ..given.keep()?.limits
    };
    let tasks = Tasks::default();
    let here = (Ipv4Addr::LOCALHOST, 0).into();
    let Some(listener) = bind(Some(here), false).await? else {
        return Ok(false);
    };
    let address = listener.local_addr()?;
    let (status, capture) = (Status::new(), Capture::new(limits, None));
    serve(listener, &status, capture, &tunnels, &tasks)?;
    let json = given.json();
    let done = spawn_blocking(move || replay_file(&file, &again, address, json)).await;
    tasks.abort();
    done.map_err(io::Error::from)?
}

/// What an answer must be.
struct Wanted {
    status: Option<(u64, u64)>,
    diff: bool,
}

impl Wanted {
    fn of(again: &Again) -> Result<Self, RequestsError> {
        let parse = |text: &String| {
            let bad = || RequestsError::Status(text.clone());
            let (digits, last) = match text.strip_suffix("xx") {
                Some(class) => (format!("{class}00"), 99),
                None => (text.clone(), 0),
            };
            let first: u64 = digits.parse().map_err(|_| bad())?;
            let is_status = (100..=999).contains(&first);
            is_status.then_some((first, first + last)).ok_or_else(bad)
        };
        Ok(Self {
            status: again.assert_status.as_ref().map(parse).transpose()?,
            diff: again.diff,
        })
    }
}

fn replay(
    agent: &Inspector,
    before: &Value,
    times: u32,
    wanted: &Wanted,
    json: bool,
    out: &mut impl io::Write,
) -> Result<bool, RequestsError> {
    let id = &before["id"];
    let ask = json!({"times": times, "wait": true}).to_string();
    let path = format!("/api/v1/requests/{id}/replay");
    let done = agent.json("POST", &path, Some(ask.as_bytes()))?;
    if let Some(why) = done["unsigned"].as_str() {
        // Whoever does not read this has lost nothing.
        let _ = writeln!(io::stderr(), "sent as it was, not signed anew: {why}");
    }
    let mut is_well = true;
    for row in array(&done["requests"]) {
        writeln!(out, "{}", if json { row.to_string() } else { line(row) })?;
        let status = row["status"].as_u64();
        let is_wanted = match wanted.status {
            Some((first, last)) => status.is_some_and(|status| first <= status && status <= last),
            None => row["outcome"] == "done",
        };
        is_well &= is_wanted;
        if wanted.diff {
            let old = agent.ask("GET", &format!("/api/v1/requests/{id}/response/body"), None)?;
            let path = format!("/api/v1/requests/{}/response/body", row["id"]);
            let new = agent.ask("GET", &path, None)?;
            let told = difference(before, row, &old, &new);
            is_well &= told.is_empty();
            out.write_all(told.as_bytes())?;
        }
    }
    Ok(is_well)
}

/// How the answer differs from what it was; nothing when it does not.
fn difference(before: &Value, after: &Value, old: &[u8], new: &[u8]) -> String {
    let mut told = String::new();
    // Writing to a string cannot fail.
    if before["status"] != after["status"] {
        let _ = writeln!(told, "- {}\n+ {}", before["status"], after["status"]);
    }
    if old == new {
        return told;
    }
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let left = old.len().min(new.len()) - same;
    let pairs = old.iter().rev().zip(new.iter().rev()).take(left);
    let end = pairs.take_while(|(a, b)| a == b).count();
    for (mark, lines) in [
        ('-', &old[same..old.len() - end]),
        ('+', &new[same..new.len() - end]),
    ] {
        for line in lines {
            let _ = writeln!(told, "{mark} {}", shown(line));
        }
    }
    if told.is_empty() {
        told.push_str("the bodies differ in how their lines end\n");
    }
    told
}

fn line(row: &Value) -> String {
    let status = row["status"]
        .as_u64()
        .map_or_else(|| "---".to_owned(), |status| status.to_string());
    let mut line = format!(
        "{:>5} {} {:<7} {:<40} {status} {:>9} {:>8}",
        row["id"].to_string(),
        text(&row["at"]),
        shown(&text(&row["method"])),
        shown(&text(&row["target"])),
        format!("{:.1}ms", row["ms"].as_f64().unwrap_or_default()),
        row["sent"].to_string(),
    );
    let outcome = text(&row["outcome"]);
    if !["done", "imported"].contains(&outcome.as_str()) {
        line.push_str(if outcome.is_empty() {
            "  pending"
        } else {
            "  "
        });
        line.push_str(&outcome);
    }
    let hook = &row["webhook"];
    if hook.is_object() {
        let verified = match hook["verified"].as_bool() {
            Some(true) => " verified",
            Some(false) => " NOT VERIFIED",
            None => "",
        };
        let event = shown(&text(&hook["event"])).into_owned();
        line.push_str(&format!("  {} {event}{verified}", text(&hook["provider"])));
    }
    line
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Text from strangers, for a terminal.
fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    escape(text, MAX_SHOWN)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// Where the inspector of an agent is.
struct Inspector(SocketAddr);

impl Inspector {
    fn json(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Value, RequestsError> {
        let answer = self.ask(method, path, body)?;
        serde_json::from_slice(&answer).map_err(|_| RequestsError::Other(self.0))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, RequestsError> {
        let away = |error| RequestsError::Away(self.0, error);
        let other = || RequestsError::Other(self.0);
        let mut stream = TcpStream::connect_timeout(&self.0, PATIENCE).map_err(away)?;
        let host = if self.0.ip().is_ipv6() {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        let (port, body) = (self.0.port(), body.unwrap_or_default());
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let mut answer = Vec::new();
        let mut talk = || {
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)?;
            stream.read_to_end(&mut answer)
        };
        talk().map_err(away)?;
        let end = answer
            .windows(4)
            .position(|at| at == b"\r\n\r\n")
            .ok_or_else(other)?;
        let body = answer.split_off(end + 4);
        let head = String::from_utf8_lossy(&answer);
        match head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse::<u16>().ok())
        {
            Some(200..=299) => Ok(body),
            Some(_) => {
                let said: Value = serde_json::from_slice(&body).map_err(|_| other())?;
                Err(RequestsError::Said(text(&said["error"])))
            }
            None => Err(other()),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
/// How much of a file is taken in at once, in requests and in bytes.
const MAX_REQUESTS: usize = 100_000;
const MAX_MEMORY: usize = 1 << 30;
/// In characters.
const MAX_SHOWN: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_line() {
        let row = |status| json!({"status": status});
        let told = difference(&row(200), &row(500), b"a\nb\nc", b"a\nx\ny\nc");
        assert_eq!(told, "- 200\n+ 500\n- b\n+ x\n+ y\n");
        assert_eq!(difference(&row(200), &row(200), b"a", b"a"), "");
        assert!(!difference(&row(200), &row(200), b"a\n", b"a\r\n").is_empty());
    }

    #[test]
    fn a_status_is_asserted_alone_or_by_its_class() {
        let of = |text: &str| {
            let again = Again {
                assert_status: Some(text.into()),
                diff: false,
            };
            Wanted::of(&again).map(|wanted| wanted.status.unwrap()).ok()
        };
        assert_eq!(of("2xx"), Some((200, 299)));
        assert_eq!(of("404"), Some((404, 404)));
        assert_eq!((of("xx"), of("ok"), of("20")), (None, None, None));
    }
}
