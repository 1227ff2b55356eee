//! The doctor of the agent: what is well, and everything that it must not call so.

mod here;
mod trust;
mod ways;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use adit_agent::cli::Options;
use adit_agent::command::doctor::{Setting, doctor};
use adit_agent::config::Given;
use adit_shared::checkup::{Row, Verdict, write_table};
use adit_tests::World;
use adit_tests::origin::Origin;

/// What is checked in a test: the options of a command line, and the machine around it.
struct Patient {
    options: Options,
    silences: Vec<Duration>,
    now: fn() -> SystemTime,
    variables: fn(&str) -> Option<std::ffi::OsString>,
}

impl Patient {
    /// An agent on this machine, with no options but a state directory.
    fn new(world: &World) -> Self {
        let state_dir = world.state().join("agent");
        Self {
            options: Options {
                state_dir: Some(state_dir.to_str().unwrap().into()),
                ..Options::default()
            },
            silences: Vec::new(),
            now: SystemTime::now,
            variables: |_| None,
        }
    }

    /// An agent for the relay of `world`, which it trusts.
    fn of(world: &World) -> Self {
        Self::new(world)
            .with(|options| options.relay_ca = Some(world.ca().to_str().unwrap().into()))
            .at(world.quic)
    }

    /// With the relay at another address.
    fn at(self, relay: SocketAddr) -> Self {
        self.with(|options| options.relay = vec![relay.to_string()])
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    async fn examine(self) -> Findings {
        let given = Given::collect(self.options, |_| None).unwrap();
        let setting = Setting {
            given: &given,
            silences: &self.silences,
            now: self.now,
            variable: self.variables,
        };
        Findings(doctor(&setting).await)
    }
}

/// What was found.
struct Findings(Vec<Row>);

impl Findings {
    fn row(&self, name: &str) -> &Row {
        let row = self.0.iter().find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("no row {name} in {:#?}", self.0))
    }

    /// Expects a verdict, with this among what was seen; and a fix where one is needed.
    #[track_caller]
    fn expect(&self, name: &str, verdict: Verdict, seen: &str) -> &Self {
        let row = self.row(name);
        assert!(
            row.verdict == verdict && row.seen.contains(seen),
            "{name}: not {verdict:?} with {seen:?}\n{:#?}",
            self.0
        );
        let is_bad = matches!(verdict, Verdict::Warn | Verdict::Fail);
        assert_eq!(is_bad, !row.fix.is_empty(), "{row:?}");
        self
    }

    fn table(&self) -> String {
        let mut table = Vec::new();
        write_table(&self.0, &mut table).unwrap();
        String::from_utf8(table).unwrap()
    }
}

/// A relay that takes agents and visitors at one port, as usual.
async fn at_one_port() -> World {
    let world = World::start().await;
    let https = world.https;
    world
        .restart_relay_with(|config| config.quic = Some(https))
        .await
}

/// Replaces what differs from run to run and from machine to machine.
fn steady(table: &str, world: &World) -> String {
    let state = world.state().to_str().unwrap();
    let table = table
        .replace(state, "STATE")
        .replace(&format!(":{}", world.quic.port()), ":PORT");
    let mut steady = String::new();
    for line in table.lines() {
        // The kernel of the machine decides about these.
        if let Some(name) = ["udp buffers", "udp offload"]
            .iter()
            .find(|name| line.contains(*name))
        {
            steady.push_str(&format!("…        {name}      …\n"));
            continue;
        }
        if line.contains("fix: sudo sysctl") || line.contains("fix: run on Linux") {
            continue;
        }
        let words = line.split(' ').map(|word| match word {
            "200" => word,
            word if word.parse::<f64>().is_ok() => "N",
            word if word.len() == 10 && word.as_bytes()[4] == b'-' => "DAY",
            word if word.ends_with("\",") => "ID\",",
            word => word,
        });
        steady.push_str(&words.collect::<Vec<_>>().join(" "));
        steady.push('\n');
    }
    steady
}

#[tokio::test]
async fn a_good_run_says_so_row_by_row() {
    let world = at_one_port().await;
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let patient = Patient::of(&world)
        .with(|options| options.origin = Some(format!("http://{}", origin.address)));
    let findings = patient.examine().await;
    let table = findings.table();
    let table = table.replace(&format!(":{}", origin.address.port()), ":ORIGIN");
    let plain = strip(&table);
    assert_eq!(steady(&plain, &world), GOOD);
    assert!(
        !world.state().join("agent").exists(),
        "nothing is left behind"
    );
}

/// Without the colours.
fn strip(table: &str) -> String {
    let mut plain = String::new();
    let mut parts = table.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    for part in parts {
        plain.push_str(part.split_once('m').unwrap().1);
    }
    plain
}

const GOOD: &str = "\
ok       state directory  STATE/agent can be made
ok       identity         is made on the first run
…        udp buffers      …
…        udp offload      …
ok       proxy            no variable for one is set
ok       origin           127.0.0.1:ORIGIN answers 200
ok       relay name       127.0.0.1 is an address: no name to look up
ok       udp              127.0.0.1:PORT answers, handshake in N ms
ok       tcp              127.0.0.1:PORT takes agents, in N ms
ok       captive portal   none seen
ok       relay trust      issued by \"Adit development CA ID\", trusted by --relay-ca, valid until DAY
ok       clock            as the relay's, within N s
ok       path mtu         packets of N bytes get through; the route here takes N
ok       token            none is given, and relay/0.1.0 asks for none
";
