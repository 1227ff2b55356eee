//! Which exchanges are wanted: a few words, all of which must be true of one.
//!
//! `method:POST status:5xx -path:/health* header:x-shop=acme body:"order 12" duration:>200ms size:<10k`;
//! a word without a colon is looked for in method, URL and comment. A comma stands between values of which
//! one is enough, a `-` before a word turns it around.

use std::str::FromStr;
use std::time::Duration;

use adit_shared::wire::fields::Fields;
use thiserror::Error;

use super::exchange::Exchange;
use super::summary::Summary;

/// Which exchanges are wanted; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<Term>);

#[derive(Clone, Debug)]
struct Term {
    negated: bool,
    any: Vec<Test>,
}

#[derive(Clone, Debug)]
enum Test {
    Method(String),
    Status(Range),
    NoStatus,
    /// A pattern with `*`.
    Path(String),
    Url(String),
    Tunnel(String),
    Visitor(String),
    Header(String, Option<String>),
    Body(Vec<u8>),
    /// In milliseconds.
    Duration(Range),
    /// In bytes, both bodies together.
    Size(Range),
    Kind(String),
    Is(Is),
    Id(u64),
    Comment(String),
    Provider(String),
    Event(String),
    Verified(Option<bool>),
    Word(String),
}

#[derive(Clone, Copy, Debug)]
enum Is {
    Marked,
    Replay,
    Failed,
    Pending,
    Imported,
}

/// From the first to the second, both included.
#[derive(Clone, Copy, Debug)]
struct Range(f64, f64);

/// Why a text is no filter.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("{0}")]
pub struct BadFilter(String);

impl Filter {
    /// Whether all are wanted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `exchange` is wanted.
    pub fn wants(&self, exchange: &Exchange) -> bool {
        if self.is_empty() {
            return true;
        }
        let summary = Summary::of(exchange);
        let is = |test: &Test| test.is_true(exchange, &summary);
        self.0
            .iter()
            .all(|term| term.any.iter().any(is) != term.negated)
    }
}

impl Test {
    fn is_true(&self, exchange: &Exchange, summary: &Summary) -> bool {
        let size = || (summary.received + summary.sent) as f64;
        match self {
            Self::Method(method) => summary.method.eq_ignore_ascii_case(method),
            Self::Status(range) => summary
                .status
                .is_some_and(|status| range.has(f64::from(status))),
            Self::NoStatus => summary.status.is_none(),
            Self::Path(pattern) => {
                let path = summary.target.split('?').next().unwrap_or_default();
                matches(pattern.as_bytes(), path.as_bytes())
            }
            Self::Url(text) => contains(&summary.url, text),
            Self::Tunnel(text) => contains(&summary.tunnel, text),
            Self::Visitor(text) => summary.visitor.as_ref().is_some_and(|v| contains(v, text)),
            Self::Header(name, value) => {
                let state = exchange.state();
                let answer = state.response.as_ref().map(|answer| &answer.fields);
                [Some(&exchange.fields), answer]
                    .into_iter()
                    .flatten()
                    .any(|fields| has_field(fields, name, value.as_deref()))
            }
            Self::Body(text) => {
                let (sent, body) = exchange.bodies();
                [sent, body].iter().any(|body| find(body, text))
            }
            Self::Duration(range) => range.has(summary.took),
            Self::Size(range) => range.has(size()),
            Self::Kind(kind) => summary.kind.eq_ignore_ascii_case(kind),
            Self::Is(Is::Marked) => summary.marked,
            Self::Is(Is::Replay) => summary.replay_of.is_some(),
            Self::Is(Is::Failed) => summary.is_failed(),
            Self::Is(Is::Pending) => summary.pending,
            Self::Is(Is::Imported) => summary.imported,
            Self::Id(id) => summary.id == *id,
            Self::Comment(text) => contains(&summary.comment, text),
            Self::Provider(name) => {
                let hook = summary.webhook.as_ref();
                hook.is_some_and(|hook| hook.provider.eq_ignore_ascii_case(name))
            }
            Self::Event(pattern) => {
                let event = summary
                    .webhook
                    .as_ref()
                    .and_then(|hook| hook.event.as_ref());
                event.is_some_and(|event| matches(pattern.as_bytes(), event.as_bytes()))
            }
            Self::Verified(wanted) => {
                let hook = summary.webhook.as_ref();
                hook.is_some_and(|hook| hook.verified == *wanted)
            }
            Self::Word(text) => {
                let id = summary.request_id.as_deref().unwrap_or_default();
                let places = [&summary.method, &summary.url, &summary.comment];
                places.iter().any(|place| contains(place, text)) || id == text
            }
        }
    }

