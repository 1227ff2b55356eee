//! Many agents in one process, each with an identity, a socket and a tunnel of its own, as the `agent`
//! program would have them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use adit_agent::config::{Config, HostHeader, Origin, RelayAddress, Tunnel};
use adit_agent::link;
use adit_agent::status::Status;
use adit_shared::quic::tls::{Trust, read_certificates};
use adit_shared::task::Tasks;
use adit_shared::telemetry::LogFormat;
use aws_lc_rs::signature::Ed25519KeyPair;

use super::{obey, say, spawn};

/// Starts them, and answers each line with how they stand.
pub(super) async fn run(
    relay: SocketAddr,
    ca: &Path,
    state: &Path,
    count: usize,
) -> anyhow::Result<()> {
    let trust = Trust::Roots(read_certificates(ca)?);
    let mut agents = Vec::new();
    for number in 0..count {
        let state_dir = state.join(number.to_string());
        std::fs::create_dir_all(&state_dir)?;
        let config = config(relay, trust.clone(), &state_dir);
        // An agent would make its own, and wait until the disk has it: thousands of times, one after
        // the other, since they share a thread here.
        let key = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
        std::fs::write(config.identity(), key)?;
        let status = Status::new();
        agents.push(status.clone());
        spawn(async move {
            // One that ends is not online any more, which is what is asked for.
            drop(link::run(config, status, Tasks::default()).await);
        });
    }
    say(&serde_json::json!({ "count": count }))?;
    obey(|_| {
        let (mut online, mut sessions) = (0, 0);
        for agent in &agents {
            let snapshot = agent.snapshot();
            online += u64::from(snapshot.online);
            sessions += snapshot.counts.sessions;
        }
        async move { Ok(serde_json::json!({ "online": online, "sessions": sessions })) }
    })
    .await
}

fn config(relay: SocketAddr, trust: Trust, state_dir: &Path) -> Config {
    Config {
        relay: RelayAddress::Remote {
            host: relay.ip().to_string(),
            port: relay.port(),
        },
        trust: Some(trust),
        token: None,
        tunnels: vec![Tunnel {
            id: 0,
            label: "bench".into(),
            name: None,
            host: None,
            origin: Origin::Echo,
            host_header: HostHeader::Keep,
            origin_timeout: Duration::from_secs(30),
        }],
        state_dir: state_dir.to_owned(),
        inspect: None,
        json: false,
        qr: false,
        once: false,
        drain_grace: Duration::from_secs(1),
        log_format: LogFormat::Text,
    }
}
