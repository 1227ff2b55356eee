//! What is to be done: the command line, complete and valid.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::pki_types::CertificateDer;
use thiserror::Error;

use adit_shared::quic::tls::{self, TlsError};

use crate::args::Args;
use crate::result;
use crate::sizes::{Bodies, Sizes};
use crate::target::{BadTarget, Target};

/// A load test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go.
    pub target: Target,
    /// What is spoken; none leaves it to the server (HTTP/2 if it can).
    pub protocol: Option<Protocol>,
    /// What each connection does.
    pub work: Work,
    /// Requests a second in all; none for a closed loop.
    pub rate: Option<f64>,
    /// Measured time.
    pub duration: Duration,
    /// Time before it that does not count.
    pub warmup: Duration,
    /// The most requests that are started.
    pub requests: u64,
    /// Connections.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
    /// Whether each request has a connection of its own.
    pub new_connections: bool,
    /// How long a request may take.
    pub timeout: Duration,
    /// The method.
    pub method: Method,
    /// Fields for each request.
    pub fields: HeaderMap,
    /// Their bodies.
    pub bodies: Bodies,
    /// Which certificates are good.
    pub trust: Trust,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
    /// WebSocket over HTTP/1.1.
    WebSocket,
}

/// What each connection does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// Requests.
    Request,
    /// Requests with large bodies.
    Upload,
    /// Requests with large answers.
    Download,
    /// Reads server-sent events.
    Events,
    /// Sends messages and waits for their echo.
    Echo,
}

/// Which certificates are good.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that this machine trusts.
    Platform,
    /// Those issued by one of these.
    Roots(Vec<CertificateDer<'static>>),
    /// All. For loopback only.
    Any,
}

impl TryFrom<&Args> for Plan {
    type Error = BadPlan;

    fn try_from(args: &Args) -> Result<Self, BadPlan> {
        let mut target: Target = args.url.parse()?;
        if let Some(place) = &args.connect {
            target = target.at(place)?;
        }
        let protocol = protocol(args, target.https);
        if protocol == Some(Protocol::Http3) && !target.https {
            return Err(BadPlan::Http3);
        }
        if target.https {
            target.server_name()?;
        }
        let work = work(args);
        let many = matches!(protocol, None | Some(Protocol::Http2 | Protocol::Http3));
        if args.connections == 0 || args.streams == 0 {
            return Err(BadPlan::Zero);
        }
        if args.streams > 1 && (!many || args.new_connections) {
            return Err(BadPlan::Streams);
        }
        if args.duration.is_zero() || args.duration + args.warmup > LONGEST {
            return Err(BadPlan::Duration);
        }
        if args.rate.is_some_and(|rate| !(RATES.contains(&rate))) {
            return Err(BadPlan::Rate);
        }
        let trust = trust(args, &target)?;
        let bodies = bodies(args, work)?;
        Ok(Self {
            work,
            rate: args.rate,
            duration: args.duration,
            warmup: args.warmup,
            requests: args.requests.unwrap_or(u64::MAX),
            connections: args.connections,
            streams: args.streams,
            new_connections: args.new_connections,
            timeout: args.timeout,
            method: method(args, &bodies)?,
            fields: fields(&args.headers)?,
            bodies,
            trust,
            protocol,
            target,
        })
    }
}

fn protocol(args: &Args, https: bool) -> Option<Protocol> {
    match args {
        _ if args.http1 => Some(Protocol::Http1),
        _ if args.http2 => Some(Protocol::Http2),
        _ if args.http3 => Some(Protocol::Http3),
        _ if args.websocket => Some(Protocol::WebSocket),
        _ => (!https).then_some(Protocol::Http1),
    }
}

fn work(args: &Args) -> Work {
    match args {
        _ if args.websocket => Work::Echo,
        _ if args.events => Work::Events,
        _ if args.upload => Work::Upload,
        _ if args.download => Work::Download,
        _ => Work::Request,
    }
}

fn trust(args: &Args, target: &Target) -> Result<Trust, BadPlan> {
    if args.insecure {
        if !target.is_loopback() {
            return Err(BadPlan::Insecure);
        }
        return Ok(Trust::Any);
    }
    match &args.ca {
        Some(path) => Ok(Trust::Roots(tls::read_certificates(path)?)),
        None => Ok(Trust::Platform),
    }
}

fn bodies(args: &Args, work: Work) -> Result<Bodies, BadPlan> {
    if let Some(path) = &args.body_file {
        let bytes = fs::read(path).map_err(|error| BadPlan::File(path.clone(), error))?;
        return Ok(Bodies::File(bytes.into()));
    }
    let default = match work {
        Work::Upload => Some(Sizes::Fixed(1 << 20)),
        Work::Echo => Some(Sizes::Fixed(64)),
        Work::Request | Work::Download | Work::Events => None,
    };
    Ok(args.body.or(default).map_or(Bodies::None, Bodies::noise))
}

