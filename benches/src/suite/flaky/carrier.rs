//! A gigabyte through QUIC inside TLS over TCP, beside one through QUIC over UDP, on loopback: what the detour
//! costs where UDP is blocked.

use super::Flaky;
use crate::suite::systems::{self, Relay, System};
use crate::suite::transfer::Transfer;

pub(super) async fn run(flaky: &mut Flaky) -> anyhow::Result<()> {
    let place = &flaky.place;
    let relay = Relay::start_on_one_port(place, "relay-carrier", &[]).await?;
    let mut ways = Vec::new();
    for transport in ["udp", "tcp"] {
        let name = format!("over-{transport}");
        let (origin, ready) = (flaky.origin.http, &relay.ready);
        let choice = ["--transport", transport];
        let agent = systems::agent(place, &name, origin, ready.quic, &ready.ca, &choice).await?;
        ways.push(System {
            name: "adit",
            host: format!("{name}.localhost"),
            http: ready.http,
            https: None,
            quic: None,
            ca: None,
            programs: vec![agent],
        });
    }
    for (what, down, up) in [("download", GIB, 0), ("upload", 0, GIB)] {
        let transfer = Transfer {
            down,
            up,
            streams: 1,
        };
        // In turn, so that what slows the machine for a while slows both.
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (way, rates) in ways.iter().zip(&mut rates) {
                rates.push(GIB as f64 / 1e6 / transfer.run(way).await?);
            }
        }
        let [udp, tcp] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[ROUNDS / 2]
        });
        flaky.note(
            &format!("{what} of 1 GiB over TCP, beside UDP, on loopback"),
            "at least half",
            &format!("{:.2} times ({tcp:.0} and {udp:.0} MB/s)", tcp / udp),
            tcp * 2.0 >= udp,
        );
    }
    Ok(())
}

const GIB: u64 = 1 << 30;
const ROUNDS: usize = 3;
