//! Events as lines for people.
//!
//! Lines carry colours; these are taken out again on the way to where nobody could see them.

use std::collections::HashMap;

use adit_shared::quic::Transport;
use anstyle::AnsiColor;
use jiff::tz::TimeZone;

use super::controls::HINT;
use super::outage::Outage;
use super::style::{BOLD, DIM, brief, coloured, words};
use super::{Text, View, life, qr, request};
use crate::config::relay::is_loopback;
use crate::config::{Origin, RelayAddress};
use crate::status::{Event, Status};

/// What has been said so far.
#[derive(Debug)]
pub(super) struct Human {
    view: View,
    status: Status,
    zone: TimeZone,
    /// The URL that was said of each relay and tunnel; the relay is empty when there is only one.
    urls: HashMap<(String, String), String>,
    /// The session with each relay.
    sessions: HashMap<String, String>,
    /// What was said of relays since they were lost.
    outages: HashMap<String, Outage>,
}

impl Human {
    pub(super) fn new(view: View, status: Status, zone: TimeZone) -> Self {
        Self {
            view,
            status,
            zone,
            urls: HashMap::new(),
            sessions: HashMap::new(),
            outages: HashMap::new(),
        }
    }

    pub(super) fn say(&mut self, event: &Event, to: &mut Text) {
        let (relay, event) = event.parts();
        let relay = relay.unwrap_or_default();
        let of = of(relay);
        if event.may_end_session() {
            // The session that comes next is new, even if a relay that was restarted calls it the same.
            self.sessions.remove(relay);
        }
        match event {
            Event::Online {
                tunnel,
                url,
                urls,
                session,
            } => {
                self.outages.remove(relay);
                let last = self.sessions.insert(relay.to_owned(), session.clone());
                let is_new = last.as_ref() != Some(session);
                self.online(relay, tunnel, is_new, urls, url, to);
            }
            Event::Offline { reason, retry_in } => {
                let outage = self.outages.entry(relay.to_owned()).or_default();
                if let Some(offline) = outage.failed(reason) {
                    let text = life::away(&offline, reason, *retry_in);
                    to.err(&coloured(AnsiColor::Yellow, &format!("{of}{text}")));
                }
            }
            Event::Request(request) => {
                let tunnels = self.view.origins.len();
                to.err(&request::line(request, &self.zone, tunnels > 1));
            }
            event => {
                if let Some((colour, text)) = life::sentence(event) {
                    to.err(&coloured(colour, &format!("{of}{text}")));
                }
            }
        }
    }

    fn online(
        &mut self,
        relay: &str,
        tunnel: &str,
        is_new_session: bool,
        urls: &[String],
        url: &str,
        to: &mut Text,
    ) {
        let is_first = self.urls.is_empty();
        let is_said = self.urls.values().any(|said| said == url);
        let key = (relay.to_owned(), tunnel.to_owned());
        let last = self.urls.insert(key, url.to_owned());
        let is_again = last.as_deref() == Some(url);
        if is_said {
            // Relays that share a domain have the same URLs.
            if is_new_session || !is_again {
                let (of, path) = (of(relay), self.path(relay));
                let again = if is_again { "again" } else { "too" };
                to.err(&coloured(
                    AnsiColor::Green,
                    &format!("{of}online {again}: {path}"),
                ));
            }
            return;
        }
        to.out(&words(url));
        let origin = self.origin(tunnel);
        let shown = origin.map_or_else(|| words(tunnel).into_owned(), Origin::to_string);
        if !self.view.stderr_is_terminal {
            let line = format!(
                "online: {} forwards to {shown}, {}",
                words(url),
                self.path(relay)
            );
            to.err(&coloured(AnsiColor::Green, &line));
            if let Some(inspect) = self.view.inspect.filter(|_| is_first) {
                to.err(&format!("inspector: http://{inspect}"));
            }
            if let Some(command) = self.suggest(origin, url, urls) {
                to.err(&format!("try: {command}"));
            }
            return;
        }
        let mut row = |what: &str, text: &str| {
            to.err(&format!("  {DIM}{what:<12}{DIM:#} {text}"));
        };
        if !self.view.stdout_is_terminal {
            row("online at", &format!("{BOLD}{}{BOLD:#}", words(url)));
        }
        for other in urls.iter().filter(|other| *other != url) {
            row("also at", &words(other));
        }
        row("forwards to", &shown);
        if is_new_session {
            row("relay", self.path(relay).trim_start_matches("relay "));
        }
        if let Some(inspect) = self.view.inspect.filter(|_| is_first) {
            row("inspector", &format!("http://{inspect}"));
        }
        if let Some(command) = self.suggest(origin, url, urls) {
            row("try", &format!("{BOLD}{command}{BOLD:#}"));
        }
        if is_first && self.view.has_keys {
            row("keys", HINT);
        }
        if let Some(code) = self.view.qr.then(|| qr::code(url)).flatten() {
            to.err("");
            to.err(&code);
        }
        to.err("");
    }

