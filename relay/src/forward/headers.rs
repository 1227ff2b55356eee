//! What happens to header fields on the way: whose host a request is for, and which fields go on to the
//! origin.

use std::borrow::Cow;
use std::mem;

use adit_shared::hop;
use adit_shared::http1::section::lists;
use adit_shared::length::{BadLength, Length};
use adit_shared::name::{Host, RequestId};
use adit_shared::wire::fields::{BadField, Fields, FieldsMut, Name};
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::ForwardError;
use super::introduction::Introduction;

/// What names the host of a request.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    text: &'a str,
    /// What else names one, which must be the same.
    also: Option<&'a str>,
}

impl<'a> Authority<'a> {
    /// What the target or `:authority`, and the `Host` fields say, which must be one thing (RFC 9112 section
    /// 3.2, RFC 9113 section 8.3.1). An HTTP/1.1 visitor must send the field even with an absolute target.
    ///
    /// # Errors
    ///
    /// [`BadAuthority`].
    pub fn of(
        is_http1: bool,
        target: Option<&'a str>,
        mut hosts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, BadAuthority> {
        let first = hosts.next();
        if hosts.next().is_some() {
            return Err(BadAuthority::Repeated);
        }
        let text = |value| str::from_utf8(value).map_err(|_| BadAuthority::Invalid);
        let field = first.map(text).transpose()?;
        match (target, field) {
            (None, Some(text)) => Ok(Self { text, also: None }),
            (Some(_), None) if is_http1 => Err(BadAuthority::Missing),
            (Some(text), also) => Ok(Self { text, also }),
            (None, None) => Err(BadAuthority::Missing),
        }
    }

    /// Whether this text alone names the host.
    pub(super) fn is(&self, text: &HeaderValue) -> bool {
        let same = |own: &str| own.as_bytes() == text.as_bytes();
        same(self.text) && self.also.is_none_or(same)
    }

    /// The host.
    ///
    /// # Errors
    ///
    /// [`BadAuthority`].
    pub fn host(&self) -> Result<Host, BadAuthority> {
        let parse = |text| Host::from_authority(text).map_err(|_| BadAuthority::Invalid);
        let host = parse(self.text)?;
        match self.also {
            Some(also) if parse(also)? != host => Err(BadAuthority::Disagree),
            _ => Ok(host),
        }
    }

    /// As the value of a field.
    ///
    /// # Errors
    ///
    /// [`BadAuthority::Invalid`].
    pub(super) fn value(&self) -> Result<HeaderValue, BadAuthority> {
        HeaderValue::from_str(self.text).map_err(|_| BadAuthority::Invalid)
    }
}

/// Why a request names no host.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadAuthority {
    /// Nothing names one.
    #[error("the request names no host")]
    Missing,
    /// Several fields do.
    #[error("the request has more than one Host field")]
    Repeated,
    /// What names it is not a host.
    #[error("the request's host is not a host name")]
    Invalid,
    /// Two parts of the request name different ones.
    #[error("the request names two different hosts")]
    Disagree,
}

/// Who a field of a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `Host`, which travels apart.
    Host,
    /// `TE`, of which only `trailers` goes on: it asks the origin for them.
    Te,
    /// Says who the visitor is.
    Introduction,
    /// `X-Request-Id`.
    Id,
    /// What only a relay or an agent may say: that a request comes from an inbox, whether a webhook is genuine,
    /// and how often it came.
    Own,
    /// For this hop, or for the origin.
    Other,
}