    fn parse(key: &str, value: &str) -> Result<Self, BadFilter> {
        let lower = || value.to_ascii_lowercase();
        Ok(match key {
            "method" => Self::Method(value.to_owned()),
            "status" if value == "none" => Self::NoStatus,
            "status" => Self::Status(status(value)?),
            "path" => Self::Path(value.to_owned()),
            "url" => Self::Url(lower()),
            "tunnel" => Self::Tunnel(lower()),
            "visitor" | "ip" => Self::Visitor(lower()),
            "header" => match value.split_once('=') {
                Some((name, value)) => {
                    Self::Header(name.to_ascii_lowercase(), Some(value.to_ascii_lowercase()))
                }
                None => Self::Header(lower(), None),
            },
            "body" => Self::Body(value.to_ascii_lowercase().into_bytes()),
            "duration" => Self::Duration(range(value, milliseconds)?),
            "size" => Self::Size(range(value, bytes)?),
            "type" | "kind" => Self::Kind(lower()),
            "is" => Self::Is(match value {
                "marked" => Is::Marked,
                "replay" => Is::Replay,
                "failed" => Is::Failed,
                "pending" => Is::Pending,
                "imported" => Is::Imported,
                _ => {
                    let why = "is: knows marked, replay, failed, pending and imported";
                    return Err(BadFilter(why.to_owned()));
                }
            }),
            "id" => match value.parse() {
                Ok(id) => Self::Id(id),
                Err(_) => return Err(BadFilter(format!("id:{value} is no number"))),
            },
            "provider" => Self::Provider(value.to_owned()),
            "event" => Self::Event(value.to_owned()),
            "verified" => Self::Verified(match value {
                "yes" => Some(true),
                "no" => Some(false),
                "unknown" => None,
                _ => return Err(BadFilter("verified: knows yes, no and unknown".to_owned())),
            }),
            "comment" => Self::Comment(lower()),
            _ => {
                let why = format!("there is no {key}: in the language of filters");
                return Err(BadFilter(why));
            }
        })
    }
}

impl FromStr for Filter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        if text.len() > MAX_LENGTH {
            let why = format!("a filter has at most {MAX_LENGTH} bytes");
            return Err(BadFilter(why));
        }
        words(text)?
            .into_iter()
            .map(|word| term(&word))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn term(word: &Word) -> Result<Term, BadFilter> {
    let negated = word.negated;
    let any = match &word.key {
        None => vec![Test::Word(word.value.to_ascii_lowercase())],
        Some(key) if word.quoted || key == "body" || key == "header" => {
            vec![Test::parse(key, &word.value)?]
        }
        Some(key) => {
            let values = word.value.split(',').map(|value| Test::parse(key, value));
            values.collect::<Result<_, _>>()?
        }
    };
    Ok(Term { negated, any })
}

#[derive(Debug, Default)]
struct Word {
    negated: bool,
    key: Option<String>,
    value: String,
    quoted: bool,
}

/// Words with spaces between them; a part of one in double quotes may have spaces and colons.
fn words(text: &str) -> Result<Vec<Word>, BadFilter> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|char| char.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let mut word = Word {
            negated: rest.next_if_eq(&'-').is_some(),
            ..Word::default()
        };
        let mut in_quotes = false;
        while let Some(char) = rest.next_if(|char| in_quotes || !char.is_whitespace()) {
            match char {
                '"' => {
                    in_quotes = !in_quotes;
                    word.quoted = true;
                }
                '\\' if in_quotes => word.value.extend(rest.next()),
                ':' if word.key.is_none() && !word.quoted => {
                    word.key = Some(std::mem::take(&mut word.value).to_ascii_lowercase());
                }
                char => word.value.push(char),
            }
        }
        if in_quotes {
            return Err(BadFilter("a quotation mark is missing".to_owned()));
        }
        if word.value.is_empty() && !word.quoted {
            let key = word.key.as_deref().unwrap_or("-");
            return Err(BadFilter(format!("nothing follows {key}:")));
        }
        words.push(word);
    }
}

fn status(text: &str) -> Result<Range, BadFilter> {
    if let Some(class) = text
        .strip_suffix("xx")
        .and_then(|class| class.parse::<u16>().ok())
        && (1..=9).contains(&class)
    {
        let first = f64::from(class) * 100.0;
        return Ok(Range(first, first + 99.0));
    }
    range(text, |text| text.parse().ok())
}

/// `200`, `>200`, `>=200`, `<200`, `<=200` or `200..300`.
fn range(text: &str, parse: impl Fn(&str) -> Option<f64>) -> Result<Range, BadFilter> {
    let number = |part: &str| {
        let bad = || {
            BadFilter(format!(
                "{text:?} is no number, such as >500, <=20 or 10..20"
            ))
        };
        parse(part.trim())
            .filter(|number| number.is_finite())
            .ok_or_else(bad)
    };
    if let Some(rest) = text.strip_prefix(">=") {
        Ok(Range(number(rest)?, f64::INFINITY))
    } else if let Some(rest) = text.strip_prefix("<=") {
        Ok(Range(f64::NEG_INFINITY, number(rest)?))
    } else if let Some(rest) = text.strip_prefix('>') {
        Ok(Range(number(rest)?.next_up(), f64::INFINITY))
    } else if let Some(rest) = text.strip_prefix('<') {
        Ok(Range(f64::NEG_INFINITY, number(rest)?.next_down()))
    } else if let Some((first, last)) = text.split_once("..") {
        Ok(Range(number(first)?, number(last)?))
    } else {
        number(text).map(|number| Range(number, number))
    }
}

