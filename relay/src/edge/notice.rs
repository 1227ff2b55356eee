//! What the notice looks like; who sees it is decided in [`forward::notice`](crate::forward::notice).

use adit_shared::name::RequestId;
use adit_shared::wire::fields::Fields;
use adit_shared::wire::head;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;

use super::answer::{escape, now};
use crate::forward::notice::{PATH, Step};

/// The step as a response.
pub fn response(step: &Step, id: &RequestId) -> (head::Response, Bytes) {
    let (status, body, own) = match step {
        Step::Shown {
            host,
            to,
            until,
            seal,
        } => {
            let page = page(host.as_str(), to, *until, seal);
            let own = vec![
                ("content-type", "text/html; charset=utf-8".to_owned()),
                ("content-security-policy", policy()),
                ("x-content-type-options", "nosniff".to_owned()),
                ("x-robots-tag", "noindex".to_owned()),
                ("referrer-policy", "same-origin".to_owned()),
            ];
            (StatusCode::OK, page, own)
        }
        Step::Passed { location, cookie } => {
            let own = vec![
                ("location", location.clone()),
                ("set-cookie", cookie.clone()),
                ("referrer-policy", "no-referrer".to_owned()),
            ];
            (StatusCode::SEE_OTHER, String::new(), own)
        }
    };
    let shared = [
        ("date", now()),
        ("cache-control", "no-store".to_owned()),
        ("adit-notice", "1".to_owned()),
        ("x-request-id", id.as_str().to_owned()),
        ("content-length", body.len().to_string()),
    ];
    let head = head::Response {
        status,
        // All of it can be said: a target has no character that a field may not have.
        fields: Fields::from_pairs(shared.into_iter().chain(own)).unwrap_or_default(),
        end: false,
    };
    (head, body.into())
}

fn page(host: &str, to: &str, until: u64, seal: &str) -> String {
    let to = escape(to);
    format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n\
         <title>You are about to visit {host}</title>\n<style>{STYLE}</style>\n<main>\n\
         <h1>You are about to visit <span>{host}</span></h1>\n\
         <p>This address leads to a program on somebody&rsquo;s own computer, through a tunnel. \
         Whoever operates the tunnel service does not know or check what is there.\n\
         <p><strong>Enter no password, card number or other secret</strong> unless you know who sent you \
         this link, and trust them.\n\
         <form action=\"{PATH}\"><input type=hidden name=to value=\"{to}\">\
         <input type=hidden name=until value=\"{until}\"><input type=hidden name=seal value=\"{seal}\">\
         <button>Go on to {host}</button></form>\n\
         <p><small>You see this once a week for each address. Is it yours? Programs never see this page, \
         and the header <code>Adit-Skip-Notice</code> with any value skips it.</small>\n\
         </main>\n</html>\n"
    )
}

/// Nothing but the style, and the form, which leads back to the same host.
fn policy() -> String {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

const STYLE: &str = ":root{color-scheme:light dark;--edge:#0003;--button:#0b57d0;--text:#fff}\
    @media(prefers-color-scheme:dark){:root{--edge:#fff3;--button:#a8c7fa;--text:#062e6f}}\
    body{font:1.1rem/1.6 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;\
    margin:0 1.5rem}main{max-width:36rem}h1{font-size:1.7rem;line-height:1.25}\
    h1 span{overflow-wrap:anywhere}button{font:inherit;padding:.55rem 1.1rem;border:0;\
    border-radius:.5rem;background:var(--button);color:var(--text);cursor:pointer;\
    overflow-wrap:anywhere}button:focus-visible{outline:3px solid;outline-offset:3px}\
    small{opacity:.8;display:block;border-top:1px solid var(--edge);padding-top:1rem;margin-top:2rem}";
