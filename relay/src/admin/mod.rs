//! For those who run the relay: health, metrics, what is connected, and a page that shows it.
//!
//! It has no login, so it listens on loopback unless told otherwise, and it only reads. Requests
//! with a foreign `Host` are refused: a web page elsewhere must not reach it through the browser of
//! somebody on this machine.

mod page;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_shared::name::Host;
use adit_shared::stall::Stalls;
use adit_shared::task::Tasks;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::Span;

use crate::edge::tls::issued::Issued;
use crate::metrics::{Paths, Report, Waiting};
use crate::queue::database::State;
use crate::queue::{Inboxes, Tray};
use crate::route::Routes;
use crate::sessions::Sessions;

/// What can be looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Who serves what.
    pub routes: Routes,
    /// Who is connected.
    pub sessions: Sessions,
    /// What visitors that stopped reading hold.
    pub stalls: Stalls,
    /// What an authority issued, if the relay gets its certificates by ACME.
    pub issued: Option<Arc<Issued>>,
    /// What is kept for agents that are away.
    pub inboxes: Inboxes,
    /// What is counted.
    pub metrics: Report,
    /// The relay's domain.
    pub domain: Host,
    /// Stopped when the relay is not ready for more.
    pub serving: Tasks,
    /// Where connections run.
    pub tasks: Tasks,
}

impl Admin {
    /// Serves until the tasks are stopped. Safe to drop: connections end with the tasks.
    pub async fn listen(self, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.tasks.stopped() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let Ok(permit) = connections.clone().try_acquire_owned() else {
                continue;
            };
            let admin = self.clone();
            self.tasks.spawn(Span::none(), async move {
                let stop = admin.tasks.clone();
                let handle = service_fn(move |request| {
                    let response = admin.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), handle);
                let mut connection = pin!(connection);
                tokio::select! {
                    biased;
                    () = stop.stopped() => {
                        connection.as_mut().graceful_shutdown();
                        drop(connection.await);
                    }
                    // Whoever looks may leave at any time.
                    ended = connection.as_mut() => drop(ended),
                }
                drop(permit);
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        // Monitors come by whatever name the relay has for them, and read no secrets.
        let is_open = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
        if !is_open && !self.is_for_us(request) {
            return text(StatusCode::FORBIDDEN, "this Host is not served here\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/" => page::response(),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.serving.is_stopped() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" if self.waits_for_certificate() => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "no certificate for the relay's domain yet; the log says why\n",
            ),
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/metrics" => {
                let sessions = self.sessions.list();
                for session in &sessions {
                    session.count_packets();
                }
                let connections = sessions.iter().map(|session| session.connection());
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                typed(
                    StatusCode::OK,
                    kind,
                    self.metrics.text(
                        Waiting {
                            requests: self.routes.held(),
                            bytes: self.routes.held_bytes(),
                        },
                        self.routes.holds(),
                        &Paths::of(connections),
                        self.stalls.found(),
                        self.issued.as_deref(),
                        self.inboxes
                            .counts()
                            .map(|counts| (counts, self.inboxes.kept())),
                    ),
                )
            }
            "/api/v1/status" => api(&json!({
                "version": env!("CARGO_PKG_VERSION"),
                "domain": self.domain.as_str(),
                "ready": !self.serving.is_stopped() && !self.waits_for_certificate(),
                "sessions": self.sessions.list().len(),
                "exchanges": self.metrics.exchanges(),
                "visitors": self.metrics.visitors(),
                "held": self.routes.held(),
            })),
            "/api/v1/sessions" => api(&self.list_sessions()),
            "/api/v1/shards" => api(&self.list_shards()),
            "/api/v1/tunnels" => api(&self.list_tunnels()),
            "/api/v1/inboxes" => api(&self.list_inboxes()),
            "/api/v1/certificates" => api(&self.list_certificates()),
            _ => text(StatusCode::NOT_FOUND, "no such page\n"),
        }
    }

    /// Loopback names and addresses, and the relay's own domain.
    fn is_for_us(&self, request: &Request<Incoming>) -> bool {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok());
        let Some(Ok(host)) = host.map(Host::from_authority) else {
            return false;
        };
        let is_address =
            host.as_str().starts_with('[') || host.as_str().parse::<std::net::Ipv4Addr>().is_ok();
        is_address || host.as_str() == "localhost" || host == self.domain
    }

    fn list_sessions(&self) -> Value {
        let sessions = self.sessions.list();
        let list = sessions.iter().map(|session| {
            let path = session.connection().path();
            json!({
                "id": session.id.to_string(),
                "agent": session.owner.to_string(),
                "version": session.version,
                "token": session.token.map(|token| token.to_string()),
                "shard": session.shard,
                "transport": session.connection().transport().word(),
                "address": session.connection().remote().to_string(),
                "rtt_ms": path.rtt.as_secs_f64() * 1000.0,
                "sent_packets": path.sent,
                "lost_packets": path.lost,
                "exchanges": session.in_flight(),
                "since": seconds(session.since),
                "tunnels": self.routes.count(session.id),
            })
        });
        Value::Array(list.collect())
    }

    fn list_shards(&self) -> Value {
        let object = |counts: [(&'static str, i64); 4]| -> Value { counts.into_iter().collect() };
        self.metrics.shards().map(object).collect()
    }

    /// Whether agents cannot trust the relay yet.
    fn waits_for_certificate(&self) -> bool {
        let issued = self.issued.as_ref();
        issued.is_some_and(|issued| !issued.covers(self.domain.as_str()))
    }

    fn list_certificates(&self) -> Value {
        let list = self.issued.iter().flat_map(|issued| issued.list());
        list.map(|(name, until)| json!({ "name": name, "valid_until": seconds(until) }))
            .collect()
    }

    fn list_inboxes(&self) -> Value {
        let list = self.inboxes.list();
        let one = |tray: &Arc<Tray>| {
            let record = tray.record();
            let counts = State::ALL.map(|state| (state.word().to_owned(), tray.count(state)));
            let counts: serde_json::Map<_, Value> = counts
                .into_iter()
                .map(|(word, count)| (word, count.into()))
                .collect();
            json!({
                "host": tray.host.as_str(),
                "open": record.open,
                "paused": record.paused,
                "requests": counts,
                "bytes": tray.bytes(),
            })
        };
        list.iter().map(one).collect()
    }

    fn list_tunnels(&self) -> Value {
        let list = self.routes.list();
        let list = list.iter().map(|(host, session)| {
            json!({
                "host": host.as_str(),
                "session": session.as_ref().map(|session| session.id.to_string()),
                "online": session.is_some(),
            })
        });
        Value::Array(list.collect())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn api(value: &Value) -> Response<Full<Bytes>> {
    typed(StatusCode::OK, "application/json", format!("{value}\n"))
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; frame-ancestors 'none'";
    fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

const CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(100);
