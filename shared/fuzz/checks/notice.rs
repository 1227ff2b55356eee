//! Nobody passes the notice by what they made up, it shows a target only as text, and who goes on from it comes to
//! where they wanted to go.
//!
//! The first line of the input is a target, the others are values of `Cookie`.

use adit_relay::edge::notice::response;
use adit_relay::forward::notice::{Asked, Notice, PATH, Step};
use adit_shared::name::{Host, RequestId};
use http::Method;
use http::uri::PathAndQuery;

const HOST: &str = "app.relay.example";
const BROWSER: [(&[u8], &[u8]); 4] = [
    (b"sec-fetch-mode", b"navigate"),
    (b"sec-fetch-dest", b"document"),
    (b"sec-fetch-site", b"same-origin"),
    (b"accept", b"text/html,*/*;q=0.8"),
];

pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().map(str::from_utf8);
    let Some(Ok(target)) = target.filter(|target| target.is_ok()) else {
        return;
    };
    if !target.starts_with('/') || target.parse::<PathAndQuery>().is_err() {
        return;
    }
    let notice = Notice::new(&[7; 32], "relay.example".parse().expect("a host"));
    let cookies: Vec<_> = lines.collect();
    let step = ask(&notice, target, &cookies);
    let Some(Step::Shown {
        to, until, seal, ..
    }) = &step
    else {
        panic!("{step:?}");
    };
    assert!(to == target || to == "/");
    step.iter().for_each(|step| page(step, to));

    let mut link = format!("{PATH}?to=");
    to.bytes()
        .for_each(|byte| link.push_str(&format!("%{byte:02X}")));
    link.push_str(&format!("&until={until}&seal={seal}"));
    let step = ask(&notice, &link, &[]);
    let Some(Step::Passed { location, cookie }) = step else {
        panic!("{step:?}");
    };
    assert_eq!(location, format!("https://{HOST}:8443{to}"));
    let value = cookie.split(';').next().expect("a cookie").as_bytes();
    let step = ask(&notice, target, &[value]);
    assert_eq!(matches!(step, Some(Step::Shown { .. })), is_link(target));
    // Nor does it work for another target, another time or another seal.
    for forged in [
        link.replacen("to=", "to=%2F", 1),
        link.replacen("until=", "until=1", 1),
        format!("{link}0"),
    ] {
        assert!(matches!(
            ask(&notice, &forged, &[]),
            Some(Step::Shown { .. })
        ));
    }
}

fn ask(notice: &Notice, target: &str, cookies: &[&[u8]]) -> Option<Step> {
    let asked = Asked {
        method: &Method::GET,
        target,
        authority: &format!("{HOST}:8443"),
        host: &HOST.parse::<Host>().expect("a host"),
    };
    let cookies = cookies.iter().map(|value| (&b"cookie"[..], *value));
    let fields: Vec<_> = BROWSER.into_iter().chain(cookies).collect();
    notice.stop(&asked, fields.iter().copied())
}

/// Whether it claims to be a link of the notice, which is one for who has the cookie too.
fn is_link(target: &str) -> bool {
    target
        .strip_prefix(PATH)
        .is_some_and(|rest| rest.starts_with('?'))
}

/// The page has the target in one place, as text.
fn page(step: &Step, to: &str) {
    let id: RequestId = "an-id".parse().expect("an id");
    let (_, html) = response(step, &id);
    let html = str::from_utf8(&html).expect("text");
    let (_, rest) = html.split_once("name=to value=\"").expect("the target");
    let (value, _) = rest.split_once('"').expect("its end");
    assert!(!value.contains(['<', '>']));
    let plain = value
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    assert_eq!(plain.replace("&amp;", "&"), to);
}