impl Kind {
    /// Of a name in upper or lower case. Few names have the lengths that are looked at. An underscore counts
    /// as a hyphen in what says who the visitor is: an origin behind CGI's interface, or one of its heirs,
    /// cannot tell them apart (RFC 3875 section 4.1.18).
    pub(super) fn of(name: &[u8]) -> Self {
        let (kind, known) = match name.len() {
            2 => (Self::Te, "te"),
            4 => (Self::Host, "host"),
            9 => (Self::Introduction, "forwarded"),
            10 => (Self::Own, "adit-inbox"),
            12 => (Self::Id, "x-request-id"),
            15 if matches!(name[0], b'a' | b'A') => (Self::Own, "adit-webhook-id"),
            15 => (Self::Introduction, "x-forwarded-for"),
            16 => (Self::Introduction, "x-forwarded-host"),
            17 => (Self::Introduction, "x-forwarded-proto"),
            19 => (Self::Own, "adit-inbox-received"),
            20 => (Self::Own, "adit-webhook-attempt"),
            21 => (Self::Own, "adit-webhook-verified"),
            _ => return Self::Other,
        };
        let is = if matches!(kind, Self::Introduction | Self::Own) {
            let hyphens = |byte: &u8| {
                if *byte == b'_' {
                    b'-'
                } else {
                    byte.to_ascii_lowercase()
                }
            };
            name.iter().map(hyphens).eq(known.bytes())
        } else {
            name.eq_ignore_ascii_case(known.as_bytes())
        };
        if is { kind } else { Self::Other }
    }
}

/// What the libraries let pass of a request that is not one of HTTP/1.1: an asterisk for what is no OPTIONS
/// (RFC 9113 section 8.3.1, RFC 9114 section 4.3.1), and white space around a value, which an origin would not
/// see (RFC 9113 section 8.2.1).
///
/// # Errors
///
/// [`ForwardError::Target`] or [`ForwardError::Field`].
pub(super) fn strict<'a>(
    method: &Method,
    target: &str,
    mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), ForwardError> {
    if target == "*" && method != Method::OPTIONS {
        return Err(ForwardError::Target);
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if fields.any(|(_, value)| is_blank(value.first()) || is_blank(value.last())) {
        return Err(ForwardError::Field);
    }
    Ok(())
}

/// The fields that an origin gets to see: those that the visitor sent but for what is for this hop only
/// (RFC 9110 section 7.6.1), who the visitor is, and what the request is called. The visitor's own word
/// about who it is goes on only if it is a `trusted` proxy.
///
/// # Errors
///
/// [`BadField`].
pub fn outbound<'a>(
    sent: &(impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone),
    options: &hop::Options<'_>,
    introduction: &Introduction,
    trusted: bool,
    id: &RequestId,
    is_http1: bool,
) -> Result<Fields, BadField> {
    let mut to = FieldsMut::with_capacity(ROOM);
    let (mut trailers, mut named, mut crumbled) = (false, false, false);
    for (name, value) in sent.clone() {
        match Kind::of(name) {
            Kind::Host | Kind::Introduction | Kind::Own => {}
            Kind::Te => trailers |= lists(value, b"trailers"),
            // It was brought if it fits, and is made otherwise.
            Kind::Id if named || value != id.value().as_bytes() => {}
            Kind::Id => {
                named = true;
                to.push(name, value)?;
            }
            Kind::Other if options.strip(name) => {}
            Kind::Other if !is_http1 && name == COOKIE => {
                if !mem::replace(&mut crumbled, true) {
                    to.push(name, &whole_cookie(sent.clone(), value))?;
                }
            }
            Kind::Other => to.push(name, value)?,
        }
    }
    if trailers {
        to.put(TE, &HeaderValue::from_static("trailers"))?;
    }
    if !named {
        to.put(X_REQUEST_ID, id.value())?;
    }
    if trusted {
        introduction.add(sent, &mut to)?;
    } else {
        introduction.put(&mut to)?;
    }
    Ok(to.take())
}

/// Cookies in one value, of which `first` is the first. Over HTTP/2 and HTTP/3 browsers send each in a field of
/// its own, and servers that speak HTTP/1.1 know one field alone (RFC 9113 section 8.2.3, RFC 9114 section
/// 4.2.1).
fn whole_cookie<'a>(
    sent: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    first: &'a [u8],
) -> Cow<'a, [u8]> {
    let mut all = sent.filter(|(name, _)| *name == COOKIE).skip(1).peekable();
    if all.peek().is_none() {
        return Cow::Borrowed(first);
    }
    let mut whole = first.to_vec();
    for (_, value) in all {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(value);
    }
    Cow::Owned(whole)
}

