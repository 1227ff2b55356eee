//! Namespaces, and what leads from one to another.
//!
//! The agent's has two uplinks, `wifi` and `phone`, which end at one router; behind that is the relay's.
//!
//!     agent: wifi  10.1.0.2 ── 10.1.0.1 ┐
//!            phone 10.2.0.2 ── 10.2.0.1 ┴ router 10.9.0.1 ── 10.9.0.2 relay

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Three namespaces that go when dropped.
#[derive(Debug)]
pub(crate) struct Net {
    /// Where the agent and the origin are.
    pub agent: String,
    router: String,
    /// Where the relay and its visitors are.
    pub relay: String,
}

impl Net {
    /// Makes them, with the default route over `wifi`.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |part: &str| format!("adit-{}-{count}-{part}", std::process::id());
        let net = Self {
            agent: name("agent"),
            router: name("router"),
            relay: name("relay"),
        };
        let (agent, router, relay) = (&net.agent, &net.router, &net.relay);
        for place in [agent, router, relay] {
            ip(&format!("netns add {place}"));
            ip(&format!("-n {place} link set lo up"));
        }
        for (place, name, at) in [
            (agent, "wifi", "10.1.0"),
            (agent, "phone", "10.2.0"),
            (relay, "eth", "10.9.0"),
        ] {
            let other = format!("to-{name}");
            ip(&format!(
                "link add {name} netns {place} type veth peer name {other} netns {router}"
            ));
            ip(&format!("-n {place} addr add {at}.2/24 dev {name}"));
            ip(&format!("-n {router} addr add {at}.1/24 dev {other}"));
            ip(&format!("-n {router} link set {other} up"));
            ip(&format!("-n {place} link set {name} up"));
        }
        ip(&format!("-n {agent} route add default via 10.1.0.1"));
        ip(&format!("-n {relay} route add default via 10.9.0.1"));
        within(router, || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        });
        net
    }

    /// Changes the agent's addresses, routes or links, as `ip` does.
    pub(crate) fn at_agent(&self, change: &str) {
        ip(&format!("-n {} {change}", self.agent));
    }

    /// From now on the router drops all UDP, and says so to nobody.
    pub(crate) fn block_udp(&self) {
        ip(&format!("-n {} rule add {BLOCK}", self.router));
    }

    /// It lets UDP through again.
    pub(crate) fn let_udp_through(&self) {
        ip(&format!("-n {} rule del {BLOCK}", self.router));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in [&self.agent, &self.router, &self.relay] {
            let delete = Command::new("ip").args(["netns", "del", place]).status();
            // What is left shows in `ip netns`.
            drop(delete);
        }
    }
}

/// Moves this thread, and what it opens and starts from now on, into a namespace.
pub(crate) fn enter(place: &str) {
    let file = File::open(format!("/run/netns/{place}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Does `work` in a namespace.
fn within(place: &str, work: impl FnOnce() + Send + 'static) {
    let place = place.to_owned();
    let done = std::thread::spawn(move || {
        enter(&place);
        work();
    });
    done.join().unwrap();
}

/// Runs `ip`; panics when that fails.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("iproute2 is installed: `make netns` does that");
    assert!(
        output.status.success(),
        "ip {arguments}: {} (these tests need root)",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A rule of routing that no UDP gets past.
const BLOCK: &str = "ipproto udp prio 10 blackhole";
