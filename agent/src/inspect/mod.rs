//! A page for the browser of whoever sits at this machine: what the tunnels do, live.
//!
//! It shows what [`crate::status`] and [`crate::capture`] know, and sends requests again. It answers only
//! requests that were meant for it (see [`guard`]), to a bounded number of connections.
//!
//! - [`guard`]: who is answered;
//! - [`replay`]: requests that are sent again;
//! - [`har`]: exchanges out to a file and in from one;
//! - `answer`: what is answered: the page, or `api` (ours) with events as they come (`live`), or `ngrok` (its
//!   agent's interface).

mod answer;
mod api;
pub mod guard;
pub mod har;
mod live;
mod ngrok;
pub mod replay;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adit_shared::task::Tasks;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::{Instrument as _, Span, debug, debug_span, warn};

use self::replay::{BadReplay, Edits, Way};
use crate::capture::filter::Filter;
use crate::capture::{Capture, Cause, Exchange};
use crate::config::Tunnel;
use crate::origin::{OriginError, Upstream};
use crate::status::Status;

/// What is asked and shown here.
#[derive(Debug)]
pub struct Inspector {
    status: Status,
    capture: Capture,
    /// Where requests can be sent again.
    ways: Vec<Way>,
    tasks: Tasks,
}

impl Inspector {
    /// What it shows.
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// Sends the last request of a visitor that `filter` wants once more, and says which that is. What came of
    /// it is told as of any request.
    ///
    /// # Errors
    ///
    /// [`BadReplay`].
    pub fn replay_last(&self, filter: &Filter) -> Result<Option<Arc<Exchange>>, BadReplay> {
        let is_last = |one: &Exchange| one.cause == Cause::Visitor && filter.wants(one);
        let Some(last) = self.capture.newest(is_last) else {
            return Ok(None);
        };
        let edits = Edits::default();
        let prepared = replay::prepare(&last, &edits, &self.ways, &self.capture, &self.status)?;
        drop(replay::spawn(prepared, &self.tasks));
        Ok(Some(last))
    }
}

/// Listens on `address`, or on one of the next ports if it is `movable` and taken. `None` when
/// there is no address. Safe to drop.
///
/// # Errors
///
/// [`BindError`]; never when the address is `movable`, since nobody asked for it.
pub async fn bind(
    address: Option<SocketAddr>,
    movable: bool,
) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let mut next = address;
    loop {
        let error = match TcpListener::bind(next).await {
            Ok(listener) => {
                if !next.ip().is_loopback() {
                    warn!(address = %next, "the inspector listens beyond this machine");
                }
                return Ok(Some(listener));
            }
            Err(error) => error,
        };
        if !movable {
            return Err(BindError(address, error));
        }
        let port = next.port().saturating_add(1);
        if error.kind() != io::ErrorKind::AddrInUse || port > address.port() + PORTS {
            warn!(%address, %error, "no inspector");
            return Ok(None);
        }
        next.set_port(port);
    }
}