/// What is known of a response whose fields were settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settled {
    /// The length that it declares.
    pub length: Option<u64>,
    /// Whether it sets cookies.
    pub sets_cookies: bool,
}

/// Removes of a request's trailers what is for this hop only, and what comes too late behind a body: whose it
/// is, how long it was, and who the visitor says it is (RFC 9110 section 6.5.1).
pub(super) fn trim(trailers: &mut HeaderMap) {
    hop::strip(trailers);
    let late = |name: &&HeaderName| {
        **name == header::CONTENT_LENGTH
            || matches!(
                Kind::of(name.as_str().as_bytes()),
                Kind::Host | Kind::Te | Kind::Introduction
            )
    };
    while let Some(name) = trailers.keys().find(late).cloned() {
        trailers.remove(name);
    }
}

/// Makes the fields of a response fit to be passed on: without what an agent may not say about the
/// visitor's connection, and with one length or none. Says the length.
///
/// # Errors
///
/// [`BadLength`] when it declares several lengths, or what is none: two readers of it must not see two
/// different ends (RFC 9112 section 6.3).
pub fn settle(fields: &mut Fields) -> Result<Settled, BadLength> {
    let (mut length, mut bad, mut sets_cookies) = (Length::default(), Ok(()), false);
    fields.retain(|name, value| {
        if name == CONTENT_LENGTH.as_str().as_bytes() {
            bad = bad.and_then(|()| length.add(value));
        }
        sets_cookies |= name == b"set-cookie";
        !hop::is_hop_by_hop(name)
    });
    bad?;
    let declared = length.declared();
    if let Some(declared) = declared
        && length.is_repeated()
    {
        fields.remove(CONTENT_LENGTH.as_str());
        let mut settled = FieldsMut::from(&*fields);
        // There is room: some were removed.
        let _ = settled.put(CONTENT_LENGTH, &declared.into());
        *fields = settled.take();
    }
    Ok(Settled {
        length: declared,
        sets_cookies,
    })
}

/// The request's id: the first that the visitor brought, if it fits, or a fresh one.
pub(super) fn request_id<'a>(mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> RequestId {
    let brought = fields.find(|(name, _)| Kind::of(name) == Kind::Id);
    let brought = brought.and_then(|(_, value)| HeaderValue::from_bytes(value).ok());
    let brought = brought.as_ref().and_then(RequestId::brought);
    brought.unwrap_or_else(RequestId::fresh)
}

