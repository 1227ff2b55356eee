//! What a request's field section says (RFC 9114 sections 4.2 and 4.3). What is malformed is told from what
//! is merely not for us: the first resets its stream, the second is answered.

use adit_shared::hop;
use adit_shared::length::Length;
use bytes::Bytes;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method};

use super::super::answer::Form;
use super::super::http1::BadRequest;
use super::super::http1::target;
use super::qpack::Section;

/// The head of a request.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method; GET for an extended CONNECT, which travels as what HTTP/1.1 would have said.
    pub method: Method,
    /// Path and query byte for byte, or `*`.
    pub target: PathAndQuery,
    /// What `:authority` says.
    pub authority: Option<&'a str>,
    /// The protocol of an extended CONNECT (RFC 9220).
    pub protocol: Option<HeaderValue>,
    /// The declared length of the body.
    pub length: Option<u64>,
    /// The visitor waits to be asked for the body.
    pub expects: bool,
    /// How it wants to be told of failures.
    pub form: Form,
    section: &'a Section,
    pseudo: usize,
}

/// Why a field section is no request.
#[derive(Debug)]
pub enum BadHead {
    /// It is malformed (RFC 9114 section 4.1.2), and this is how.
    Malformed(&'static str),
    /// It is for somebody else.
    Refused(BadRequest),
}

impl<'a> Head<'a> {
    /// Reads a field section.
    ///
    /// # Errors
    ///
    /// [`BadHead`].
    pub fn of(section: &'a Section) -> Result<Self, BadHead> {
        let pseudo = Pseudo::of(section)?;
        let Fields {
            length,
            expects,
            form,
        } = Fields::of(section.iter().skip(pseudo.count))?;
        let (method, target, protocol) = pseudo.target()?;
        if protocol.is_some() && length.is_some() {
            return Err(BadHead::Malformed("a CONNECT declares a length"));
        }
        Ok(Self {
            method,
            target,
            authority: pseudo.authority,
            protocol,
            length,
            expects,
            form,
            section,
            pseudo: pseudo.count,
        })
    }

    /// Names and values of the fields that the origin may see.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let is_connect = self.protocol.is_some();
        let fields = self.section.iter().skip(self.pseudo);
        fields.filter(move |(name, _)| !(is_connect && *name == b"sec-websocket-key"))
    }
}

/// The fields that begin with a colon.
#[derive(Debug, Default)]
struct Pseudo<'a> {
    count: usize,
    method: Option<&'a str>,
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: Option<&'a str>,
    protocol: Option<&'a str>,
}

impl<'a> Pseudo<'a> {
    fn of(section: &'a Section) -> Result<Self, BadHead> {
        let mut pseudo = Self::default();
        for (name, value) in section
            .iter()
            .take_while(|(name, _)| name.starts_with(b":"))
        {
            let value = str::from_utf8(value)
                .map_err(|_| BadHead::Malformed("a pseudo-header field is no text"))?;
            let slot = match name {
                b":method" => &mut pseudo.method,
                b":scheme" => &mut pseudo.scheme,
                b":authority" => &mut pseudo.authority,
                b":path" => &mut pseudo.path,
                b":protocol" => &mut pseudo.protocol,
                _ => return Err(BadHead::Malformed("a pseudo-header field is not known")),
            };
            if slot.replace(value).is_some() {
                return Err(BadHead::Malformed("a pseudo-header field is said twice"));
            }
            pseudo.count += 1;
        }
        Ok(pseudo)
    }

    /// Method, target and protocol.
    fn target(&self) -> Result<(Method, PathAndQuery, Option<HeaderValue>), BadHead> {
        const MISSING: BadHead = BadHead::Malformed("a pseudo-header field is missing");
        let method = self.method.ok_or(MISSING)?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| BadHead::Malformed("the method is none"))?;
        if method == Method::CONNECT && self.protocol.is_none() {
            // RFC 9114 section 4.4.
            return match (self.scheme, self.path, self.authority) {
                (None, None, Some(_)) => Ok((method, PathAndQuery::from_static("/"), None)),
                _ => Err(BadHead::Malformed("a CONNECT is for an authority alone")),
            };
        }
        let (Some(scheme), Some(path)) = (self.scheme, self.path) else {
            return Err(MISSING);
        };
        if !(scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")) {
            return Err(BadHead::Refused(BadRequest::Target(
                "The target is of another scheme than http and https.",
            )));
        }
        let target = match path {
            "*" if method == Method::OPTIONS => PathAndQuery::from_static("*"),
            _ if path.starts_with('/') => {
                target::path(Bytes::copy_from_slice(path.as_bytes())).map_err(BadHead::Refused)?
            }
            _ => return Err(BadHead::Malformed("the path does not begin with a slash")),
        };
        let Some(protocol) = self.protocol else {
            return Ok((method, target, None));
        };
        if method != Method::CONNECT || self.authority.is_none() {
            return Err(BadHead::Malformed("a protocol is for a CONNECT"));
        }
        let protocol = HeaderValue::from_str(protocol).ok();
        let protocol = protocol.filter(|value| !value.is_empty());
        let protocol = protocol.ok_or(BadHead::Malformed("the protocol is none"))?;
        Ok((Method::GET, target, Some(protocol)))
    }
}

/// What all other fields say.
struct Fields {
    length: Option<u64>,
    expects: bool,
    form: Form,
}

impl Fields {
    fn of<'a>(all: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Result<Self, BadHead> {
        let (mut length, mut expects) = (Length::default(), false);
        for (name, value) in all.clone() {
            check(name, value).map_err(BadHead::Malformed)?;
            match name {
                b"content-length" => length
                    .add(value)
                    .map_err(|_| BadHead::Malformed("a declared length is none"))?,
                b"expect" => expects |= value.eq_ignore_ascii_case(b"100-continue"),
                _ => {}
            }
        }
        if length.is_repeated() {
            return Err(BadHead::Malformed("a length is declared twice"));
        }
        let accept = all.filter(|(name, _)| *name == b"accept");
        Ok(Self {
            length: length.declared(),
            expects,
            form: Form::preferred(accept.map(|(_, value)| value)),
        })
    }
}

/// The trailers that go further, if there are any. Behind the body it is too late to say whose it is or how
/// long it was.
///
/// # Errors
///
/// How they are malformed.
pub(super) fn trailers(section: &Section) -> Result<Option<HeaderMap>, &'static str> {
    let mut map = HeaderMap::new();
    for (name, value) in section.iter() {
        check(name, value)?;
        if name == b"host" || name == b"content-length" {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(|_| "a field has no name")?;
        let value = HeaderValue::from_bytes(value).map_err(|_| "a field has no value")?;
        map.append(name, value);
    }
    Ok((!map.is_empty()).then_some(map))
}

/// Whether a field may be in a message of HTTP/3 (RFC 9114 sections 4.2, 4.3 and 10.3).
///
/// # Errors
///
/// Why not.
fn check(name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() || !name.iter().all(|byte| is_of_name(*byte)) {
        return Err("the name of a field is none, or not in lower case");
    }
    if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err("the value of a field has a character that it may not have");
    }
    if hop::is_hop_by_hop(name) && !name.starts_with(b"proxy-auth") && name != b"http2-settings" {
        return Err("a field is for a connection of HTTP/1.1");
    }
    if name == b"te" && !value.eq_ignore_ascii_case(b"trailers") {
        return Err("TE is other than trailers");
    }
    Ok(())
}

/// RFC 9110 section 5.6.2, without upper case.
const fn is_of_name(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests;
