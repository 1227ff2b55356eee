//! Whether the origins answer.

use std::future::Future;
use std::io;
use std::time::Duration;

use adit_shared::checkup::{Row, chain};
use futures_util::future::join_all;
use h2::client;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::bad_config;
use crate::config::{Given, HostHeader, Origin, Scheme, Tunnel};
use crate::origin::OriginError;
use crate::origin::dial::{Dialer, Fresh, Io};

/// One row for each tunnel. Safe to drop.
pub(super) async fn origins(given: &Given) -> Vec<Row> {
    match given.tunnels() {
        Ok(tunnels) if tunnels.is_empty() => {
            vec![Row::skipped(NAME, "none is given (--port N, --origin URL)")]
        }
        Ok(tunnels) => join_all(tunnels.iter().map(origin)).await,
        Err(error) => vec![bad_config(NAME, &error)],
    }
}

async fn origin(tunnel: &Tunnel) -> Row {
    let origin = &tunnel.origin;
    if *origin == Origin::Echo {
        return Row::ok(NAME, "the built-in one");
    }
    let dialer = match Dialer::new(origin) {
        Ok(dialer) => dialer,
        Err(error) => return Row::fail(NAME, chain(&error), "correct --origin"),
    };
    let dialled = timeout(CONNECT, dialer.dial()).await;
    let Fresh { io, is_h2 } = match dialled {
        Ok(Ok(fresh)) => fresh,
        Ok(Err(OriginError::Tls(error))) => return untrusted(origin, &*error),
        Ok(Err(error)) => return absent(origin, &cause(&error)),
        Err(_) => return absent(origin, "no answer"),
    };
    let is_h2c = matches!(
        origin,
        Origin::Tcp {
            scheme: Scheme::H2c,
            ..
        }
    );
    let answer = if is_h2 || is_h2c {
        within(http2(io, tunnel)).await
    } else {
        within(http1(io, tunnel)).await
    };
    match answer {
        Answer::Http(status) => {
            let unchecked = match origin {
                Origin::Tcp { insecure: true, .. } => "; its certificate is not looked at",
                Origin::Tcp { .. } | Origin::Unix { .. } | Origin::Echo => "",
            };
            Row::ok(NAME, format!("{origin} answers {status}{unchecked}"))
        }
        Answer::Silent => Row::warn(
            NAME,
            format!("{origin} accepts connections, and has not answered a HEAD within {ANSWER:?}"),
            "see what holds the server up; visitors wait as long as --origin-timeout",
        ),
        Answer::Tls => Row::fail(
            NAME,
            format!("{origin} speaks TLS"),
            "give it as --origin https://HOST:PORT",
        ),
        Answer::Other(why) => Row::fail(
            NAME,
            format!("{origin} accepts connections, and does not speak HTTP: {why}"),
            "check the port; --origin h2c://HOST:PORT for HTTP/2 without TLS",
        ),
    }
}

fn absent(origin: &Origin, why: &str) -> Row {
    Row::fail(
        NAME,
        format!("{origin} accepts no connection: {why}"),
        "start the server; the agent waits for it, and visitors get 502 meanwhile",
    )
}

fn untrusted(origin: &Origin, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Row {
    let is_certificate = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
    let fix = if is_certificate {
        "--origin-insecure, if that is your own server; or have this machine trust its certificate"
    } else {
        "give it as http:// if it has no TLS"
    };
    Row::fail(NAME, format!("{origin}: {}", chain(error)), fix)
}

/// What is behind our own words for a failure.
fn cause(error: &OriginError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

enum Answer {
    Http(u16),
    Silent,
    Tls,
    Other(String),
}

async fn within(asked: impl Future<Output = Answer>) -> Answer {
    timeout(ANSWER, asked).await.unwrap_or(Answer::Silent)
}

/// Asks for the head of the first page, which changes nothing (RFC 9110 section 9.2.1).
async fn http1(mut io: Box<dyn Io>, tunnel: &Tunnel) -> Answer {
    let host = host(tunnel);
    let request = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = [0; 256];
    let mut len = 0;
    let asked: io::Result<()> = async {
        io.write_all(request.as_bytes()).await?;
        while len < STATUS_LINE {
            match io.read(&mut answer[len..]).await? {
                0 => break,
                more => len += more,
            }
        }
        Ok(())
    }
    .await;
    let answer = &answer[..len];
    if answer.starts_with(b"HTTP/1.") {
        let status = answer
            .get(9..12)
            .and_then(|digits| str::from_utf8(digits).ok());
        if let Some(status) = status.and_then(|digits| digits.parse().ok()) {
            return Answer::Http(status);
        }
    }
    // An alert of TLS (RFC 8446 section 5.1).
    if answer.starts_with(&[0x15, 0x03]) {
        return Answer::Tls;
    }
    match asked {
        Err(error) => Answer::Other(error.to_string()),
        Ok(()) if answer.is_empty() => Answer::Other("it closes the connection".to_owned()),
        Ok(()) => Answer::Other(format!("it answers {:?}", String::from_utf8_lossy(answer))),
    }
}

/// The same over HTTP/2.
async fn http2(io: Box<dyn Io>, tunnel: &Tunnel) -> Answer {
    let asked = async {
        let (mut sender, connection) = client::handshake(io).await?;
        let uri = format!("http://{}/", host(tunnel));
        let Ok(request) = Request::head(uri).body(()) else {
            return Err(h2::Reason::INTERNAL_ERROR.into());
        };
        let (response, _) = sender.send_request(request, true)?;
        // The connection has to be driven while the response is waited for.
        tokio::select! {
            biased;
            response = response => response,
            ended = connection => Err(ended.err().unwrap_or_else(|| h2::Reason::NO_ERROR.into())),
        }
    };
    match asked.await {
        Ok(response) => Answer::Http(response.status().as_u16()),
        Err(error) => Answer::Other(error.to_string()),
    }
}

/// What the origin would see as its host; the public one is not known yet.
fn host(tunnel: &Tunnel) -> String {
    match &tunnel.host_header {
        HostHeader::Keep | HostHeader::Rewrite => tunnel.origin.authority(),
        HostHeader::Value(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}

const NAME: &str = "origin";
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(3);
/// `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;
