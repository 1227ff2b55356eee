//! The notice: a page that browsers see before the first page of a tunnel, so that nobody takes a stranger's
//! login form for somebody else's. Only navigations see it: no call of a program, no part of a page, no
//! WebSocket and no webhook ever does.
//!
//! Whoever goes on from it gets a cookie for that one host. Cookie and link are signed for the host, and the
//! link works from the notice itself alone, so that nobody can send it to anybody.

use std::time::{SystemTime, UNIX_EPOCH};

use adit_shared::name::Host;
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::Method;
use percent_encoding::percent_decode_str;

/// Who decides which visitors see the notice.
#[derive(Debug)]
pub struct Notice {
    key: hmac::Key,
    domain: Host,
}

/// What a visitor is told instead of what it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// The notice.
    Shown {
        /// The host that it asked for.
        host: Host,
        /// The path and query where it goes on.
        to: String,
        /// When the signature ends, in seconds of Unix time.
        until: u64,
        /// The signature of these.
        seal: String,
    },
    /// To go on.
    Passed {
        /// The URL that it asked for at first.
        location: String,
        /// The value of `Set-Cookie`.
        cookie: String,
    },
}

/// A request as far as it matters here.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a str,
    /// The host with its port, if it has one.
    pub authority: &'a str,
    /// The host alone.
    pub host: &'a Host,
}

impl Notice {
    /// For names under `domain`, signed with `secret`.
    pub fn new(secret: &[u8], domain: Host) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { key, domain }
    }

    /// What the visitor is told first, if anything.
    pub fn stop<'f>(
        &self,
        asked: &Asked<'_>,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Option<Step> {
        // Own domains have names of their own to lose.
        if *asked.method != Method::GET || asked.host.label_under(&self.domain).is_none() {
            return None;
        }
        let browser = Browser::of(fields);
        if !browser.navigates() {
            return None;
        }
        let now = now();
        if let Some(query) = asked.target.strip_prefix(PASS) {
            let from_here = browser.site == Some(b"same-origin");
            let to = from_here.then(|| self.passed(asked.host, query, now));
            return Some(match to.flatten() {
                Some(to) => self.pass(asked, &to, now),
                None => self.show(asked.host, "/", now),
            });
        }
        let is_known = |cookies: &[u8]| {
            let mut cookies = cookies.split(|byte| *byte == b';');
            cookies.any(|cookie| self.knows(cookie, asked.host, now))
        };
        if browser.cookies.iter().any(|cookies| is_known(cookies)) {
            return None;
        }
        Some(self.show(asked.host, asked.target, now))
    }

    fn show(&self, host: &Host, target: &str, now: u64) -> Step {
        let is_usual = target.starts_with('/') && target.is_ascii() && target.len() <= LONGEST;
        let to = if is_usual { target } else { "/" }.to_owned();
        let until = now + DELIBERATION;
        let seal = self.seal("link", host, until, &to);
        Step::Shown {
            host: host.clone(),
            to,
            until,
            seal,
        }
    }

    /// Where a link of the notice leads, if it is one.
    fn passed(&self, host: &Host, query: &str, now: u64) -> Option<String> {
        let (mut to, mut until, mut seal) = (None, None, None);
        for pair in query.split('&') {
            match pair.split_once('=')? {
                ("to", value) => to = percent_decode_str(value).decode_utf8().ok(),
                ("until", value) => until = value.parse::<u64>().ok(),
                ("seal", value) => seal = Some(value),
                _ => return None,
            }
        }
        let (to, until) = (to?, until?);
        let genuine = self.is_sealed(seal?, "link", host, until, &to);
        (genuine && until > now && to.starts_with('/')).then(|| to.into_owned())
    }

    fn pass(&self, asked: &Asked<'_>, to: &str, now: u64) -> Step {
        let until = now + MEMORY;
        let seal = self.seal("cookie", asked.host, until, "");
        Step::Passed {
            // Absolute: a path that begins with two slashes must not become a host.
            location: format!("https://{}{to}", asked.authority),
            cookie: format!(
                "{COOKIE}={until}.{seal}; Path=/; Max-Age={MEMORY}; Secure; HttpOnly; SameSite=Lax"
            ),
        }
    }

    fn knows(&self, cookie: &[u8], host: &Host, now: u64) -> bool {
        let value = cookie.trim_ascii().strip_prefix(COOKIE.as_bytes());
        let value = value.and_then(|value| value.strip_prefix(b"="));
        let value = value.and_then(|value| str::from_utf8(value).ok());
        let Some((until, seal)) = value.and_then(|value| value.split_once('.')) else {
            return false;
        };
        let until = until.parse::<u64>().ok().filter(|until| *until > now);
        until.is_some_and(|until| self.is_sealed(seal, "cookie", host, until, ""))
    }

    fn seal(&self, what: &str, host: &Host, until: u64, to: &str) -> String {
        HEXLOWER.encode(hmac::sign(&self.key, signed(what, host, until, to).as_bytes()).as_ref())
    }

    fn is_sealed(&self, seal: &str, what: &str, host: &Host, until: u64, to: &str) -> bool {
        let text = signed(what, host, until, to);
        let seal = HEXLOWER.decode(seal.as_bytes());
        seal.is_ok_and(|seal| hmac::verify(&self.key, text.as_bytes(), &seal).is_ok())
    }
}

