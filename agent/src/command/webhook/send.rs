//! `agent webhook send PROVIDER EVENT`: a signed event to any URL, and what came back.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use adit_shared::task::Tasks;
use adit_shared::webhook::scheme::Source;
use adit_shared::webhook::{Message, Provider, SignError, provider, sign};
use adit_shared::wire::fields::{BadField, Fields};
use adit_shared::wire::head;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::Method;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::json;
use thiserror::Error;
use tokio::time::timeout;

use super::sample;
use crate::config::origin::BadOrigin;
use crate::config::{BadConfig, Given, HostHeader, Origin, Tunnel, Webhooks};
use crate::origin::{Next, OriginError, Upstream};
use crate::ui::brief;
use crate::ui::escape::escape;

/// What to send.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The provider, by any of its names.
    pub provider: String,
    /// The type of the event.
    pub event: String,
    /// Where to; nothing for the origin that `given` names.
    pub to: Option<String>,
    /// A file with the body; nothing for a sample.
    pub body: Option<String>,
}

/// Signs an event with the secret that `given` holds, sends it, and writes what came back to stdout. True when
/// that was a success. Safe to drop.
///
/// # Errors
///
/// [`SendError`].
pub async fn send(given: &Given, sending: &Sending) -> Result<bool, SendError> {
    let name = sending.provider.as_str();
    let provider = provider(name).ok_or_else(|| SendError::Provider(name.to_owned()))?;
    let secret = given.webhook_secret(name, provider)?;
    let target = match &sending.to {
        Some(url) => Target::parse(url, given)?,
        None => Target::of(given)?,
    };
    let now = SystemTime::now();
    let id = new_id(provider.name)?;
    let body = body(provider, sending, &id, now)?;
    let fields = Fields::from_pairs(fields(provider, &sending.event, &id))?;
    let message = Message::new("POST", &target.url, &fields, &body);
    let signed = sign(provider, &secret, &message, now)?;
    let body = signed.body.unwrap_or(body);
    let message = Message::new("POST", &target.url, &signed.fields, &body);
    let id = provider.id(&message);
    tell(&format!(
        "POST {}: {} {}{}, signed",
        target.url,
        provider.name,
        sending.event,
        id.as_deref()
            .map_or_else(String::new, |id| format!(" {id}")),
    ));
    let length = [("content-length", body.len().to_string())];
    let length = length
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let fields = Fields::from_pairs(signed.fields.iter().chain(length))?;
    let since = Instant::now();
    let asked = ask(&target, fields, body.into());
    let answer = timeout(PATIENCE, asked).await;
    let answer = answer.map_err(|_| SendError::Origin(OriginError::Timeout))??;
    let took = since.elapsed();
    if given.json() {
        let line = json!({
            "provider": provider.name,
            "event": sending.event,
            "id": id,
            "url": target.url,
            "status": answer.status,
            "ms": took.as_micros() as f64 / 1e3,
            "body": String::from_utf8_lossy(&answer.body),
        });
        writeln!(io::stdout(), "{line}").map_err(SendError::Stdout)?;
    } else {
        show(&answer, took).map_err(SendError::Stdout)?;
    }
    Ok((200..300).contains(&answer.status))
}

/// Where an event goes.
struct Target {
    url: String,
    origin: Origin,
    authority: HeaderValue,
    path: PathAndQuery,
}

impl Target {
    fn parse(url: &str, given: &Given) -> Result<Self, SendError> {
        let bad = || SendError::Url(url.to_owned());
        let start = url.find("://").ok_or_else(bad)? + 3;
        let end = url[start..]
            .find(['/', '?'])
            .map_or(url.len(), |at| start + at);
        let path = match &url[end..] {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let mut origin = Origin::from_str(&url[..end])?;
        if let Origin::Tcp { host, insecure, .. } = &mut origin {
            *insecure = given.origin_insecure();
            // All of these names are this machine (RFC 6761 section 6.3), and not every resolver knows.
            if host.ends_with(".localhost") {
                "localhost".clone_into(host);
            }
        }
        Ok(Self {
            url: format!("{}{path}", &url[..end]),
            origin,
            authority: HeaderValue::from_str(&url[start..end]).map_err(|_| bad())?,
            path: PathAndQuery::try_from(path).map_err(|_| bad())?,
        })
    }

    /// The root of the origin that an agent would forward to.
    fn of(given: &Given) -> Result<Self, SendError> {
        let tunnel = given.tunnels()?.into_iter().next();
        let origin = tunnel.ok_or(SendError::NoUrl)?.origin;
        let authority = origin.authority();
        let url = match &origin {
            Origin::Unix { .. } | Origin::Echo => format!("http://{authority}/"),
            Origin::Tcp { .. } => format!("{}/", origin.url()),
        };
        Ok(Self {
            authority: HeaderValue::from_str(&authority).map_err(|_| SendError::NoUrl)?,
            path: PathAndQuery::from_static("/"),
            url,
            origin,
        })
    }
}

fn body(
    provider: &Provider,
    sending: &Sending,
    id: &str,
    now: SystemTime,
) -> Result<Vec<u8>, SendError> {
    if let Some(path) = &sending.body {
        let mut bytes = Vec::new();
        let read =
            fs::File::open(path).and_then(|file| file.take(MAX_BODY).read_to_end(&mut bytes));
        read.map_err(|error| SendError::Body(path.into(), error))?;
        return Ok(bytes);
    }
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = since.unwrap_or_default().as_secs();
    let body = sample::body(provider.name, &sending.event, id, now);
    let body = body.ok_or_else(|| {
        let known = sample::events(provider.name).join(", ");
        SendError::Event(provider.name, sending.event.clone(), known)
    })?;
    Ok(body.to_string().into_bytes())
}

/// The fields that a provider sends with an event, but for its signature.
pub(super) fn fields(provider: &Provider, event: &str, id: &str) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", format!("adit/{}", env!("CARGO_PKG_VERSION"))),
        ("accept", "*/*".to_owned()),
    ];
    for (sources, value) in [(provider.event, event), (provider.id, id)] {
        if let Some(Source::Field(name)) = sources.first() {
            fields.push((name, value.to_owned()));
        }
    }
    fields.extend(sample::fields(provider.name, id));
    fields
}