fn method(args: &Args, bodies: &Bodies) -> Result<Method, BadPlan> {
    match &args.method {
        Some(method) if method == "CONNECT" => Err(BadPlan::Method),
        Some(method) => method.parse().map_err(|_| BadPlan::Method),
        // A WebSocket begins with a GET, and its messages come later.
        None if matches!(bodies, Bodies::None) || args.websocket => Ok(Method::GET),
        None => Ok(Method::POST),
    }
}

fn fields(headers: &[String]) -> Result<HeaderMap, BadPlan> {
    let mut fields = HeaderMap::new();
    for header in headers {
        let bad = || BadPlan::Header(header.split(':').next().unwrap_or_default().to_owned());
        let (name, value) = header.split_once(':').ok_or_else(bad)?;
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        if FRAMING.contains(&name.as_str()) {
            return Err(BadPlan::Framing(name));
        }
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        fields.append(name, value);
    }
    Ok(fields)
}

impl Plan {
    /// For a result, once it is known what is spoken.
    pub fn describe(&self, protocol: Protocol) -> result::Plan {
        result::Plan {
            url: self.target.url.clone(),
            protocol: match protocol {
                Protocol::Http1 => "http1",
                Protocol::Http2 => "http2",
                Protocol::Http3 => "http3",
                Protocol::WebSocket => "websocket",
            }
            .to_owned(),
            work: match self.work {
                Work::Request => "request",
                Work::Upload => "upload",
                Work::Download => "download",
                Work::Events => "events",
                Work::Echo => "echo",
            }
            .to_owned(),
            rate: self.rate,
            connections: self.connections,
            streams: self.streams,
            duration_s: self.duration.as_secs_f64(),
            warmup_s: self.warmup.as_secs_f64(),
            body: self.bodies.to_string(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
            Self::WebSocket => "WebSocket",
        })
    }
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum BadPlan {
    /// The URL or the place.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// HTTP/3 without TLS.
    #[error("--http3 needs an https:// URL")]
    Http3,
    /// Nothing at once.
    #[error("--connections and --streams are at least 1")]
    Zero,
    /// Several streams where there is one.
    #[error("--streams needs --http2 or --http3, and connections that stay")]
    Streams,
    /// No time, or very much.
    #[error("--duration is above 0, and at most 24h together with --warmup")]
    Duration,
    /// No rate, or one that no program can keep.
    #[error("--rate is between 0.01 and 1,000,000 requests a second")]
    Rate,
    /// Any certificate from anywhere.
    #[error("--insecure is for loopback addresses only: elsewhere, use --ca")]
    Insecure,
    /// The method is none, or makes a tunnel.
    #[error("--method is an HTTP method other than CONNECT")]
    Method,
    /// A header field does not parse.
    #[error("--header {0:?} is not written 'Name: value'")]
    Header(String),
    /// A field that is for the load tester to set.
    #[error("--header {0} is set by loadtest itself")]
    Framing(HeaderName),
    /// A body cannot be read.
    #[error("cannot read {0}")]
    File(PathBuf, #[source] io::Error),
    /// Certificates cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Fields that say where a message ends, or whom it is for.
const FRAMING: [&str; 7] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "expect",
    "te",
];
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn plan(line: &str) -> Result<Plan, BadPlan> {
        let words = ["loadtest"].into_iter().chain(line.split_whitespace());
        Plan::try_from(&Args::try_parse_from(words).unwrap())
    }

    #[test]
    fn what_is_not_said_follows_from_the_rest() {
        let plain = plan("http://a").unwrap();
        assert_eq!(plain.protocol, Some(Protocol::Http1));
        assert_eq!(plain.method, Method::GET);
        assert_eq!(plan("https://a").unwrap().protocol, None);
        assert_eq!(plan("http://a --body 1KiB").unwrap().method, Method::POST);
        let upload = plan("http://a --upload").unwrap();
        assert_eq!(upload.bodies.to_string(), "1048576 bytes");
        let echo = plan("http://a --websocket").unwrap();
        assert_eq!((echo.work, echo.method), (Work::Echo, Method::GET));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "http://a --http3",
            "http://a --streams 2",
            "http://a --websocket --streams 2",
            "https://a --http2 --streams 2 --new-connections",
            "http://a --connections 0",
            "http://a --duration 0s",
            "http://a --rate 0",
            "http://a --rate NaN",
            "https://a.example --insecure",
            "https://a.localhost --insecure --connect a.example:443",
            "http://a --method CONNECT",
            "http://a --header nonsense",
            "http://a --header Host:b",
            "http://a --body-file /does/not/exist",
            "https://a --ca /does/not/exist",
            "http://u:p@a",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
        assert!(plan("https://a.example --insecure --connect 127.0.0.1:1").is_ok());
    }

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let words = ["loadtest", "http://a", "--header", "Authoriz ation: canary"];
        let error = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
