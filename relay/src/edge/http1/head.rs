//! Heads of requests, read strictly (RFC 9112): what two readers might read in two ways is refused, and
//! nothing behind it is read.

use std::mem::MaybeUninit;

use adit_shared::hop::Options;
use adit_shared::http1::section::has_bare_line_feed;
use adit_shared::length::Length;
use http::{HeaderValue, Method};
use httparse::{Header, Status};
use thiserror::Error;

use super::target::{self, Target};

/// The head of a request. It borrows what was read.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method, as sent.
    pub method: Method,
    /// What it is for.
    pub target: Target<'a>,
    /// All fields, in the order in which they came.
    pub fields: &'a [Header<'a>],
    /// What the `Connection` fields say.
    pub options: Options<'a>,
    /// How the body is told from what follows it.
    pub framing: Framing,
    /// How the visitor wants to be answered.
    pub manners: Manners,
    /// The protocol that the visitor wants to switch to.
    pub protocol: Option<HeaderValue>,
}

/// How a visitor wants to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Manners {
    /// It speaks HTTP/1.1: it knows chunks and interim responses.
    pub is_11: bool,
    /// It would send another request on the connection.
    pub keep_alive: bool,
    /// It waits to be asked for the body (RFC 9110 section 10.1.1).
    pub expects: bool,
    /// It wants no body: the method is HEAD.
    pub bodiless: bool,
}

impl Manners {
    /// Of a visitor whose request was no request.
    pub(super) const UNKNOWN: Self = Self {
        is_11: true,
        keep_alive: false,
        expects: false,
        bodiless: false,
    };
}

/// How a request's body is told from what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// There are this many bytes; none for most requests.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// Why a request is not served. Its connection is of no more use.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadRequest {
    /// The head is none.
    #[error("{0}")]
    Syntax(&'static str),
    /// The target is none.
    #[error("{0}")]
    Target(&'static str),
    /// The target is an authority, which is for CONNECT alone, or an absolute one without host.
    #[error("the request's target names no host as it should")]
    Authority,
    /// Where the body ends is said in no way or in several.
    #[error("{0}")]
    Framing(&'static str),
    /// The body is in a coding that nobody here knows.
    #[error("the request's transfer coding is not known")]
    Coding,
    /// It is of another version of HTTP.
    #[error("the request is of another version of HTTP")]
    Version,
    /// The head is too large.
    #[error("the request's head is too large")]
    TooLarge,
    /// The head has too many fields.
    #[error("the request's head has too many fields")]
    TooMany,
    /// The head did not come in time.
    #[error("the request's head did not come in time")]
    Late,
}

impl BadRequest {
    /// The limit that it exceeds, if it does.
    pub const fn limit(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge => Some("head-bytes"),
            Self::TooMany => Some("head-fields"),
            Self::Late => Some("head-timeout"),
            _ => None,
        }
    }
}

/// Room for the fields of one head.
pub type Room<'a> = [MaybeUninit<Header<'a>>; MAX_FIELDS];

/// Reads a head at the start of `bytes`; says its length too. `None` when more is needed.
///
/// # Errors
///
/// [`BadRequest`].
pub fn parse<'a>(
    bytes: &'a [u8],
    room: &'a mut Room<'a>,
) -> Result<Option<(Head<'a>, usize)>, BadRequest> {
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(wrong(error, bytes)),
    };
    if has_bare_line_feed(&bytes[..len]) {
        return Err(BadRequest::Syntax(
            "A line of the head ends with a line feed alone.",
        ));
    }
    let fields: &[_] = request.headers;
    let is_11 = request.version == Some(1);
    let method = request.method.unwrap_or_default();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| BadRequest::Syntax("The method is none."))?;
    let target = target::parse(&method, request.path.unwrap_or_default())?;
    let said = Said::of(fields)?;
    let options = said.options(fields);
    let framing = said.framing(is_11)?;
    let manners = Manners {
        is_11,
        keep_alive: !options.close && (is_11 || options.keep_alive),
        expects: is_11 && said.expects && framing != Framing::Length(0),
        bodiless: method == Method::HEAD,
    };
    // Not with a body: what would follow a 101 could not be told from it.
    let may_switch = is_11 && options.upgrade && framing == Framing::Length(0);
    let protocol = said.protocol.filter(|_| may_switch).and_then(protocol);
    let head = Head {
        method,
        target,
        fields,
        options,
        framing,
        manners,
        protocol,
    };
    Ok(Some((head, len)))
}