/// An event's id in the provider's manner.
fn new_id(provider: &str) -> Result<String, SendError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SendError::Random)?;
    let hex = HEXLOWER.encode(&bytes);
    Ok(match provider {
        "stripe" => format!("evt_{}", &hex[..24]),
        "slack" => format!("Ev{}", hex[..10].to_ascii_uppercase()),
        "standard-webhooks" | "svix" => format!("msg_{}", &hex[..24]),
        _ => {
            let part = |at: std::ops::Range<usize>| &hex[at];
            let (a, b, c) = (part(0..8), part(8..12), part(13..16));
            format!("{a}-{b}-4{c}-a{}-{}", part(17..20), part(20..32))
        }
    })
}

struct Answer {
    status: u16,
    fields: Fields,
    body: Bytes,
}

async fn ask(target: &Target, fields: Fields, body: Bytes) -> Result<Answer, SendError> {
    let tunnel = Tunnel {
        inbox: None,
        mirror: None,
        id: 0,
        label: String::new(),
        name: None,
        host: None,
        origin: target.origin.clone(),
        host_header: HostHeader::Keep,
        origin_timeout: PATIENCE,
        webhooks: Webhooks::default(),
    };
    let tasks = Tasks::default();
    let upstream = Upstream::new(&tunnel, tasks.clone())?;
    let request = head::Request {
        tunnel: 0,
        method: Method::POST,
        https: target.url.starts_with("https://"),
        authority: target.authority.clone(),
        target: target.path.clone(),
        protocol: None,
        arrival: None,
        fields,
        end: body.is_empty(),
    };
    let body = (!body.is_empty()).then(|| Full::new(body));
    let mut pending = upstream.request(Box::new(request), body).await?;
    let response = loop {
        if let Next::Response(response) = pending.next().await? {
            break response;
        }
    };
    let read = Limited::new(response.body, MAX_ANSWER).collect().await;
    let body = read.map_err(|error| SendError::Answer(error.to_string()))?;
    tasks.abort();
    Ok(Answer {
        status: response.head.status.as_u16(),
        fields: response.head.fields,
        body: body.to_bytes(),
    })
}

fn show(answer: &Answer, took: Duration) -> io::Result<()> {
    let mut to = anstream::stdout().lock();
    writeln!(to, "{} in {}", answer.status, brief(took))?;
    for (name, value) in &answer.fields {
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        writeln!(to, "{name}: {value}")?;
    }
    writeln!(to)?;
    let text = String::from_utf8_lossy(&answer.body);
    for line in text.lines() {
        writeln!(to, "{}", escape(line, MAX_LINE))?;
    }
    Ok(())
}

fn tell(line: &str) {
    // There is nobody to tell when stderr is closed.
    drop(writeln!(anstream::stderr(), "{}", escape(line, MAX_LINE)));
}

/// Why an event was not sent, or nothing came back.
#[derive(Debug, Error)]
pub enum SendError {
    /// No such provider.
    #[error("{0:?} is no provider that is known; `agent webhook list` shows them")]
    Provider(String),
    /// There is no sample of this event.
    #[error("there is no sample of {0} {1:?}; give --body FILE, or one of: {2}")]
    Event(&'static str, String, String),
    /// Nobody said where to.
    #[error("where to? Give --to URL, --port N or --origin URL")]
    NoUrl,
    /// That is no URL.
    #[error("{0:?} is no URL such as http://localhost:3000/hooks")]
    Url(String),
    /// Nor is what stands before its path.
    #[error("--to: {0}")]
    Server(#[from] BadOrigin),
    /// The options are wrong.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The body cannot be read.
    #[error("cannot read {0}")]
    Body(PathBuf, #[source] io::Error),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The event's type cannot stand in a field.
    #[error("the event cannot be sent")]
    Field(#[from] BadField),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// Nothing came back.
    #[error("nothing came back")]
    Origin(#[from] OriginError),
    /// Not all of it came back.
    #[error("the answer is cut or above 1 MiB: {0}")]
    Answer(String),
    /// Nobody reads what came back.
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest body that is sent, in bytes.
const MAX_BODY: u64 = 32 << 20;
/// The largest answer that is shown, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// In characters.
const MAX_LINE: usize = 4096;