    /// Over which relay we are online, and how far it is.
    fn path(&self, relay: &str) -> String {
        let now = self.status.snapshot();
        let (name, address, rtt, transport) = match now.relays.iter().find(|one| one.name == relay)
        {
            Some(one) => (one.name.clone(), one.address, one.rtt, one.transport),
            None => (
                self.view.relay.to_string(),
                now.relay,
                now.rtt,
                now.transport,
            ),
        };
        let mut text = format!("relay {name}");
        if let Some(address) = address {
            text.push_str(&format!(" at {address}"));
        }
        if let Some(rtt) = rtt {
            text.push_str(&format!(", {}", brief(rtt)));
        }
        if transport == Some(Transport::Tcp) {
            text.push_str(", over TCP");
        }
        let session = self.sessions.get(relay).map_or("", String::as_str);
        text.push_str(&format!(", session {}", words(session)));
        text
    }

    fn origin(&self, tunnel: &str) -> Option<&Origin> {
        let found = self.view.origins.iter().find(|(label, _)| label == tunnel);
        found.map(|(_, origin)| origin)
    }

    /// What to do next, for somebody who tries this out on one machine.
    fn suggest(&self, origin: Option<&Origin>, url: &str, urls: &[String]) -> Option<String> {
        let is_here = match &self.view.relay {
            RelayAddress::Local => true,
            RelayAddress::Remote { host, .. } => is_loopback(host),
        };
        let is_echo = origin == Some(&Origin::Echo);
        if !is_here && !is_echo {
            return None;
        }
        // No other program trusts the certificate of a relay on this machine.
        let plain = urls
            .iter()
            .find(|url| is_here && url.starts_with("http://"));
        let url = words(plain.map_or(url, String::as_str));
        let url = url.trim_end_matches('/');
        Some(if is_echo {
            format!("curl {url}/hello -d 'hi'")
        } else {
            format!("curl {url}")
        })
    }
}