/// What the fields say about the message and its connection.
#[derive(Debug, Default)]
struct Said<'a> {
    length: Option<u64>,
    coding: Option<Coding>,
    connection: bool,
    expects: bool,
    protocol: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Coding {
    Chunked,
    /// Chunks of something else.
    Other,
    /// Its end cannot be told (RFC 9112 section 6.3).
    Endless,
}

impl<'a> Said<'a> {
    fn of(fields: &[Header<'a>]) -> Result<Self, BadRequest> {
        let mut said = Self::default();
        for Header { name, value } in fields {
            // Few names have these lengths.
            match name.len() {
                6 if name.eq_ignore_ascii_case("expect") => {
                    said.expects |= value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    said.protocol.get_or_insert(value);
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    said.connection = true;
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let mut length = Length::default();
                    if length.add(value).is_err() || length.is_repeated() {
                        return Err(BadRequest::Framing(
                            "The declared length of the body is no number.",
                        ));
                    }
                    if said.length.is_some() {
                        return Err(BadRequest::Framing(
                            "The length of the body is declared twice.",
                        ));
                    }
                    said.length = length.declared();
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let is_first = said.coding.is_none();
                    said.coding = Some(if !is_last(value, b"chunked") {
                        Coding::Endless
                    } else if is_first && value.len() == b"chunked".len() {
                        Coding::Chunked
                    } else {
                        Coding::Other
                    });
                }
                _ => {}
            }
        }
        Ok(said)
    }

    /// As RFC 9112 section 6.3 decides it, but strictly: both a length and a coding are an attack.
    fn framing(&self, is_11: bool) -> Result<Framing, BadRequest> {
        let Some(coding) = self.coding else {
            return Ok(Framing::Length(self.length.unwrap_or_default()));
        };
        if self.length.is_some() {
            return Err(BadRequest::Framing(
                "The request declares a length and a transfer coding.",
            ));
        }
        // RFC 9112 section 6.1: whoever sent it on did not understand it.
        if !is_11 {
            return Err(BadRequest::Framing(
                "The request has a transfer coding, which HTTP/1.0 does not know.",
            ));
        }
        match coding {
            Coding::Chunked => Ok(Framing::Chunked),
            Coding::Other => Err(BadRequest::Coding),
            Coding::Endless => Err(BadRequest::Framing(
                "The request's last transfer coding is not \"chunked\".",
            )),
        }
    }

    fn options(&self, fields: &[Header<'a>]) -> Options<'a> {
        if !self.connection {
            return Options::default();
        }
        let fields = fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case("connection"));
        Options::of(fields.map(|field| field.value))
    }
}

/// A protocol to switch to. Not HTTP/2: a visitor that speaks it can say so from the start, and the offer
/// is for this hop only.
fn protocol(name: &[u8]) -> Option<HeaderValue> {
    let is_h2c = name.eq_ignore_ascii_case(b"h2c");
    HeaderValue::from_bytes(name).ok().filter(|_| !is_h2c)
}

fn is_last(list: &[u8], option: &[u8]) -> bool {
    let last = list.rsplit(|byte| *byte == b',').next();
    last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(option))
}

fn wrong(error: httparse::Error, bytes: &[u8]) -> BadRequest {
    BadRequest::Syntax(match error {
        httparse::Error::TooManyHeaders => return BadRequest::TooMany,
        httparse::Error::Version if is_of_other_version(bytes) => return BadRequest::Version,
        httparse::Error::HeaderName => {
            "The name of a field is none, is folded, or is not followed by a colon at once."
        }
        httparse::Error::HeaderValue => {
            "The value of a field has a character that it may not have."
        }
        httparse::Error::NewLine => "A line of the head does not end as a line does.",
        _ => "The first line is not that of an HTTP/1.1 request.",
    })
}

/// Whether the first line is whole but for the version.
fn is_of_other_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let version = words.nth(2).unwrap_or_default();
    words.next().is_none()
        && matches!(version.trim_ascii_end(), [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Fields that are read at all; the service's own limit is lower.
pub const MAX_FIELDS: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Length, framing, manners and protocol of what is read of these bytes.
    type Seen = Result<Option<(usize, Framing, Manners, Option<HeaderValue>)>, BadRequest>;

    fn seen(bytes: &[u8]) -> Seen {
        let mut room: Room<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let parsed = parse(bytes, &mut room)?;
        Ok(parsed.map(|(head, len)| (len, head.framing, head.manners, head.protocol)))
    }

    fn manners(version: &str, fields: &str) -> Manners {
        let head = format!("GET / {version}\r\n{fields}\r\n");
        seen(head.as_bytes()).unwrap().unwrap().2
    }

    #[test]
    fn a_head_that_is_cut_is_none_yet() {
        let head = b"\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(seen(&head[..end]), Ok(None), "{end}");
        }
        let (len, framing, ..) = seen(&[&head[..], b"hello"].concat()).unwrap().unwrap();
        assert_eq!((len, framing), (head.len(), Framing::Length(5)));
    }

    #[test]
    fn whether_a_connection_goes_on_is_said_by_version_and_connection() {
        for (version, fields, keep_alive) in [
            ("HTTP/1.1", "", true),
            ("HTTP/1.1", "Connection: x, CLOSE\r\n", false),
            (
                "HTTP/1.1",
                "Connection: keep-alive\r\nConnection: close\r\n",
                false,
            ),
            ("HTTP/1.0", "", false),
            ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
            ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let manners = manners(version, fields);
            assert_eq!(manners.keep_alive, keep_alive, "{version} {fields}");
        }
    }

    #[test]
    fn a_body_is_waited_for_only_by_those_who_can() {
        let body = "Content-Length: 1\r\nExpect: 100-Continue\r\n";
        assert!(manners("HTTP/1.1", body).expects);
        assert!(!manners("HTTP/1.0", body).expects);
        assert!(!manners("HTTP/1.1", "Expect: 100-continue\r\n").expects);
    }

    #[test]
    fn a_switch_is_asked_for_in_one_way() {
        let asked = |version: &str, fields: &str| {
            let head = format!("GET / {version}\r\n{fields}\r\n");
            let protocol = seen(head.as_bytes()).unwrap().unwrap().3;
            protocol.map(|name| name.to_str().unwrap().to_owned())
        };
        let both = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
        assert_eq!(asked("HTTP/1.1", both).as_deref(), Some("websocket"));
        assert_eq!(asked("HTTP/1.0", both), None);
        assert_eq!(asked("HTTP/1.1", "Upgrade: websocket\r\n"), None);
        let with_body = format!("{both}Content-Length: 1\r\n");
        assert_eq!(asked("HTTP/1.1", &with_body), None);
        let h2c = both.replace("websocket", "H2C");
        assert_eq!(asked("HTTP/1.1", &h2c), None);
    }

    proptest! {
        /// Whatever is a head is the same however much follows it, and garbage does no harm.
        #[test]
        fn a_head_ends_where_it_ends(
            text in "(GET|POST) (/[ -~]{0,9}|[ -~]{0,9}) HTTP/1.[0-2]\r?\n([a-zA-Z -]{0,18}: ?[ -~]{0,9}\r?\n){0,4}\r?\n[ -~]{0,9}",
        ) {
            let bytes = text.as_bytes();
            if let Ok(Some((len, ..))) = seen(bytes) {
                prop_assert!(bytes[..len].ends_with(b"\r\n\r\n"));
                prop_assert_eq!(seen(&bytes[..len]), seen(bytes));
                for end in 0..len {
                    prop_assert_eq!(seen(&bytes[..end]), Ok(None));
                }
            }
        }

        #[test]
        fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(seen(&bytes));
        }
    }
}