/// What a visitor says of itself.
#[derive(Debug, Default)]
struct Browser<'a> {
    mode: Option<&'a [u8]>,
    dest: Option<&'a [u8]>,
    site: Option<&'a [u8]>,
    takes_html: bool,
    /// It wants no notice, or switches protocols.
    declines: bool,
    cookies: Vec<&'a [u8]>,
}

impl<'a> Browser<'a> {
    fn of(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut browser = Self::default();
        for (name, value) in fields {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                14 if is("sec-fetch-mode") => browser.mode = Some(value),
                14 if is("sec-fetch-dest") => browser.dest = Some(value),
                14 if is("sec-fetch-site") => browser.site = Some(value),
                6 if is("accept") => {
                    browser.takes_html |= value.windows(HTML.len()).any(|part| part == HTML);
                }
                6 if is("cookie") => browser.cookies.push(value),
                7 if is("upgrade") => browser.declines = true,
                16 if is(SKIP) => browser.declines = true,
                _ => {}
            }
        }
        browser
    }

    /// Whether what it asks for will fill a window (Fetch Metadata, section 2).
    fn navigates(&self) -> bool {
        let fills = self.mode == Some(b"navigate") && self.dest == Some(b"document");
        fills && self.takes_html && !self.declines
    }
}

fn signed(what: &str, host: &Host, until: u64, to: &str) -> String {
    format!("adit notice {what}\n{host}\n{until}\n{to}")
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// The cookie that says that the notice was seen. By its prefix browsers take it only from the host itself
/// (RFC 6265bis section 4.1.3.2).
pub const COOKIE: &str = "__Host-adit-notice";
/// Where the notice sends those who go on.
pub const PATH: &str = "/.well-known/adit/notice";
const PASS: &str = "/.well-known/adit/notice?";
/// The field of a request that wants no notice.
const SKIP: &str = "adit-skip-notice";
const HTML: &[u8] = b"text/html";
/// Targets that are longer are not come back to.
const LONGEST: usize = 4 << 10;
/// Seconds for which a shown notice works.
const DELIBERATION: u64 = 60 * 60;
/// Seconds for which it is not shown again: a week.
const MEMORY: u64 = 7 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    const BROWSER: [Pair; 4] = [
        ("Sec-Fetch-Mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("sec-fetch-site", "none"),
    ];

    fn notice() -> Notice {
        Notice::new(&[7; 32], "relay.example.com".parse().unwrap())
    }

    fn stop(method: &Method, host: &str, target: &str, fields: &[(&str, &str)]) -> Option<Step> {
        let asked = Asked {
            method,
            target,
            authority: host,
            host: &host.parse().unwrap(),
        };
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        notice().stop(&asked, fields)
    }

    fn shown(target: &str) -> (String, String) {
        match stop(&Method::GET, HOST, target, &BROWSER) {
            Some(Step::Shown {
                host,
                to,
                until,
                seal,
            }) => {
                assert_eq!(host.as_str(), HOST);
                let mut encoded = String::new();
                for byte in to.bytes() {
                    encoded += &format!("%{byte:02X}");
                }
                let link = format!("{PATH}?to={encoded}&until={until}&seal={seal}");
                (to, link)
            }
            other => panic!("not shown: {other:?}"),
        }
    }

    fn follow(host: &str, link: &str, site: &'static str) -> Option<Step> {
        let mut fields = BROWSER;
        fields[3].1 = site;
        stop(&Method::GET, host, link, &fields)
    }

    const HOST: &str = "app.relay.example.com";

    #[test]
    fn a_browser_sees_it_once_and_comes_back_where_it_wanted_to() {
        for target in ["/", "/a/b?c=d&e=%20%2f+1", "//evil.example/x", "/a;b'\"<"] {
            let (to, link) = shown(target);
            assert_eq!(to, target);
            let Some(Step::Passed { location, cookie }) = follow(HOST, &link, "same-origin") else {
                panic!("not passed");
            };
            assert_eq!(location, format!("https://{HOST}{target}"));
            let (cookie, attributes) = cookie.split_once("; ").unwrap();
            assert!(attributes.ends_with("Secure; HttpOnly; SameSite=Lax"));
            assert!(!attributes.contains("Domain"));
            let cookies = format!("a=b; {cookie}; c=d");
            let mut fields = BROWSER.to_vec();
            fields.push(("Cookie", &cookies));
            assert_eq!(stop(&Method::GET, HOST, target, &fields), None);
            // It is for that host alone.
            let other = "other.relay.example.com";
            assert!(stop(&Method::GET, other, target, &fields).is_some());
        }
    }

    #[test]
    fn whoever_does_not_navigate_never_sees_it() {
        for (at, value) in [
            (0, "cors"),
            (0, "websocket"),
            (1, "image"),
            (1, "iframe"),
            (2, "*/*"),
        ] {
            let mut fields = BROWSER;
            fields[at].1 = value;
            assert_eq!(stop(&Method::GET, HOST, "/", &fields), None);
        }
        for left in 0..3 {
            let mut fields = BROWSER.to_vec();
            fields.remove(left);
            assert_eq!(stop(&Method::GET, HOST, "/", &fields), None);
        }
        for more in [("Adit-Skip-Notice", "1"), ("upgrade", "websocket")] {
            let mut fields = BROWSER.to_vec();
            fields.push(more);
            assert_eq!(stop(&Method::GET, HOST, "/", &fields), None);
        }
        for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT] {
            assert_eq!(stop(&method, HOST, "/", &BROWSER), None);
        }
        assert_eq!(stop(&Method::GET, "app.customer.org", "/", &BROWSER), None);
    }

    /// Whoever could send it to others would lead them past the notice.
    #[test]
    fn the_link_works_from_the_notice_alone() {
        let (_, link) = shown("/login");
        let is_shown =
            |step: Option<Step>| matches!(step, Some(Step::Shown { to, .. }) if to == "/");
        for site in ["none", "cross-site", "same-site"] {
            assert!(is_shown(follow(HOST, &link, site)), "{site}");
        }
        assert!(is_shown(follow(
            "other.relay.example.com",
            &link,
            "same-origin"
        )));
        for bad in [
            link.replace("to=%2F", "to=https%3A%2F"),
            link.replace("until=1", "until=2"),
            link.replace("seal=", "seal=0"),
            link.replace("seal=", "zeal="),
            link.clone() + "&to=/",
            link[..link.len() - 1].to_owned(),
            format!("{PATH}?"),
            format!("{PATH}?to=%&until=1&seal="),
        ] {
            assert!(is_shown(follow(HOST, &bad, "same-origin")), "{bad}");
        }
    }

    #[test]
    fn a_signature_ends() {
        let (notice, host) = (notice(), HOST.parse().unwrap());
        let Step::Shown { until, seal, .. } = notice.show(&host, "/", 1000) else {
            panic!("not shown");
        };
        let query = format!("to=/&until={until}&seal={seal}");
        assert!(notice.passed(&host, &query, until - 1).is_some());
        assert!(notice.passed(&host, &query, until).is_none());
        let seal = notice.seal("cookie", &host, until, "");
        let cookie = format!("{COOKIE}={until}.{seal}");
        assert!(notice.knows(cookie.as_bytes(), &host, until - 1));
        assert!(!notice.knows(cookie.as_bytes(), &host, until));
        // One kind of signature is not the other.
        let seal = notice.seal("link", &host, until, "");
        let cookie = format!("{COOKIE}={until}.{seal}");
        assert!(!notice.knows(cookie.as_bytes(), &host, until - 1));
    }
}
