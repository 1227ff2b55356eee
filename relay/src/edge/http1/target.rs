//! Targets of requests, in the forms of RFC 9112 section 3.2.

use bytes::Bytes;
use http::Method;
use http::uri::PathAndQuery;

use super::head::BadRequest;

/// What a request is for.
#[derive(Debug)]
pub struct Target<'a> {
    /// Path and query byte for byte, or `*`.
    pub path: PathAndQuery,
    /// The authority of an absolute target, or of CONNECT.
    pub authority: Option<&'a str>,
}

/// Takes a target apart. The path is not changed, whatever is in it; what no path can have is refused:
/// white space and controls, a fragment (RFC 9110 section 7.1), and the few characters that programs
/// escape differently.
///
/// # Errors
///
/// [`BadRequest::Target`] or [`BadRequest::Authority`].
pub(super) fn parse<'a>(method: &Method, text: &'a str) -> Result<Target<'a>, BadRequest> {
    if text.starts_with('/') {
        let path = path(Bytes::copy_from_slice(text.as_bytes()))?;
        return Ok(Target {
            path,
            authority: None,
        });
    }
    if *method == Method::CONNECT {
        return Ok(Target {
            path: PathAndQuery::from_static("/"),
            authority: Some(text),
        });
    }
    if text == "*" {
        return if *method == Method::OPTIONS {
            Ok(Target {
                path: PathAndQuery::from_static("*"),
                authority: None,
            })
        } else {
            Err(BadRequest::Target("The target \"*\" is for OPTIONS."))
        };
    }
    absolute(method, text)
}

fn absolute<'a>(method: &Method, text: &'a str) -> Result<Target<'a>, BadRequest> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(BadRequest::Authority);
    };
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
        return Err(BadRequest::Target(
            "The target is of another scheme than http and https.",
        ));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let path = match rest.as_bytes() {
        // RFC 9112 section 3.2.4.
        [] if *method == Method::OPTIONS => PathAndQuery::from_static("*"),
        [] => PathAndQuery::from_static("/"),
        [b'/', ..] => path(Bytes::copy_from_slice(rest.as_bytes()))?,
        _ => path(format!("/{rest}").into())?,
    };
    Ok(Target {
        path,
        authority: Some(authority),
    })
}

/// A path and a query, byte for byte.
///
/// # Errors
///
/// [`BadRequest::Target`].
pub(in super::super) fn path(text: Bytes) -> Result<PathAndQuery, BadRequest> {
    let wanted = text.len();
    match PathAndQuery::from_maybe_shared(text) {
        Ok(path) if path.as_str().len() == wanted => Ok(path),
        Ok(_) => Err(BadRequest::Target("The target has a fragment.")),
        Err(_) => Err(BadRequest::Target(
            "The target has a character that it may not have.",
        )),
    }
}
