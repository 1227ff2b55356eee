//! What happens to the agent, as a sentence for people.

use std::time::Duration;

use adit_shared::quic::Transport;
use anstyle::AnsiColor;

use super::style::{brief, words};
use crate::status::Event;

/// What is said of `event`, and in which colour; nothing when others say it.
pub(super) fn sentence(event: &Event) -> Option<(AnsiColor, String)> {
    let said = match event {
        // It is taken apart before it comes here; the block and the requests have lines of their own; and whether
        // a relay that is away is worth a line, the last lines tell.
        Event::At(..) | Event::Online { .. } | Event::Request(_) | Event::Offline { .. } => {
            return None;
        }
        // The whole session: that is said as the reason of the end.
        Event::Refused { tunnel, .. } if tunnel.is_empty() => return None,
        Event::Refused {
            tunnel, message, ..
        } => {
            let text = format!("refused {}: {}", words(tunnel), words(message));
            (AnsiColor::Red, text)
        }
        Event::Inbox {
            open: true,
            waiting,
            dead,
            ..
        } => {
            let dead = match dead {
                0 => String::new(),
                dead => format!(", {dead} given up (relay inbox list)"),
            };
            let text = format!("inbox open: {waiting} waiting{dead}");
            (AnsiColor::Green, text)
        }
        Event::Inbox { message, .. } => (AnsiColor::Red, format!("no inbox: {}", words(message))),
        Event::Migrated {
            from,
            to,
            stalled,
            lost,
        } => {
            let (from, to, stalled) = (from.ip(), to.ip(), brief(*stalled));
            let text = format!("moved from {from} to {to}, {stalled}, {lost} lost");
            (AnsiColor::Cyan, text)
        }
        Event::Silent => {
            let text =
                "the relay does not answer; what is in flight waits, and another way is looked for";
            (AnsiColor::Yellow, text.to_owned())
        }
        Event::Resumed { stalled, lost } => {
            let stalled = brief(*stalled);
            let text = format!("the relay is heard again after {stalled}, {lost} lost");
            (AnsiColor::Green, text)
        }
        Event::Lost { exchanges } => {
            let requests = if *exchanges == 1 {
                "request"
            } else {
                "requests"
            };
            let text = format!(
                "{exchanges} {requests} lost with the connection; the relay sends those again that it may"
            );
            (AnsiColor::Red, text)
        }
        Event::Transport {
            transport,
            moved,
            strangled,
        } => way(*transport, *moved, *strangled),
        Event::Draining => {
            let text = "draining: what is in flight may finish; once more to quit at once";
            (AnsiColor::Yellow, text.to_owned())
        }
        Event::RelayDraining => {
            let text = "the relay is going away for a moment; connecting anew";
            (AnsiColor::Yellow, text.to_owned())
        }
        Event::OriginDown { origin, .. } => {
            let text = format!("waiting for {} (visitors get 502 meanwhile)", words(origin));
            (AnsiColor::Yellow, text)
        }
        Event::OriginUp { origin, .. } => (AnsiColor::Green, format!("{} is there", words(origin))),
    };
    Some(said)
}

/// What the session travels in now, and why.
fn way(transport: Transport, moved: bool, strangled: bool) -> (AnsiColor, String) {
    let (colour, text) = match (transport, moved) {
        (Transport::Udp, _) => (AnsiColor::Green, "back on UDP"),
        (Transport::Tcp, _) if strangled => (
            AnsiColor::Yellow,
            "UDP loses much here: trying TCP; requests in flight go on",
        ),
        (Transport::Tcp, true) => (
            AnsiColor::Yellow,
            "UDP is blocked here: going on over TCP; requests in flight go on",
        ),
        (Transport::Tcp, false) => (
            AnsiColor::Yellow,
            "UDP is blocked here: going over TCP until it is not",
        ),
    };
    (colour, text.to_owned())
}

/// What is said of a relay that is away, where `offline` is what to begin with.
pub(super) fn away(offline: &str, reason: &str, retry_in: Option<Duration>) -> String {
    let next = match retry_in {
        Some(Duration::ZERO) => "; trying again now".to_owned(),
        Some(delay) => format!("; trying again in {}", brief(delay)),
        None => String::new(),
    };
    format!("{offline}: {}{next}", words(reason))
}