impl Range {
    fn has(self, number: f64) -> bool {
        self.0 <= number && number <= self.1
    }
}

/// Plain numbers are milliseconds.
fn milliseconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let duration: jiff::SignedDuration = text.parse().ok()?;
    let duration = Duration::try_from(duration).ok()?;
    Some(duration.as_secs_f64() * 1000.0)
}

/// Plain numbers are bytes; `k`, `M` and `G` are thousands.
fn bytes(text: &str) -> Option<f64> {
    let text = text.strip_suffix(['b', 'B']).unwrap_or(text);
    let (number, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'm' | 'M') => (&text[..at], 1e6),
        (at, 'g' | 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// Whether `text` is as `pattern` says, in which `*` stands for anything; without one it may begin so.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if !pattern.contains(&b'*') {
        return text.starts_with(pattern);
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn has_field(fields: &Fields, name: &str, value: Option<&str>) -> bool {
    fields
        .get_all(name)
        .any(|is| value.is_none_or(|wanted| find(is, wanted.as_bytes())))
}

/// `part` is in lower case.
fn contains(text: &str, part: &str) -> bool {
    find(text.as_bytes(), part.as_bytes())
}

/// Whether `part`, which is in lower case, is in `text` in any case.
fn find(text: &[u8], part: &[u8]) -> bool {
    part.is_empty()
        || text
            .windows(part.len())
            .any(|at| at.eq_ignore_ascii_case(part))
}

/// In bytes.
const MAX_LENGTH: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Capture, Limits};
    use adit_shared::wire::head;
    use bytes::Bytes;
    use http::{HeaderValue, Method, StatusCode};
    use http_body_util::{BodyExt as _, Full};

    async fn example() -> std::sync::Arc<Exchange> {
        let head = head::Request {
            tunnel: 0,
            method: Method::POST,
            https: true,
            authority: HeaderValue::from_static("shop.example.com"),
            target: "/hooks/stripe?test=1".parse().unwrap(),
            protocol: None,
            arrival: None,
            fields: Fields::from_pairs([("x-shop", "Acme"), ("x-forwarded-for", "192.0.2.7")])
                .unwrap(),
            end: false,
        };
        let capture = Capture::new(Limits::default(), None);
        let open = capture.begin(&head, "web", || None).unwrap();
        let stripe = adit_shared::webhook::provider("stripe").unwrap();
        let mut seen = adit_shared::webhook::Seen::new(stripe);
        (seen.event, seen.verified) = (Some("charge.failed".into()), Some(false));
        open.tap().webhook(&seen);
        let body = Full::new(Bytes::from("an Order: 12"));
        let tapped = crate::capture::tap::Tapped::new(
            body,
            open.tap().clone(),
            crate::capture::Side::Visitor,
        );
        tapped.collect().await.unwrap();
        open.tap().response(&head::Response {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            fields: Fields::from_pairs([("content-type", "text/plain")]).unwrap(),
            end: true,
        });
        open.end("done");
        open.tap().exchange().clone()
    }

    #[tokio::test]
    async fn each_word_says_what_it_should() {
        let exchange = example().await;
        let wants = |text: &str| text.parse::<Filter>().unwrap().wants(&exchange);
        for (is, not) in [
            ("", "nothing-like-it"),
            ("method:post", "method:GET,PUT"),
            ("status:500", "status:501"),
            ("status:5xx", "status:2xx,3xx"),
            ("status:404,>=500", "status:none"),
            ("path:/hooks", "path:/hook*s"),
            ("path:*stripe", "path:stripe"),
            ("stripe shop", "stripe paypal"),
            ("url:test=1", "-url:test=1"),
            ("header:x-shop", "header:x-store"),
            ("header:X-Shop=acme", "header:x-shop=other"),
            ("header:content-type=text", "-header:content-type"),
            (r#"body:"order: 12""#, "body:13"),
            ("duration:<1m", "duration:>=1m"),
            ("size:12", "size:>1k"),
            ("size:10..20", "size:<12"),
            ("visitor:192.0.2", "ip:10."),
            ("type:http", "type:websocket"),
            ("-is:replay -is:failed", "is:marked"),
            ("-is:pending", "is:pending"),
            ("tunnel:web id:1", "tunnel:other"),
            ("provider:Stripe event:charge.*", "provider:github"),
            ("verified:no", "verified:yes,unknown"),
        ] {
            assert!(wants(is), "{is}");
            assert!(!wants(not), "{not}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (text, word) in [
            ("colour:red", "colour"),
            ("status:many", "many"),
            ("duration:>soon", "soon"),
            ("is:odd", "is:"),
            ("body:\"open", "quotation"),
            ("method:", "method"),
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }
}