/// The inspector cannot listen where it was asked to.
#[derive(Debug, Error)]
#[error("cannot listen on {0} for the inspector")]
pub struct BindError(SocketAddr, #[source] io::Error);

/// Answers on `listener` until `tasks` are stopped, and keeps exchanges of `tunnels` in `capture` from now on.
///
/// # Errors
///
/// [`OriginError`] when the settings of an origin cannot be used.
pub fn serve(
    listener: TcpListener,
    status: &Status,
    capture: Capture,
    tunnels: &[Tunnel],
    tasks: &Tasks,
) -> Result<Arc<Inspector>, OriginError> {
    let way = |tunnel: &Tunnel| Ok((tunnel.clone(), Upstream::new(tunnel, tasks.clone())?));
    let inspector = Arc::new(Inspector {
        status: status.clone(),
        capture: capture.clone(),
        ways: tunnels
            .iter()
            .map(way)
            .collect::<Result<_, OriginError>>()?,
        tasks: tasks.clone(),
    });
    status.keep_requests();
    status.keep_exchanges(capture);
    let (group, serving) = (tasks.clone(), inspector.clone());
    tasks.spawn(debug_span!("inspect"), async move {
        tokio::select! {
            biased;
            () = group.stopped() => {}
            () = accept(&listener, &serving, &group) => {}
        }
    });
    Ok(inspector)
}

async fn accept(listener: &TcpListener, inspector: &Arc<Inspector>, tasks: &Tasks) {
    let Ok(port) = listener.local_addr().map(|address| address.port()) else {
        return;
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (inspector, group) = (inspector.clone(), tasks.clone());
                tasks.spawn(Span::current(), async move {
                    tokio::select! {
                        biased;
                        () = group.stopped() => {}
                        () = connection(stream, port, inspector) => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Most often there are no file descriptors left, which takes a moment to pass.
                debug!(%error, "cannot accept");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, port: u16, inspector: Arc<Inspector>) {
    let service = service_fn(move |request| {
        let inspector = inspector.clone();
        async move { Ok::<_, Infallible>(answer::answer(request, port, &inspector).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .in_current_span()
        .await;
    if let Err(error) = served {
        debug!(%error, "connection ended");
    }
}

/// How many ports above the default one are tried.
const PORTS: u16 = 20;
/// Each open page takes one, or two while it loads.
const MAX_CONNECTIONS: usize = 32;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// In bytes.
const MAX_HEAD: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Limits;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    struct Page {
        address: SocketAddr,
        capture: Capture,
        tasks: Tasks,
    }

    async fn page() -> Page {
        page_knowing(&[]).await
    }

    /// With these variables in its environment.
    async fn page_knowing(secrets: &[(&str, &str)]) -> Page {
        let address = Some(([127, 0, 0, 1], 0).into());
        let listener = bind(address, false).await.unwrap().unwrap();
        let (status, tasks) = (Status::new(), Tasks::default());
        let capture = Capture::new(Limits::default(), None);
        let address = listener.local_addr().unwrap();
        serve(
            listener,
            &status,
            capture.clone(),
            &[tunnel(secrets)],
            &tasks,
        )
        .unwrap();
        Page {
            address,
            capture,
            tasks,
        }
    }

    fn tunnel(variables: &[(&str, &str)]) -> Tunnel {
        let options = crate::cli::Options {
            echo: true,
            relay: vec!["local".into()],
            state_dir: Some("nowhere".into()),
            ..crate::cli::Options::default()
        };
        let variable = |name: &str| {
            let found = variables.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| value.into())
        };
        let given = crate::config::Given::collect(options, variable).unwrap();
        given.config().unwrap().tunnels.remove(0)
    }

    impl Page {
        async fn open(&self, request: &str) -> BufReader<TcpStream> {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            BufReader::new(stream)
        }

        async fn say(&self, request: &str) -> String {
            let mut answer = String::new();
            let mut stream = self.open(request).await;
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }

        async fn ask(&self, method: &str, path: &str, host: &str) -> String {
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            self.say(&head).await
        }

        async fn send(&self, method: &str, path: &str, json: &str) -> String {
            let (here, len) = (self.address, json.len());
            self.say(&format!(
                "{method} {path} HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n{json}"
            ))
            .await
        }

        /// A request as the import of a file makes it.
        async fn import(&self, path: &str) {
            let har = format!(
                r#"{{"log":{{"entries":[{{"startedDateTime":"2026-01-02T03:04:05.000Z","time":12,
                "request":{{"method":"POST","url":"https://a.test{path}","headers":[
                {{"name":"authorization","value":"Bearer s3cret"}},{{"name":"content-type","value":"application/json"}},
                {{"name":"content-length","value":"7"}}],
                "postData":{{"mimeType":"application/json","text":"{{\"a\":1}}"}}}},
                "response":{{"status":201,"headers":[],"content":{{"text":"made"}}}}}}]}}}}"#
            );
            let answer = self.send("POST", "/api/v1/har", &har).await;
            assert!(answer.contains(r#""imported":1"#), "{answer}");
        }
    }

    #[tokio::test]
    async fn answers_only_what_was_meant_for_it() {
        let page = page().await;
        let here = page.address.to_string();
        let port = page.address.port();
        let evil = format!("evil.example:{port}");
        for (method, path, host, status) in [
            ("GET", "/", here.as_str(), "200"),
            ("HEAD", "/", here.as_str(), "200"),
            ("GET", "/api/v1/status", &format!("localhost:{port}"), "200"),
            ("GET", "/nothing", here.as_str(), "404"),
            ("GET", "/api/v1/requests/17", here.as_str(), "404"),
            ("POST", "/", here.as_str(), "405"),
            // Without JSON.
            ("POST", "/api/v1/pause", here.as_str(), "403"),
            ("OPTIONS", "/api/v1/requests", here.as_str(), "403"),
            ("GET", "/", evil.as_str(), "403"),
            ("DELETE", "/api/v1/requests", evil.as_str(), "403"),
            ("GET", "/api/v1/requests", "127.0.0.1:1", "403"),
            ("GET", "/api/v1/requests", "", "403"),
        ] {
            let answer = page.ask(method, path, host).await;
            let line = answer.lines().next().unwrap();
            assert!(
                line.starts_with(&format!("HTTP/1.1 {status}")),
                "{method} {path}: {line}"
            );
            let lower = answer.to_ascii_lowercase();
            assert!(lower.contains("content-security-policy: default-src 'none'"));
            assert!(!lower.contains("access-control-"), "{answer}");
        }
        assert!(page.tasks.drain(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn exchanges_are_told_as_they_change_and_again_from_where_a_reader_was() {
        let page = page().await;
        let here = page.address.to_string();
        page.import("/first").await;
        let get = format!("GET /api/v1/events?filter=path:/f HTTP/1.1\r\nHost: {here}\r\n");
        let mut lines = page.open(&format!("{get}\r\n")).await.lines();
        let mut id = String::new();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(is) = line.strip_prefix("id: ") {
                is.clone_into(&mut id);
            }
            if line.starts_with("data: ") && line.contains("/first") {
                break;
            }
        }
        page.import("/other").await;
        page.import("/fourth").await;
        // Nothing that was told is told again, nor what the filter leaves out.
        let again = format!("{get}Last-Event-ID: {id}\r\n\r\n");
        let mut lines = page.open(&again).await.lines();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            assert!(
                !line.contains("/first") && !line.contains("/other"),
                "{line}"
            );
            if line.starts_with("data: ") && line.contains("/fourth") {
                break;
            }
        }
        page.capture.clear();
        while lines.next_line().await.unwrap().unwrap() != "event: clear" {}
        // An open stream does not hold up the end.
        assert!(page.tasks.drain(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_pause_is_told_before_the_next_status_is_due() {
        let page = page().await;
        let here = page.address.to_string();
        let get = format!("GET /api/v1/events HTTP/1.1\r\nHost: {here}\r\n\r\n");
        let mut lines = page.open(&get).await.lines();
        let mut told = async |what: &str| loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.starts_with("data: ") && line.contains(what) {
                return;
            }
        };
        told(r#""paused":false"#).await;
        let since = tokio::time::Instant::now();
        for paused in [true, false] {
            page.capture.pause(paused);
            told(&format!(r#""paused":{paused}"#)).await;
        }
        assert!(since.elapsed() < live::INTERVAL, "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn a_request_is_sent_again_as_it_was_or_edited() {
        let page = page().await;
        page.import("/hook?a=%2F").await;
        let answer = page
            .send(
                "POST",
                "/api/v1/requests/1/replay",
                r#"{"wait":true,"times":2}"#,
            )
            .await;
        assert!(answer.contains(r#""replay_of":1"#), "{answer}");
        assert_eq!(page.capture.all().len(), 3);
        let (sent, echoed) = page.capture.get(2).unwrap().bodies();
        assert_eq!(sent, r#"{"a":1}"#);
        let echoed = String::from_utf8(echoed.to_vec()).unwrap();
        assert!(
            echoed.starts_with("POST /hook?a=%2F\nhost: a.test\n"),
            "{echoed}"
        );
        assert!(
            echoed.contains("authorization: Bearer s3cret\n"),
            "{echoed}"
        );
        let edit = r#"{"wait":true,"method":"PUT","target":"/new","body":"longer body",
            "headers":[["X-One","1"],["Connection","close"],["Host","b.test"]]}"#;
        page.send("POST", "/api/v1/requests/2/replay", edit).await;
        let echoed = page.capture.get(4).unwrap().bodies().1;
        assert_eq!(
            echoed,
            "PUT /new\nhost: b.test\nx-one: 1\ncontent-length: 11\n\nlonger body"
        );
        for (edit, why) in [
            (r#"{"tunnel":"other"}"#, "no tunnel"),
            (r#"{"target":"no"}"#, "begins with"),
            (r#"{"headers":[["a b","1"]]}"#, "header field"),
            (r#"{"colour":"red"}"#, "colour"),
        ] {
            let answer = page.send("POST", "/api/v1/requests/1/replay", edit).await;
            assert!(answer.contains(why), "{answer}");
        }
        let answer = page
            .send(
                "PATCH",
                "/api/v1/requests/2",
                r#"{"marked":true,"comment":"odd"}"#,
            )
            .await;
        assert!(
            answer.contains(r#""marked":true,"comment":"odd""#),
            "{answer}"
        );
        let here = page.address.to_string();
        let found = page
            .ask("GET", "/api/v1/requests?filter=is:marked%20odd", &here)
            .await;
        assert!(found.contains(r#""requests":[{"id":2,"#), "{found}");
        assert!(!found.contains(r#"{"id":1,"#), "{found}");
    }

    #[tokio::test]
    async fn what_cannot_be_signed_anew_is_sent_as_it_was_and_said() {
        let key = "00".repeat(32);
        let page = page_knowing(&[
            ("ADIT_WEBHOOK_SECRET_DISCORD", &key),
            ("ADIT_WEBHOOK_SECRET_GITHUB", "new"),
        ])
        .await;
        for (field, told) in [
            (
                "x-signature-ed25519",
                r#""unsigned":"only discord itself can sign"#,
            ),
            (
                "stripe-signature",
                r#""unsigned":"the secret of stripe is not known here""#,
            ),
            ("x-github-event", r#""signed":"github","unsigned":null"#),
            ("x-none", r#""signed":null,"unsigned":null"#),
        ] {
            page.capture.clear();
            let har = format!(
                r#"{{"log":{{"entries":[{{"startedDateTime":"2026-01-02T03:04:05.000Z","time":12,
                "request":{{"method":"POST","url":"https://a.test/hook","headers":[
                {{"name":"{field}","value":"first"}}],"postData":{{"mimeType":"","text":"{{}}"}}}},
                "response":{{"status":201,"headers":[],"content":{{}}}}}}]}}}}"#
            );
            page.send("POST", "/api/v1/har", &har).await;
            let id = page.capture.all()[0].id;
            let path = format!("/api/v1/requests/{id}/replay");
            let answer = page.send("POST", &path, r#"{"wait":true}"#).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains(told), "{field}: {answer}");
            let echoed = page.capture.get(id + 1).unwrap().bodies().1;
            let echoed = String::from_utf8(echoed.to_vec()).unwrap();
            assert!(echoed.contains(&format!("{field}: first\n")), "{echoed}");
        }
    }

    #[tokio::test]
    async fn an_archive_has_no_secrets_unless_asked() {
        let page = page().await;
        page.import("/hook?token=t0ps3cret&b=2").await;
        let here = page.address.to_string();
        let masked = page.ask("GET", "/api/v1/har", &here).await;
        assert!(!masked.contains("s3cret"), "{masked}");
        assert!(
            masked.contains("b=2") && masked.contains(r#"{\"a\":1}"#),
            "{masked}"
        );
        let plain = page.ask("GET", "/api/v1/har?secrets=1", &here).await;
        assert!(plain.contains("Bearer s3cret") && plain.contains("t0ps3cret"));
        // What was written can be read again.
        let har = plain.split_once("\r\n\r\n").unwrap().1;
        page.send("POST", "/api/v1/har", har).await;
        assert_eq!(page.capture.get(2).unwrap().bodies().0, r#"{"a":1}"#);
    }

    #[tokio::test]
    async fn ngroks_interface_has_ngroks_shapes() {
        let page = page().await;
        page.import("/hook").await;
        page.send("POST", "/api/v1/requests/1/replay", r#"{"wait":true}"#)
            .await;
        let here = page.address.to_string();
        let body = async |path: &str| -> serde_json::Value {
            let answer = page.ask("GET", path, &here).await;
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            serde_json::from_str(body).unwrap()
        };
        let all = body("/api/requests/http?limit=10").await;
        assert_eq!(all["uri"], "/api/requests/http");
        let one = &all["requests"][0];
        assert_eq!(*one, body("/api/requests/http/2").await);
        assert_eq!(one["id"], "2");
        assert_eq!(one["tunnel_name"], "echo");
        assert!(one["duration"].is_u64());
        assert_eq!(one["request"]["method"], "POST");
        assert_eq!(one["request"]["uri"], "/hook");
        assert_eq!(
            one["request"]["headers"]["Content-Type"][0],
            "application/json"
        );
        assert_eq!(one["response"]["status"], "200 OK");
        assert_eq!(one["response"]["status_code"], 200);
        let raw = one["request"]["raw"].as_str().unwrap();
        use base64::Engine as _;
        let raw = base64::engine::general_purpose::STANDARD
            .decode(raw)
            .unwrap();
        assert!(raw.starts_with(b"POST /hook HTTP/1.1\r\nHost: a.test\r\n"));
        assert!(raw.ends_with(b"\r\n\r\n{\"a\":1}"));

        let answer = page
            .send("POST", "/api/requests/http", r#"{"id":"2"}"#)
            .await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        assert_eq!(page.capture.all().len(), 3);
        assert_eq!(body("/api/tunnels").await["uri"], "/api/tunnels");
        assert_eq!(body("/api/status").await["status"], "offline");
        assert_eq!(body("/api/tunnels/none").await["status_code"], 404);
        let answer = page.ask("DELETE", "/api/requests/http", &here).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        assert!(page.capture.all().is_empty());
    }

    #[tokio::test]
    async fn a_taken_port_moves_only_the_default() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = taken.local_addr().unwrap();
        assert!(bind(Some(address), false).await.is_err());
        if let Some(moved) = bind(Some(address), true).await.unwrap() {
            let port = moved.local_addr().unwrap().port();
            assert!(port > address.port() && port <= address.port() + PORTS);
        }
        assert!(bind(None, true).await.unwrap().is_none());
    }
}