/// Which of several relays a line is about.
fn of(relay: &str) -> String {
    if relay.is_empty() {
        String::new()
    } else {
        format!("{}: ", words(relay))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Stream;
    use super::*;

    fn human(origins: &[(&str, Origin)], relay: &str, terminal: bool) -> Human {
        let origins = origins
            .iter()
            .map(|(label, origin)| ((*label).to_owned(), origin.clone()));
        let view = View {
            json: false,
            qr: false,
            relay: relay.parse().unwrap(),
            origins: origins.collect(),
            inspect: Some(([127, 0, 0, 1], 4041).into()),
            stdout_is_terminal: false,
            stderr_is_terminal: terminal,
            has_keys: false,
        };
        let status = Status::new();
        status.set_path(([10, 0, 0, 1], 443).into(), Duration::from_millis(23));
        Human::new(view, status, TimeZone::UTC)
    }

    fn said(human: &mut Human, event: &Event) -> Vec<(Stream, String)> {
        let mut text = Text::default();
        human.say(event, &mut text);
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let parts = text.0.into_iter();
        parts.map(|(to, text)| (to, plain(&text))).collect()
    }

    fn online(url: &str, session: &str) -> Event {
        Event::Online {
            tunnel: "web".into(),
            url: url.into(),
            urls: vec![url.into(), "http://a.localhost:8080".into()],
            session: session.into(),
        }
    }

    #[test]
    fn the_url_stands_alone_on_stdout_once_until_it_changes() {
        let origin = Origin::from_port("3000").unwrap();
        let mut human = human(&[("web", origin)], "relay.test", false);
        let (a, b) = ("https://a.test", "https://b.test");
        let path = "relay relay.test at 10.0.0.1:443, 23 ms";
        assert_eq!(
            said(&mut human, &online(a, "s1")),
            [
                (Stream::Out, format!("{a}\n")),
                (
                    Stream::Err,
                    format!(
                        "online: {a} forwards to localhost:3000, {path}, session s1\n\
                         inspector: http://127.0.0.1:4041\n"
                    )
                ),
            ]
        );
        assert_eq!(said(&mut human, &online(a, "s1")), []);
        let again = format!("online again: {path}, session s2\n");
        let again = [(Stream::Err, again)];
        assert_eq!(said(&mut human, &online(a, "s2")), again);
        said(&mut human, &Event::RelayDraining);
        let restarted = said(&mut human, &online(a, "s2"));
        assert_eq!(restarted, again, "a relay begins to count anew");
        assert_eq!(
            said(&mut human, &online(b, "s2"))[0],
            (Stream::Out, format!("{b}\n"))
        );
    }

    #[test]
    fn several_relays_are_told_apart_and_the_same_url_is_said_once() {
        let origin = Origin::from_port("3000").unwrap();
        let mut human = human(&[("web", origin)], "a.test", false);
        let url = "https://web.shared.test";
        for relay in ["a.test", "b.test"] {
            let address = ([10, 0, 0, 1], 443).into();
            let status = human.status.of(relay);
            status.set_path(address, Duration::from_millis(23));
        }
        let at = |relay: &str, event: Event| Event::At(relay.into(), Box::new(event));
        let path = |relay| format!("relay {relay} at 10.0.0.1:443, 23 ms, session s1\n");
        let first = said(&mut human, &at("a.test", online(url, "s1")));
        assert_eq!(first[0], (Stream::Out, format!("{url}\n")));
        assert!(first[1].1.contains(&path("a.test")), "{first:?}");
        let too = format!("b.test: online too: {}", path("b.test"));
        let second = said(&mut human, &at("b.test", online(url, "s1")));
        assert_eq!(second, [(Stream::Err, too)]);
        let lost = Event::Offline {
            reason: "lost".into(),
            retry_in: None,
        };
        let line = "b.test: offline: lost\n".to_owned();
        let offline = [(Stream::Err, line)];
        assert_eq!(said(&mut human, &at("b.test", lost.clone())), offline);
        assert_eq!(said(&mut human, &at("b.test", lost.clone())), []);
        let blocked = Event::Transport {
            transport: Transport::Tcp,
            moved: false,
            strangled: false,
        };
        human.status.of("b.test").emit(blocked.clone());
        let line = "b.test: UDP is blocked here: going over TCP until it is not\n".to_owned();
        assert_eq!(
            said(&mut human, &at("b.test", blocked)),
            [(Stream::Err, line)]
        );
        let again = said(&mut human, &at("b.test", online(url, "s2")));
        let tcp =
            "b.test: online again: relay b.test at 10.0.0.1:443, 23 ms, over TCP, session s2\n";
        assert_eq!(again, [(Stream::Err, tcp.to_owned())]);
        assert_eq!(said(&mut human, &at("b.test", lost)), offline);
        let again = said(&mut human, &at("a.test", online(url, "s2")));
        assert!(!again[0].1.contains("TCP"), "that is the other: {again:?}");
    }

    #[test]
    fn a_terminal_gets_a_block_and_what_to_try_next() {
        let mut human = human(&[("web", Origin::Echo)], "localhost:8443", true);
        let [out, err] = &said(&mut human, &online("https://a.localhost:8443", "s1"))[..] else {
            panic!("two parts")
        };
        assert_eq!(out.1, "https://a.localhost:8443\n");
        assert_eq!(
            err.1,
            "  online at    https://a.localhost:8443\n  \
             also at      http://a.localhost:8080\n  \
             forwards to  echo\n  \
             relay        localhost:8443 at 10.0.0.1:443, 23 ms, session s1\n  \
             inspector    http://127.0.0.1:4041\n  \
             try          curl http://a.localhost:8080/hello -d 'hi'\n\n"
        );
    }

    #[test]
    fn life_events_say_what_happens_next() {
        for (retry_in, end) in [
            (None, ""),
            (Some(Duration::ZERO), "; trying again now"),
            (Some(Duration::from_millis(1500)), "; trying again in 1.5 s"),
        ] {
            let reason = "nothing\u{1b} heard".to_owned();
            let event = Event::Offline { reason, retry_in };
            let line = &said(&mut human(&[], "relay.test", false), &event)[0].1;
            assert_eq!(*line, format!("offline: nothing\\x1b heard{end}\n"));
        }
        let mut human = human(&[], "relay.test", false);
        let mut line = |event: &Event| said(&mut human, event)[0].1.clone();
        let (tunnel, origin) = ("web".to_owned(), "localhost:3000".to_owned());
        assert_eq!(
            line(&Event::OriginDown { tunnel, origin }),
            "waiting for localhost:3000 (visitors get 502 meanwhile)\n"
        );
        let stalled = Duration::from_millis(212);
        let event = Event::Migrated {
            from: "192.168.1.7:4433".parse().unwrap(),
            to: "10.0.0.3:4434".parse().unwrap(),
            stalled,
            lost: 0,
        };
        assert_eq!(
            line(&event),
            "moved from 192.168.1.7 to 10.0.0.3, 212 ms, 0 lost\n"
        );
        assert_eq!(
            line(&Event::Resumed { stalled, lost: 2 }),
            "the relay is heard again after 212 ms, 2 lost\n"
        );
        assert_eq!(
            line(&Event::Lost { exchanges: 1 }),
            "1 request lost with the connection; the relay sends those again that it may\n"
        );
        let event = Event::Refused {
            tunnel: "web".into(),
            reason: "taken",
            message: "it is taken; choose another".into(),
        };
        assert_eq!(line(&event), "refused web: it is taken; choose another\n");
    }
}
