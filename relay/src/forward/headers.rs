//! What happens to header fields on the way: whose host a request is for, and which fields are for
//! this hop only.

use adit_shared::hop;
use adit_shared::name::{Host, RequestId};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE};
use http::{Uri, Version};
use thiserror::Error;

/// Takes the authority out of a request's head: what `Host`, `:authority` and an absolute target
/// say, which must be one thing (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
///
/// # Errors
///
/// [`BadAuthority`].
pub fn take_authority(
    version: Version,
    uri: &Uri,
    fields: &mut HeaderMap,
) -> Result<(HeaderValue, Host), BadAuthority> {
    let mut hosts = fields.get_all(HOST).iter();
    let (first, second) = (hosts.next().cloned(), hosts.next());
    if second.is_some() {
        return Err(BadAuthority::Repeated);
    }
    if first.is_some() {
        fields.remove(HOST);
    }
    let parse = |text: &str| Host::from_authority(text).map_err(|_| BadAuthority::Invalid);
    let from_field = match &first {
        Some(value) => Some(parse(value.to_str().map_err(|_| BadAuthority::Invalid)?)?),
        None => None,
    };
    match (uri.authority(), first, from_field) {
        (None, Some(value), Some(host)) => Ok((value, host)),
        // A target that is an authority alone is for CONNECT (RFC 9112 section 3.2.3).
        (Some(_), ..) if version < Version::HTTP_2 && uri.scheme().is_none() => {
            Err(BadAuthority::Invalid)
        }
        (Some(authority), value, from_field) => {
            let host = parse(authority.as_str())?;
            if from_field.is_some_and(|field| field != host) {
                return Err(BadAuthority::Disagree);
            }
            // An HTTP/1.1 visitor must have sent the field even with an absolute target.
            if value.is_none() && version < Version::HTTP_2 {
                return Err(BadAuthority::Missing);
            }
            let value = HeaderValue::from_str(authority.as_str());
            Ok((value.map_err(|_| BadAuthority::Invalid)?, host))
        }
        _ => Err(BadAuthority::Missing),
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

/// Removes the fields that are for one hop (RFC 9110 section 7.6.1): a fixed list, and whatever
/// `Connection` names. `TE: trailers` stays, for it asks the origin for trailers.
pub fn strip_hop_by_hop(fields: &mut HeaderMap) {
    hop::strip(fields);
    if fields.contains_key(TE) {
        let wants_trailers = fields.get_all(TE).iter().any(|value| {
            let mut codings = value.as_bytes().split(|byte| *byte == b',');
            codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        });
        fields.remove(TE);
        if wants_trailers {
            fields.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// Removes from a response what an agent may not say about the visitor's connection.
pub fn strip_response(fields: &mut HeaderMap) {
    hop::strip_fixed(fields);
}

/// Makes a response declare its length once, or not at all: two readers of it must not see two
/// different ends (RFC 9112 section 6.3). False when it declares several lengths, or what is none.
pub fn settle_length(fields: &mut HeaderMap) -> bool {
    let parse = |text: &[u8]| -> Option<u64> {
        let digits = text.trim_ascii();
        // The parser would take a sign.
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        str::from_utf8(digits).ok()?.parse().ok()
    };
    let values = fields.get_all(CONTENT_LENGTH).iter();
    let mut lengths = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else {
        return true;
    };
    let Some(length) = parse(first) else {
        return false;
    };
    let mut repeated = false;
    for other in lengths {
        repeated = true;
        if parse(other) != Some(length) {
            return false;
        }
    }
    if repeated {
        fields.insert(CONTENT_LENGTH, length.into());
    }
    true
}

/// The request's id: what the visitor brought, if it fits, or a fresh one. The origin gets it too.
pub fn request_id(fields: &mut HeaderMap) -> RequestId {
    let brought = fields.get(&X_REQUEST_ID);
    brought.and_then(RequestId::brought).unwrap_or_else(|| {
        let id = RequestId::fresh();
        fields.insert(&X_REQUEST_ID, id.value().clone());
        id
    })
}

/// What a request is called.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn authority(
        version: Version,
        uri: &str,
        hosts: &[&'static str],
    ) -> Result<String, BadAuthority> {
        let mut fields = HeaderMap::new();
        for host in hosts {
            fields.append(HOST, HeaderValue::from_static(host));
        }
        let uri = uri.parse().unwrap();
        take_authority(version, &uri, &mut fields).map(|(_, host)| host.to_string())
    }

    #[test]
    fn a_request_has_one_host() {
        let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
        assert_eq!(
            authority(h1, "/", &["A.example:80"]),
            Ok("a.example".into())
        );
        assert_eq!(authority(h1, "/", &[]), Err(BadAuthority::Missing));
        assert_eq!(authority(h1, "/", &["a", "a"]), Err(BadAuthority::Repeated));
        assert_eq!(authority(h1, "/", &["u@a"]), Err(BadAuthority::Invalid));
        assert_eq!(authority(h1, "/", &[""]), Err(BadAuthority::Invalid));
        assert_eq!(authority(h1, "http://a/", &["a"]), Ok("a".into()));
        assert_eq!(
            authority(h1, "http://a/", &["b"]),
            Err(BadAuthority::Disagree)
        );
        assert_eq!(authority(h1, "http://a/", &[]), Err(BadAuthority::Missing));
        assert_eq!(
            authority(h1, "a.example", &["a.example"]),
            Err(BadAuthority::Invalid)
        );
        assert_eq!(authority(h2, "https://a/", &[]), Ok("a".into()));
        assert_eq!(
            authority(h2, "https://a/", &["b"]),
            Err(BadAuthority::Disagree)
        );
    }

    #[test]
    fn fields_of_this_hop_stay_here() {
        let mut fields = map(&[
            ("connection", "close, X-Private ,te,host"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMA"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip, trailers"),
            ("host", "a"),
            ("x-public", "1"),
        ]);
        strip_hop_by_hop(&mut fields);
        assert_eq!(
            fields,
            map(&[("te", "trailers"), ("host", "a"), ("x-public", "1")])
        );
    }

    #[test]
    fn a_request_id_is_kept_if_it_fits_and_made_if_absent() {
        let mut fields = map(&[("x-request-id", "abc")]);
        assert_eq!(request_id(&mut fields).as_str(), "abc");
        let mut fields = HeaderMap::new();
        let id = request_id(&mut fields);
        assert_eq!(fields["x-request-id"], id.as_str());
    }
}