const CONTENT_LENGTH: Name = Name::new("content-length");
const TE: Name = Name::new("te");
const COOKIE: &[u8] = b"cookie";
/// What a request is called.
pub const X_REQUEST_ID: Name = Name::new("x-request-id");
/// Bytes that the fields of most requests fit into.
const ROOM: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    fn bytes(pairs: &[Pair]) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + Clone {
        let bytes = |(name, value): &Pair| (name.as_bytes(), value.as_bytes());
        pairs.iter().map(bytes).collect::<Vec<_>>().into_iter()
    }

    fn authority(
        is_http1: bool,
        target: Option<&str>,
        hosts: &[&str],
    ) -> Result<String, BadAuthority> {
        let hosts = hosts.iter().map(|host| host.as_bytes());
        let host = Authority::of(is_http1, target, hosts)?.host()?;
        Ok(host.to_string())
    }

    #[test]
    fn a_request_has_one_host() {
        use BadAuthority as B;
        let (h1, h2) = (true, false);
        let ok = |host: &str| Ok(host.to_owned());
        assert_eq!(authority(h1, None, &["A.example:80"]), ok("a.example"));
        assert_eq!(authority(h1, None, &[]), Err(B::Missing));
        assert_eq!(authority(h1, None, &["a", "a"]), Err(B::Repeated));
        assert_eq!(authority(h1, None, &["u@a"]), Err(B::Invalid));
        assert_eq!(authority(h1, None, &[""]), Err(B::Invalid));
        assert_eq!(authority(h1, Some("a"), &["a"]), ok("a"));
        assert_eq!(authority(h1, Some("a"), &["b"]), Err(B::Disagree));
        assert_eq!(authority(h1, Some("a"), &["a", "a"]), Err(B::Repeated));
        assert_eq!(authority(h1, Some("a"), &[]), Err(B::Missing));
        assert_eq!(authority(h1, Some(""), &["a"]), Err(B::Invalid));
        assert_eq!(authority(h2, Some("a"), &[]), ok("a"));
        assert_eq!(authority(h2, Some("a"), &["b"]), Err(B::Disagree));
    }

    fn passed_on(sent: &[Pair]) -> Vec<(String, String)> {
        passed_on_from(sent, true)
    }

    fn passed_on_from(sent: &[Pair], is_http1: bool) -> Vec<(String, String)> {
        let sent = bytes(sent);
        let ip = "192.0.2.7".parse().unwrap();
        let introduction = Introduction::new(ip, false, &HeaderValue::from_static("a"));
        let options = sent.clone().filter(|(name, _)| *name == b"connection");
        let options = hop::Options::of(options.map(|(_, value)| value));
        let id = request_id(sent.clone());
        let fields = outbound(&sent, &options, &introduction, false, &id, is_http1);
        let fields = fields.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs = fields.iter().map(|(name, value)| (text(name), text(value)));
        pairs.collect()
    }

    #[test]
    fn cookies_that_come_in_pieces_go_on_as_one_field() {
        let sent = [
            ("cookie", "a=b"),
            ("x", "y"),
            ("cookie", "c=d"),
            ("cookie", "e"),
        ];
        let cookies = |is_http1| {
            let fields = passed_on_from(&sent, is_http1);
            let cookies = fields.into_iter().filter(|(name, _)| name == "cookie");
            cookies.map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(cookies(false), ["a=b; c=d; e"]);
        // No browser does that over HTTP/1.1, and what is sent goes on as it is.
        assert_eq!(cookies(true), ["a=b", "c=d", "e"]);
    }

    #[test]
    fn fields_of_this_hop_stay_here() {
        let fields = passed_on(&[
            ("connection", "close, X-Private ,te,host"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMA"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip, trailers"),
            ("host", "a"),
            ("X-Public", "1"),
            ("x-forwarded-for", "6.6.6.6"),
            ("Adit_Inbox", "1"),
            ("adit-inbox-received", "1"),
            ("adit-webhook-attempt", "2"),
            ("adit-webhook-id", "1"),
            ("X_Forwarded-FOR", "6.6.6.6"),
            ("x-request-id", "abc"),
        ]);
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let expected = [
            ("x-public", "1"),
            ("x-request-id", "abc"),
            ("te", "trailers"),
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7;host=\"a\";proto=http"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_request_id_is_kept_if_it_fits_and_made_if_absent() {
        let of = |sent: &[Pair]| {
            let fields = passed_on(sent);
            let ids = fields.iter().filter(|(name, _)| name == "x-request-id");
            ids.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[("X-Request-ID", "abc")]), ["abc"]);
        assert_eq!(
            of(&[("x-request-id", "abc"), ("x-request-id", "b")]),
            ["abc"]
        );
        for sent in [&[][..], &[("x-request-id", "")], &[("x-request-id", "a b")]] {
            let made = of(sent);
            assert!(made.len() == 1 && made[0].len() == 16, "{made:?}");
        }
    }

    #[test]
    fn a_length_that_is_declared_in_agreement_is_declared_once() {
        let settled = |pairs: &[Pair]| {
            let mut fields = Fields::from_pairs(bytes(pairs)).unwrap();
            settle(&mut fields).map(|settled| (settled.length, fields))
        };
        let (length, fields) = settled(&[
            ("content-length", "5, 5"),
            ("connection", "close"),
            ("x-one", "1"),
            ("content-length", "05"),
        ])
        .unwrap();
        let once = Fields::from_pairs([("x-one", "1"), ("content-length", "5")]);
        assert_eq!((length, fields), (Some(5), once.unwrap()));
        assert_eq!(settled(&[]).unwrap().0, None);
        for bad in ["5, 6", "+5", "five", ""] {
            assert!(settled(&[("content-length", bad)]).is_err(), "{bad}");
        }
    }
}
