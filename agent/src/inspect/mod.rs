//! A page for the browser of whoever sits at this machine: what the tunnels do, live.
//!
//! It shows what [`crate::status`] knows and changes nothing. It answers only requests that were
//! meant for it (see [`guard`]), to a bounded number of connections.
//!
//! - [`guard`]: who is answered;
//! - `answer`: what;
//! - `live`: events as they come.

mod answer;
pub mod guard;
mod live;

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

use crate::status::Status;

/// Listens on `address`, or on one of the next ports if it is `movable` and taken. `None` when
/// there is no address.
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

/// Answers on `listener` until `tasks` are stopped.
pub fn serve(listener: TcpListener, status: &Status, tasks: &Tasks) {
    status.keep_requests();
    let (status, group) = (status.clone(), tasks.clone());
    tasks.spawn(debug_span!("inspect"), async move {
        tokio::select! {
            biased;
            () = group.stopped() => {}
            () = accept(&listener, &status, &group) => {}
        }
    });
}

async fn accept(listener: &TcpListener, status: &Status, tasks: &Tasks) {
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
                let (status, group) = (status.clone(), tasks.clone());
                tasks.spawn(Span::current(), async move {
                    tokio::select! {
                        biased;
                        () = group.stopped() => {}
                        () = connection(stream, port, status) => {}
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

async fn connection(stream: TcpStream, port: u16, status: Status) {
    let service = service_fn(move |request| {
        let answer = answer::answer(&request, port, &status);
        async move { Ok::<_, Infallible>(answer) }
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
    use crate::status::{Event, Outcome, Request};
    use http::Method;
    use std::time::SystemTime;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    struct Page {
        address: SocketAddr,
        status: Status,
        tasks: Tasks,
    }

    async fn page() -> Page {
        let address = Some(([127, 0, 0, 1], 0).into());
        let listener = bind(address, false).await.unwrap().unwrap();
        let (status, tasks) = (Status::new(), Tasks::default());
        let address = listener.local_addr().unwrap();
        serve(listener, &status, &tasks);
        Page {
            address,
            status,
            tasks,
        }
    }

    impl Page {
        async fn open(&self, method: &str, path: &str, host: &str) -> BufReader<TcpStream> {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let head =
                format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            BufReader::new(stream)
        }

        async fn ask(&self, method: &str, path: &str, host: &str) -> String {
            let mut answer = String::new();
            let mut stream = self.open(method, path, host).await;
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    fn request(id: &str) -> Event {
        Event::Request(Request {
            id: id.into(),
            tunnel: "echo".into(),
            at: SystemTime::now(),
            method: Method::GET,
            path: "/<script>".into(),
            status: Some(200),
            took: Duration::ZERO,
            received: 0,
            sent: 0,
            outcome: Outcome::Done,
        })
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
            ("POST", "/api/v1/requests", here.as_str(), "405"),
            ("OPTIONS", "/api/v1/requests", here.as_str(), "405"),
            ("GET", "/", evil.as_str(), "403"),
            ("GET", "/api/v1/requests", "127.0.0.1:1", "403"),
            ("GET", "/api/v1/requests", "", "403"),
        ] {
            let answer = page.ask(method, path, host).await;
            let line = answer.lines().next().unwrap();
            assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{line}");
            let lower = answer.to_ascii_lowercase();
            assert!(lower.contains("content-security-policy: default-src 'none'"));
            assert!(!lower.contains("access-control-"), "{answer}");
        }
        assert!(page.tasks.drain(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn requests_are_shown_from_the_ring_and_then_live() {
        let page = page().await;
        let here = page.address.to_string();
        page.status.emit(request("r1"));
        let answer = page.ask("GET", "/api/v1/requests", &here).await;
        assert!(answer.contains(r#"{"requests":[{"id":"r1","#), "{answer}");

        let mut lines = page.open("GET", "/api/v1/events", &here).await.lines();
        let mut next = async |wanted: &str| loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.starts_with("data:") && line.contains(wanted) {
                return line;
            }
        };
        next(r#""online":false"#).await;
        next(r#""id":"r1""#).await;
        page.status.emit(request("r2"));
        let line = next(r#""id":"r2""#).await;
        assert!(
            line.starts_with(r#"data: {"event":"request","id":"r2""#),
            "{line}"
        );
        // An open stream does not hold up the end.
        assert!(page.tasks.drain(Duration::from_secs(1)).await);
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
