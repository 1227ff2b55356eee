//! A TCP connection through an HTTP proxy (`CONNECT`, RFC 9110 section 9.3.6).

use std::io;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::Proxy;

/// Connects to `host` through `proxy`. Safe to drop.
///
/// # Errors
///
/// [`ConnectError`]; none repeats what the proxy was told.
pub(super) async fn through(
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<TcpStream, ConnectError> {
    let place = (proxy.host.as_str(), proxy.port);
    let broken = |error| ConnectError::Tcp(proxy.to_string(), error);
    let mut stream = TcpStream::connect(place).await.map_err(broken)?;
    let request = request(proxy, host, port);
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        // TLS begins with the client: what comes before that is the proxy's.
        if let Some(status) = status(&answer)? {
            return match status {
                200..300 => Ok(stream),
                407 => Err(ConnectError::Credentials),
                status => Err(ConnectError::Refused(status)),
            };
        }
        let mut byte = [0; 512];
        let length = stream.read(&mut byte).await.map_err(broken)?;
        if length == 0 || answer.len() > MAX_ANSWER {
            return Err(ConnectError::Nonsense);
        }
        answer.extend_from_slice(&byte[..length]);
    }
}

fn request(proxy: &Proxy, host: &str, port: u16) -> String {
    let target = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let authorization = proxy.authorization().map_or_else(String::new, |value| {
        format!("Proxy-Authorization: {value}\r\n")
    });
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n")
}

/// The status of a whole answer; nothing until it is whole.
///
/// # Errors
///
/// [`ConnectError::Nonsense`].
pub fn status(answer: &[u8]) -> Result<Option<u16>, ConnectError> {
    let mut left = answer;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let Ok(parsed) = response.parse(left) else {
            return Err(ConnectError::Nonsense);
        };
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let status = response.code.ok_or(ConnectError::Nonsense)?;
        left = &left[length..];
        // What is said in between is no answer yet (RFC 9110 section 15.2).
        if matches!(status, 100 | 102..200) {
            continue;
        }
        // Bytes behind a consent would be the relay's, which has nothing to say yet.
        if status < 300 && !left.is_empty() {
            return Err(ConnectError::Nonsense);
        }
        return Ok(Some(status));
    }
}

/// Why a proxy does not connect us.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// It cannot be reached.
    #[error("cannot use the proxy {0}: {1}")]
    Tcp(String, #[source] io::Error),
    /// It wants to know who we are.
    #[error("the proxy wants other credentials (407)")]
    Credentials,
    /// It does not want to.
    #[error("the proxy refuses to connect to the relay ({0})")]
    Refused(u16),
    /// It does not speak HTTP.
    #[error("the proxy gave no proper answer")]
    Nonsense,
}

/// In bytes.
const MAX_ANSWER: usize = 16 << 10;
const MAX_FIELDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_relay_and_who_asks() {
        let proxy: Proxy = "http://user:pass@proxy.test:3128".parse().unwrap();
        assert_eq!(
            request(&proxy, "relay.test", 443),
            "CONNECT relay.test:443 HTTP/1.1\r\nHost: relay.test:443\r\n\
             Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
        );
        let proxy: Proxy = "http://proxy.test".parse().unwrap();
        assert_eq!(
            request(&proxy, "::1", 443),
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
        );
    }

    #[test]
    fn answers_are_read_whole_and_nothing_may_follow_a_consent() {
        let consent = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        for cut in 0..consent.len() {
            assert!(matches!(status(&consent[..cut]), Ok(None)));
        }
        assert!(matches!(status(consent), Ok(Some(200))));
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n";
        assert!(matches!(status(interim), Ok(None)));
        let both = [&interim[..], consent].concat();
        assert!(matches!(status(&both), Ok(Some(200))));
        let more = [&consent[..], b"x"].concat();
        assert!(matches!(status(&more), Err(ConnectError::Nonsense)));
        let refusal = b"HTTP/1.0 407 No\r\ncontent-length: 2\r\n\r\nno";
        assert!(matches!(status(refusal), Ok(Some(407))));
        assert!(matches!(
            status(b"SSH-2.0\r\n"),
            Err(ConnectError::Nonsense)
        ));
    }
}
